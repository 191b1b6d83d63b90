//! The verbs of a restore drill.

pub mod data;
