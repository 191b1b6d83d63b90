//! The parts of a recovery that have a clock or a rule of their own: what may not be replayed, waiting for the
//! promoted state, the first write, and the phases of the recovery time.

pub mod first_write;
pub mod phases;
pub mod replay;
pub mod tablespace_wal;
