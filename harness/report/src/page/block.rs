//! What is put on a page, before it is laid out: so that a face which is no terminal says the same in the same words. All of its
//! text is clean.

use super::Cell;

/// One thing on a page.
#[derive(Clone, Debug)]
pub(crate) enum Block {
    /// A heading.
    Heading(String),
    /// A label, and a text beside it.
    Labelled(Cell, Cell),
    /// A named fact; one without a name goes on with the fact before it.
    Fact(String, String),
    /// A paragraph, and how far it is indented: what is indented by 8 is quoted.
    Paragraph(usize, Cell),
    /// The columns of a table, and its rows.
    Table(Vec<Title>, Vec<Vec<Cell>>),
}

/// A column of a table.
#[derive(Clone, Debug)]
pub(crate) struct Title {
    pub(crate) name: String,
    /// Whether it holds quantities, which end below each other.
    pub(crate) right: bool,
    /// Whether it may be wrapped.
    pub(crate) flexible: bool,
}
