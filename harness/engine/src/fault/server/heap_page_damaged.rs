//! `heap-page-damaged`: one byte of a page of a table is another on the disk of the live server. Nobody reads the page
//! before the backup does.

use pgdrill_model::fault::Fault;
use pgdrill_model::finding::Unable;
use pgdrill_model::plan::Server as Name;
use pgdrill_ondisk::items::{PAGE, all_items};

use super::offline;
use crate::drill::Drill;

const FAULT: Fault = Fault::HeapPageDamaged;

pub(super) async fn run(drill: &mut Drill<'_>, on: Name) -> Result<String, Unable> {
    let file = offline::file_of(drill, FAULT, on, "\"Strategy\"").await?;
    let seed = drill.seed as usize;
    offline::edit(drill, FAULT, on, &file, |content| {
        let pages = content.len() / PAGE;
        if pages == 0 {
            return Err("the table has no page".to_owned());
        }
        let block = seed % pages;
        let page = &mut content[block * PAGE..(block + 1) * PAGE];
        let at = all_items(page).start.min(PAGE - 1);
        page[at] ^= 0x10;
        Ok(format!("byte {at} of block {block} of \"Strategy\" is another"))
    })
    .await
}
