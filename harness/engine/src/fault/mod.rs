//! The faults: damages that are made on purpose, and changes that must not alarm anybody, one file each, named as in the
//! scenario language, below the directory of what they are done to; and this table of them.
//!
//! A fault never chooses its place by itself: the drill's seed does. It is told to the record only when something is not
//! what it was; one that cannot be made, or changes nothing, ends the drill unverified.

use pgdrill_model::code::Code;
use pgdrill_model::event::{Event, Happening};
use pgdrill_model::evidence::{Evidence, FaultEvidence};
use pgdrill_model::fault::{Fault, Site};
use pgdrill_model::finding::{Finding, Unable};
use pgdrill_model::plan::{Member, Server as Name};

use crate::drill::Drill;

mod archive;
mod backup;
mod proof;
mod recovered;
pub mod restore;
mod server;
mod stored;
pub mod taking;

pub use server::{is_settable, left_by, settable_clock, small_archive};
pub use stored::{Made, make};

/// Makes a fault, or takes note that it is to be made while the next backup is taken or in the next recovery.
///
/// # Errors
///
/// `FAULT_NOT_INJECTED`: it could not be made here.
pub async fn run(
    drill: &mut Drill<'_>,
    fault: Fault,
    on: Name,
    backups: &[Member],
) -> Result<Vec<Finding>, Unable> {
    let done = match fault.site() {
        Site::Taking | Site::Restore => {
            drill.armed.push(fault);
            return Ok(Vec::new());
        }
        Site::Backup | Site::Archive => match make(drill, fault, backups, None).await? {
            Made::Done(evidence) => {
                drill.recorder.measured(Evidence::Fault(evidence));
                return Ok(Vec::new());
            }
            Made::NotHere(why) => return Err(not_made(fault, &why)),
        },
        Site::Server => server::run(drill, fault, on).await?,
        Site::Recovered => recovered::run(drill, fault, on).await?,
    };
    note(drill, fault, done);
    Ok(Vec::new())
}

/// Takes down that a fault was made. One that is made in each attempt of a recovery is one fault.
pub fn note(drill: &Drill<'_>, fault: Fault, done: String) {
    let told = |event: &Event| matches!(&event.what, Happening::Measured(Evidence::Fault(told)) if told.fault == fault);
    if drill.recorder.so_far().iter().any(told) {
        return;
    }
    drill.recorder.measured(Evidence::Fault(FaultEvidence { fault, done, changed: Vec::new() }));
}

/// A fault that could not be made.
pub fn not_made(fault: Fault, why: &str) -> Unable {
    Unable::new(Code::FaultNotInjected, format!("the fault {fault} was not made: {why}"))
}
