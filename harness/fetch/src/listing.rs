//! What a source says it has.

use std::collections::BTreeSet;

/// An object as the source lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Its name, relative to the prefix; proven to be one that a file below a directory can have.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
    /// What the source calls this content of it; another content has another one.
    pub etag: Option<String>,
    /// When it was last written, in microseconds since 1970.
    pub modified_us: i64,
}

impl Object {
    /// What tells this content of it from a later one.
    pub(crate) fn identity(&self) -> String {
        format!("{} {} {}", self.size, self.etag.as_deref().unwrap_or("-"), self.modified_us)
    }
}

/// What a source has below its prefix.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// The objects, by name.
    pub objects: Vec<Object>,
    /// Directories that hold no object, where the source knows such.
    pub directories: BTreeSet<String>,
}

impl Listing {
    /// The sizes of all objects together; none where they are more than can be counted.
    pub fn bytes(&self) -> Option<u64> {
        self.objects.iter().try_fold(0_u64, |sum, object| sum.checked_add(object.size))
    }
}
