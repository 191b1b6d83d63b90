//! `control-bit-flip`: one bit of the control file, within what its own checksum is over. One that names another version is
//! another fault.

use pgdrill_ondisk::control::Control;

use super::super::stored::{Done, Stored};

pub(super) fn run(stored: &mut Stored) -> Done {
    stored.flip_in("global/pg_control", |content| Control::checked(content).collect())
}
