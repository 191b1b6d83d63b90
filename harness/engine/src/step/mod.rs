//! The steps of a drill: one file each, named as in the plan, and this table of them.

use pgdrill_model::finding::{Finding, Unable};
use pgdrill_model::plan::Act;

use crate::drill::Drill;
use crate::fault;

mod alert;
mod application;
mod as_written;
mod backup;
mod bare_recovery;
mod capture;
mod check;
mod crash;
mod create_cluster;
mod create_standby;
mod disaster;
mod failover;
mod given;
mod last_proven;
mod load_data;
mod low_level;
mod mark;
mod mutants;
mod recover;
mod rehearsal;
mod repeat;
mod rollback;
mod safety_copy;
mod sql;
mod sweep;
mod switch_wal;
mod triage;
mod watch;
mod work;

pub use crash::run as crash;
pub use create_cluster::initdb;
pub use work::leave as leave_work;

/// Does what a step says. What was seen comes back as findings; `Unable` means that the step could not be done.
pub async fn run(drill: &mut Drill<'_>, act: &Act) -> Result<Vec<Finding>, Unable> {
    match act {
        Act::CreateCluster(cluster) => create_cluster::run(drill, cluster).await,
        Act::LoadData(data) => load_data::run(drill, *data).await,
        Act::CreateStandby { takes_over } => create_standby::run(drill, *takes_over).await,
        Act::Backup { name, how, upon, on } => {
            work::hold(drill).await?;
            let taken = backup::run(drill, name, *how, upon.as_deref(), *on).await;
            work::release(drill).await;
            taken
        }
        Act::Given { name, given } => given::run(drill, name, given).await,
        Act::Sql { sql, on } => sql::run(drill, sql, *on).await,
        Act::Work { work, on } => work::run(drill, work, *on).await,
        Act::StopWork => work::stop(drill).await,
        Act::Mark { name, on } => mark::run(drill, name, *on).await,
        Act::Crash { crash, on } => crash::run(drill, *crash, *on).await,
        Act::Failover { failover, from, to } => failover::run(drill, *failover, *from, *to).await,
        Act::SwitchWal { switch, on } => switch_wal::run(drill, *switch, *on).await,
        Act::Capture { checks, on } => capture::run(drill, checks, *on).await,
        Act::SafetyCopy { by, of } => safety_copy::run(drill, *by, *of).await,
        Act::Rollback { rollback, to, quiet } => rollback::run(drill, *rollback, *to, *quiet).await,
        Act::AsWritten { step, of, backup, mark } => {
            let around = as_written::Around { of: *of, backup: backup.as_deref(), mark: mark.as_deref() };
            as_written::run(drill, *step, around).await
        }
        Act::Watch { watch, on } => watch::run(drill, *watch, *on).await,
        Act::Alert { awaited, cause } => alert::run(drill, *awaited, *cause).await,
        Act::StartApplication { application, on } => application::start(drill, application, *on).await,
        Act::StopApplication(application) => application::stop(drill, application).await,
        Act::Triage { triage, of, lost } => triage::run(drill, *triage, *of, *lost).await,
        Act::Disaster { disaster, on } => disaster::run(drill, disaster, *on).await,
        Act::Fault { fault, on, backups } => fault::run(drill, *fault, *on, backups).await,
        Act::Repeat(repeat) => repeat::run(drill, repeat).await,
        Act::Mutants(mutants) => mutants::run(drill, mutants).await,
        Act::BareRecovery { mark } => bare_recovery::run(drill, mark).await,
        Act::Recover(recovery) => {
            drill.watching = None;
            recover::run(drill, recovery).await
        }
        Act::Sweep { sweep, backups } => {
            drill.watching = None;
            sweep::run(drill, *sweep, backups).await
        }
        Act::Check { checks, of } => check::run(drill, checks, *of).await,
    }
}
