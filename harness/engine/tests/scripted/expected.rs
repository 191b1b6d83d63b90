//! What must come of a fault in a call: the table of the engine's promises.

use pgdrill_model::code::Code;
use pgdrill_model::verdict::Verdict;
use pgdrill_model::world::Signal;
use pgdrill_testkit::scripted::{Call, Fault, What};

/// How a drill must end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// With this verdict, and a finding of one of these codes.
    Ends(Verdict, Vec<Code>),
    /// In any way but proven: a call that this table does not know yet.
    NotProven,
    /// Proven all the same, for this reason.
    ProvenAllTheSame(&'static str),
}

fn unverified(code: Code) -> Expected {
    Expected::Ends(Verdict::Unverified, vec![code])
}

fn disproven(code: Code) -> Expected {
    Expected::Ends(Verdict::Disproven, vec![code])
}

/// What must come of it, in [`super::stage::WHOLE_DRILL`].
pub fn expected(call: &Call, fault: &Fault) -> Expected {
    let primary = call.server == "primary";
    match (&call.what, fault) {
        // What is left of the lost primary is ended beside the recovery, which then waits for it in vain; both may be
        // told.
        (What::Close, Fault::Hangs) => Expected::Ends(Verdict::Unverified, vec![Code::CleanupFailed]),
        (What::Wait(_), _) | (What::Signal(Signal::Int), _) => {
            Expected::ProvenAllTheSame("a server that does not stop in order is ended with its place")
        }
        (_, Fault::Hangs) => unverified(Code::TimeLimit),
        (What::Close, Fault::Remains) => unverified(Code::CleanupFailed),
        (What::Run(program), fault) => of_a_program(call, program, fault),
        (_, Fault::Unable(code)) => unverified(*code),
        (What::Spawn(_) | What::Signal(_), Fault::Lies) => unverified(Code::TimeLimit),
        (What::Spawn(_), Fault::Dies(_)) if primary => unverified(Code::ServerStartFailed),
        // A server that is gone and did not say why is no proof against the backup.
        (What::Spawn(_), Fault::Dies(_)) => unverified(Code::ServerLost),
        (What::Running(_), Fault::Perishes) if primary => unverified(Code::ServerStartFailed),
        (What::Running(_), Fault::Perishes) => unverified(Code::ServerLost),
        _ => Expected::NotProven,
    }
}

/// A program of a check, which keeps others from nothing: only that check did not run, or says what it was told.
fn of_a_check(program: &str, fault: &Fault) -> Expected {
    match (program, fault) {
        ("pg_verifybackup", Fault::Lies) => {
            Expected::ProvenAllTheSame("whether it found nothing or did not look cannot be told from outside")
        }
        ("tar", Fault::Lies) => Expected::NotProven,
        ("tar" | "pg_verifybackup", Fault::Exits(..)) if !fault.is_full_disk() => {
            disproven(Code::ManifestMismatch)
        }
        _ => unverified(Code::CheckNotRun),
    }
}

fn of_a_program(call: &Call, program: &str, fault: &Fault) -> Expected {
    // The first two unpack the base and its WAL to be recovered from, all others for the manifest's check.
    if matches!(program, "pg_amcheck" | "pg_verifybackup") || (program == "tar" && call.nth > 2) {
        return of_a_check(program, fault);
    }
    match (program, fault) {
        // Removes the shared memory of the killed primary.
        ("ipcrm", Fault::Lies) => Expected::ProvenAllTheSame("it has nothing to do with the backup"),
        ("ipcrm", _) => unverified(Code::CleanupFailed),
        (_, Fault::Unable(code)) => unverified(*code),
        (_, Fault::Exits(..)) if fault.is_full_disk() => unverified(Code::DiskFull),
        ("initdb", _) => unverified(Code::ServerStartFailed),
        ("pg_basebackup", _) => unverified(Code::BackupFailed),
        // That the unpacking was killed says nothing about what was unpacked.
        ("tar" | "cp", Fault::Killed) => unverified(Code::ProgramKilled),
        // Where there is no data directory, the WAL that belongs into it cannot be unpacked.
        ("tar" | "cp", Fault::Exits(..)) => disproven(Code::UnpackFailed),
        ("tar", Fault::Lies) if call.nth == 1 => disproven(Code::UnpackFailed),
        ("tar", Fault::Lies) => {
            Expected::ProvenAllTheSame("the WAL that the backup carries is in the archive too")
        }
        _ => Expected::NotProven,
    }
}
