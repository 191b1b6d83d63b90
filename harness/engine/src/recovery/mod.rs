//! The parts of a recovery that have a clock or a rule of their own: what is unpacked where, what may
//! not be replayed, waiting for the
//! promoted state, the first write, and the phases of the recovery time.

pub mod first_write;
pub mod phases;
pub mod remap;
pub mod replay;
pub mod tablespace_wal;
pub mod unpack;
