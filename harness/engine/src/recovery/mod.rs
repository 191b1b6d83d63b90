//! The parts of a recovery that have a clock or a rule of their own: what is unpacked where, what was saved beside the
//! archive, what may not be replayed, waiting for the promoted state, the first write, and the phases of the recovery
//! time.

pub mod aim;
pub mod barman;
pub mod control;
pub mod first_write;
pub mod last_good;
pub mod left_over;
pub mod native;
pub mod pgbackrest;
pub mod phases;
pub mod reached;
pub mod remap;
pub mod replay;
pub mod superuser;
pub mod tablespace_wal;
pub mod unpack;
pub mod wal_end;
