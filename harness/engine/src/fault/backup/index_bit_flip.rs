//! `index-bit-flip`: one bit of a page of the largest index.

use pgdrill_ondisk::items::Kind;

use super::super::stored::{Done, Stored};
use super::heap_bit_flip::flip;

pub(super) fn run(stored: &mut Stored) -> Done {
    flip(stored, Kind::BTree)
}
