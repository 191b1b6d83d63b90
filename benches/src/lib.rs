//! Criterion benches of the hot parts; the benches themselves are in `benches/`, and `drill-vs-bash` beside them
//! measures whole drills. Nothing here needs docker, and nothing here is a test. What is here is what they measure with.

pub mod backup;
pub mod manifest;
pub mod relation;
pub mod wal;
