//! What must hold of the readers of PostgreSQL's formats, and of those of programs that make backups, whatever bytes they are given: one function per format, which
//! takes any bytes and fails an assertion where something does not hold. That nothing panics, hangs or takes memory by
//! what a length says is asked along the way.
//!
//! Where a checksum guards a format, changed bytes almost never get behind it. So each of these functions asks twice:
//! of the bytes as they are, and of the same with their checksums set right.
//!
//! `libfuzzer/` calls them with what libFuzzer finds, and `tests/short.rs` with a corpus and some changes of it.

mod again;
mod catalog;
mod chance;
mod control;
mod described;
mod dump;
mod history;
mod incremental_file;
mod label;
mod manifest;
mod names;
mod page;
mod pieces;
mod tar;
mod wal;

pub use catalog::catalog;
pub use control::control;
pub use described::described;
pub use dump::dump;
pub use history::history;
pub use incremental_file::incremental_file;
pub use label::label;
pub use manifest::manifest;
pub use names::names;
pub use page::page;
pub use tar::tar;
pub use wal::wal;

/// What is asked of bytes.
pub type Check = fn(&[u8]);

/// All of them, by the names of their corpora (`fixtures/fuzz`) and of libFuzzer's programs.
pub const TARGETS: &[(&str, Check)] = &[
    ("catalog", catalog),
    ("control", control),
    ("described", described),
    ("dump", dump),
    ("history", history),
    ("incremental_file", incremental_file),
    ("label", label),
    ("manifest", manifest),
    ("names", names),
    ("page", page),
    ("tar", tar),
    ("wal", wal),
];
