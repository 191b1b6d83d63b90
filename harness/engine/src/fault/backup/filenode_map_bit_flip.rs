//! `filenode-map-bit-flip`: one bit of the map that tells in which files the shared catalogs lie, within what its own
//! checksum is over.

use pgdrill_ondisk::catalog::FilenodeMap;

use super::super::stored::{Done, Stored};

pub(super) fn run(stored: &mut Stored) -> Done {
    stored.flip_in("global/pg_filenode.map", |content| FilenodeMap::checked(content).collect())
}
