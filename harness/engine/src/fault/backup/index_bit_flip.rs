//! `index-bit-flip`: one bit of a page of the largest index.

use super::super::stored::{Done, Stored};
use super::heap_bit_flip::flip;
use super::relations::Kind;

pub(super) fn run(stored: &mut Stored) -> Done {
    flip(stored, Kind::BTree)
}
