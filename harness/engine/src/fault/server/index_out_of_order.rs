//! `index-out-of-order`: two entries next to each other in a leaf of an index have changed places, and the page has the
//! right checksum.

use pgdrill_model::fault::Fault;
use pgdrill_model::finding::Unable;
use pgdrill_model::plan::Server as Name;
use pgdrill_ondisk::items::{PAGE, is_leaf, pointers};
use pgdrill_ondisk::page::seal;

use super::offline;
use crate::drill::Drill;

const FAULT: Fault = Fault::IndexOutOfOrder;

const INDEX: &str = "\"Order_createdAt_idx\"";

pub(super) async fn run(drill: &mut Drill<'_>, on: Name) -> Result<String, Unable> {
    let file = offline::file_of(drill, FAULT, on, INDEX).await?;
    let seed = drill.seed as usize;
    offline::edit(drill, FAULT, on, &file, |content| {
        let leaves: Vec<usize> = (1..content.len() / PAGE)
            .filter(|block| {
                let page = &content[block * PAGE..(block + 1) * PAGE];
                is_leaf(page) && pointers(page).len() > 8
            })
            .collect();
        // Into the last of them new entries go.
        let leaves = &leaves[..leaves.len().saturating_sub(1)];
        let Some(block) = leaves.get(seed % leaves.len().max(1)).copied() else {
            return Err("the index has no leaf with enough entries".to_owned());
        };
        let page = &mut content[block * PAGE..(block + 1) * PAGE];
        // The first may be the upper bound of the page, and no entry. Entries of the same key are in the order of their
        // rows, so two that are far apart are surely not equal.
        let all = pointers(page);
        let (one, other) = (all[2].at.clone(), all[all.len() - 2].at.clone());
        let first = page[one.clone()].to_vec();
        page.copy_within(other.clone(), one.start);
        page[other].copy_from_slice(&first);
        seal(page, block as u32);
        Ok(format!("two entries of block {block} of {INDEX} have changed places"))
    })
    .await
}
