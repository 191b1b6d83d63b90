//! The control file of what was restored.

use std::fs;
use std::path::Path;

use pgdrill_model::code::Code;
use pgdrill_model::finding::{Finding, Stage};
use pgdrill_ondisk::control::Control;

/// Reads the control file of a data directory that was restored; a finding where it is not one.
pub fn of_restored(data: &Path) -> Result<Control, Box<Finding>> {
    const NAME: &str = "global/pg_control";
    let read = fs::read(data.join(NAME)).map_err(|error| error.to_string());
    read.and_then(|bytes| Control::read(&bytes).map_err(|error| error.to_string())).map_err(|words| {
        let message = format!("the restored control file is not one: {words}");
        Box::new(Finding::new(Code::RecoveryFailed, Stage::Recover, message).about(NAME))
    })
}
