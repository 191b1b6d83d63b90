//! `safety-copy`: puts aside what a disaster left of its server, before anything is restored.

use pgdrill_backup::inspect;
use pgdrill_model::code::Code;
use pgdrill_model::evidence::{Evidence, SafetyCopyEvidence};
use pgdrill_model::finding::{Finding, Unable};
use pgdrill_model::plan::Server as Name;
use pgdrill_model::scenario::CopyBy;
use pgdrill_model::units::show_bytes;

use crate::drill::{Drill, on_a_thread};
use crate::safety::Aside;
use crate::tablespaces;
use crate::workspace::trouble;

pub(super) async fn run(drill: &mut Drill<'_>, by: CopyBy, of: Name) -> Result<Vec<Finding>, Unable> {
    // Those who outlive their postmaster write for a moment.
    let findings = drill.primary_is_gone().await?;
    let workspace = drill.workspace;
    let data = workspace.data(of);
    if by == CopyBy::Copy {
        let (data, spaces) = (data.clone(), workspace.path(tablespaces::root(of)));
        let needed = on_a_thread(move || inspect::size(&data) + inspect::size(&spaces)).await?;
        let free = workspace.free();
        if needed > free {
            let message = format!(
                "the safety copy of the {} needs {}, and {} are free; nothing was copied, and nothing erased",
                of.name(),
                show_bytes(needed),
                show_bytes(free)
            );
            return Err(Unable::new(Code::DiskFull, message)
                .hint("make room, or write `safety-copy: { by: move }`, which needs none"));
        }
    }
    let (aside, began) = (Aside::of(workspace, of), drill.clock.elapsed());
    let put = on_a_thread(move || aside.put(by)).await?.map_err(|error| trouble(&data, &error))?;
    drill.recorder.measured(Evidence::SafetyCopy(SafetyCopyEvidence {
        server: of.name().to_owned(),
        by: by.name().to_owned(),
        files: put.files,
        bytes: put.bytes,
        sha256: put.sha256.clone(),
        took_us: drill.clock.elapsed().saturating_sub(began).as_micros() as u64,
    }));
    drill.put_aside = Some(put);
    Ok(findings)
}
