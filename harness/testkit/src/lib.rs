//! What only tests use: contract suites, scripted worlds, sample runs.

pub mod contract;
pub mod docker;
pub mod sample;
