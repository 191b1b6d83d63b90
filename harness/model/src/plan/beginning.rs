//! What drills of several scenarios would do alike, so that it needs to be done only once.

use crate::scenario::{Archive, BackupTool, Disaster, Work};

use super::{Act, NewCluster, Plan, Planned};

impl Plan {
    /// Its steps up to the loss of the primary, where it makes no difference whether this drill did them or another one that
    /// would have done the very same: its purpose is to damage what is there after them, and no time is to be kept.
    pub fn beginning(&self) -> Option<&[Planned]> {
        let timed = self.rto.is_some() || self.outage.is_some() || self.compared_with.is_some();
        if timed || self.faults().is_empty() {
            return None;
        }
        let lost = self.steps.iter().position(|step| matches!(step.act, Act::Disaster { .. }))?;
        let (beginning, _) = self.steps.split_at_checked(lost + 1)?;
        beginning.iter().all(|step| leaves_only_files(&step.act)).then_some(beginning)
    }
}

/// Whether nothing of a step is left after the loss of the primary but what is in the archive, in backups and in the ledger,
/// and nothing there names the directory that it was made in, as links to tablespaces do.
fn leaves_only_files(act: &Act) -> bool {
    match act {
        Act::CreateCluster(NewCluster { tablespaces, archive, small_archive, settable_clock, .. }) => {
            let by_script = archive.by == Archive::default().by && archive.command.is_none();
            tablespaces.is_empty() && by_script && !small_archive && !settable_clock
        }
        Act::LoadData(_) | Act::SwitchWal { .. } | Act::Mark { .. } | Act::Capture { .. } => true,
        // What these keep beside their backups names the directories that they were made in.
        Act::Backup { how, .. } => !matches!(how.tool, BackupTool::PgBackRest | BackupTool::Barman),
        Act::Work { work: Work { behind, .. }, .. } => !behind,
        Act::Disaster { disaster, .. } => *disaster == Disaster::LosePrimary,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::compile;
    use crate::scenario::parse;
    use crate::units::Major;

    const HEAD: &str = "title: t\ndata: { orders: 10 }\n";
    const STEPS: &str = "steps:\n  - backup: { format: plain }\n  - work: { writers: 1, transactions: 5 }\n  \
                         - mark: m\n  - switch-wal\n  - disaster: lose-primary\n";
    const THEN: &str = "  - fault: segment-missing\n  - recover\n  - check: all\n";

    /// How many steps the beginning of a drill has; 0 where it has none.
    fn steps(text: &str) -> usize {
        let scenario = parse("t", "t.yaml", text).unwrap_or_else(|mistakes| panic!("{mistakes}"));
        let plan = compile(&scenario, Major(17), "local", None).unwrap();
        plan.beginning().map_or(0, <[_]>::len)
    }

    #[test]
    fn a_drill_that_damages_what_is_left_begins_as_others_do() {
        // Two that every drill has, and a capture before the writers and one after them.
        assert_eq!(steps(&format!("{HEAD}{STEPS}{THEN}")), 9);
        assert_eq!(steps(&format!("{HEAD}{STEPS}  - recover\n  - fault: row-deleted\n  - check: all\n")), 9);
    }

    #[test]
    fn others_take_their_own_backup() {
        let scenario = |from: &str, to: &str| format!("{HEAD}{STEPS}{THEN}").replacen(from, to, 1);
        for (why, from, to) in [
            ("it proves a backup", "  - fault: segment-missing\n", ""),
            ("its time is kept", "steps:", "objectives: { rto: 5s }\nsteps:"),
            ("links name the directory", "steps:", "tablespaces: { hot: [Order] }\nsteps:"),
            ("a receiver runs", "steps:", "archive: { by: receivewal }\nsteps:"),
            ("writers go on", "transactions: 5", "behind: true"),
            ("SQL may do anything", "  - mark: m", "  - sql: SELECT 1"),
            ("something else is lost", "disaster: lose-primary", "disaster: kill"),
            ("what is damaged is the server", "  - mark: m", "  - fault: heap-page-damaged"),
        ] {
            let text = scenario(from, to);
            assert_ne!(text, format!("{HEAD}{STEPS}{THEN}"), "{why}");
            assert_eq!(steps(&text), 0, "{why}");
        }
    }
}
