//! `row-behind-index`: the indexed value of a row is another in the table's file, and the index was not told; the page has
//! the right checksum.

use pgdrill_model::fault::Fault;
use pgdrill_model::finding::Unable;
use pgdrill_model::plan::Server as Name;
use pgdrill_ondisk::items::{PAGE, pointers};
use pgdrill_ondisk::page::seal;

use super::{not_made, offline};
use crate::drill::Drill;
use crate::session::describe;

const FAULT: Fault = Fault::RowBehindIndex;

/// A user, and where its row is.
const ROW: &str = "SELECT \"id\", (ctid::text::point)[0]::int, (ctid::text::point)[1]::int, \"email\" FROM \"User\" \
                   ORDER BY \"id\" DESC LIMIT 1";

pub(super) async fn run(drill: &mut Drill<'_>, on: Name) -> Result<String, Unable> {
    let file = offline::file_of(drill, FAULT, on, "\"User\"").await?;
    let session = drill.session(on, None).await?;
    let row = session.query_one(ROW, &[]).await;
    let row = row.map_err(|error| not_made(FAULT, &describe(&error)))?;
    let (id, block, line, email): (String, i32, i32, String) =
        (row.get(0), row.get(1), row.get(2), row.get(3));
    drop(session);
    let block = block.unsigned_abs() as usize;
    offline::edit(drill, FAULT, on, &file, |content| {
        let Some(page) = content.get_mut(block * PAGE..(block + 1) * PAGE) else {
            return Err(format!("block {block} is not in the file"));
        };
        let all = pointers(page);
        let Some(pointer) = all.get(line.unsigned_abs() as usize - 1) else {
            return Err(format!("block {block} has no line {line}"));
        };
        let Some(tuple) = page.get_mut(pointer.item.clone()) else {
            return Err("the line leads nowhere".to_owned());
        };
        let Some(at) = tuple.windows(email.len()).position(|bytes| bytes == email.as_bytes()) else {
            return Err("the value is not in the row as it is".to_owned());
        };
        // Lower case letters in both: only the order is another.
        tuple[at] = if tuple[at] == b'z' { b'a' } else { b'z' };
        seal(page, block as u32);
        Ok(format!("the email of user {id}, in block {block}, is another than its index says"))
    })
    .await
}
