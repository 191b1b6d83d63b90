//! What only tests use: contract suites, scripted worlds, sample runs, evidence made worse.

pub mod clock;
pub mod contract;
pub mod docker;
pub mod sample;
pub mod scripted;
pub mod worse;
