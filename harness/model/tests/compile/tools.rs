//! What backups by other means than pg_basebackup are compiled to, and a failover.

use pgdrill_model::check::Check;
use pgdrill_model::fault::Site;
use pgdrill_model::plan::{Act, Server, add_mutants, compile};
use pgdrill_model::scenario::parse;
use pgdrill_model::units::Major;

use super::{names, plan, server};

#[test]
fn a_differential_backup_leaves_out_those_between_it_and_the_full_one() {
    let steps = "
        backup: { tool: pgbackrest }
        backup: { tool: pgbackrest, type: incr }
        backup: { tool: pgbackrest, type: incr }
        backup: { tool: pgbackrest, type: diff }
        backup: { tool: pgbackrest, type: incr }
        disaster: lose-primary
        recover";
    let plan = plan(steps);
    let upon: Vec<Option<&str>> = plan
        .steps
        .iter()
        .filter_map(
            |step| if let Act::Backup { upon, .. } = &step.act { Some(upon.as_deref()) } else { None },
        )
        .collect();
    assert_eq!(upon, [None, Some("backup-1"), Some("backup-2"), Some("backup-1"), Some("backup-4")]);
    let Some(Act::Recover(recovery)) =
        plan.steps.iter().map(|step| &step.act).find(|act| act.name() == "recover")
    else {
        panic!()
    };
    let chain: Vec<&str> = recovery.backups[0].iter().map(|member| member.name.as_str()).collect();
    assert_eq!(chain, ["backup-1", "backup-4", "backup-5"]);
    // They hold no base backup that could be read, and the server summarizes no WAL for them.
    assert_eq!(plan.checks(), Check::all_of_repository(false));
    let Act::CreateCluster(cluster) = &plan.steps[0].act else { panic!() };
    assert!(!cluster.summarize_wal);
    let shown = plan.steps[3].act.to_string();
    assert_eq!(
        shown,
        "pgBackRest (incr, gzip), only what changed since backup-1, into backup/pgbackrest as backup-2"
    );
}

/// The standby streams from the beginning, and is the server of everything that comes after the failover.
#[test]
fn after_a_failover_the_standby_is_the_server() {
    let plan = plan(
        "backup\nwork: { transactions: 5 }\nfailover\nwork: { transactions: 5 }\nbackup\nmark: m\ndisaster: lose-primary\n\
         recover: { to: m }\ndisaster: lose-primary\nrecover",
    );
    let all: Vec<(&str, Option<Server>)> =
        plan.steps.iter().map(|step| (step.act.name(), server(&step.act))).collect();
    let (primary, standby) = (Some(Server::Primary), Some(Server::Standby));
    assert_eq!(
        all[..12],
        [
            ("create-cluster", None),
            ("load-data", None),
            ("create-standby", None),
            ("backup", primary),
            ("capture", primary),
            ("work", primary),
            ("failover", standby),
            ("work", standby),
            ("backup", standby),
            ("mark", standby),
            ("capture", standby),
            ("disaster", standby),
        ]
    );
    let Act::Recover(recovery) = &plan.steps[12].act else { panic!("{:?}", plan.steps[12]) };
    // Both lead to the mark; which of them is nearer, the WAL says.
    assert_eq!((recovery.server, recovery.backups.len()), (Server::Restored(1), 2));
    let shown = plan.steps[6].act.to_string();
    assert!(shown.starts_with("once the standby has all WAL of the primary, SIGKILL the primary"), "{shown}");
    assert!(plan.steps[2].act.to_string().ends_with("; it takes over later"));
    // Without a failover it is made where a backup is taken from it.
    assert_eq!(names("backup\nbackup: { from: standby }\ndisaster: kill\nrecover")[1], "create-standby");
}

#[test]
fn a_low_level_backup_is_planned_without_what_needs_a_manifest() {
    let text = "title: t\nsteps:\n  - backup: { tool: low-level, snapshot: on }\n  - backup: { tool: low-level, from: standby, \
                checkpoint: spread }\n  - disaster: lose-primary\n  - recover\n";
    let scenario = parse("a", "a.yaml", text).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    // What is done without pg_basebackup needs no major of it.
    let plan = compile(&scenario, Major(13), "local", None).unwrap();
    assert_eq!(plan.checks(), Check::all_of_low_level(false));
    assert!(plan.checks().contains(&Check::Verify) && !plan.checks().contains(&Check::Manifest));
    let shown: Vec<String> = plan.steps.iter().map(|step| step.act.to_string()).collect();
    assert_eq!(
        [&shown[2], &shown[4]],
        [
            "low-level backup (all files of one moment, at which the server stands still) into backup/backup-1",
            "low-level backup (files copied one by one while the server writes, checkpoint spread) of the standby into \
             backup/backup-2",
        ]
    );
    let recover = plan.steps.iter().find(|step| step.act.name() == "recover").unwrap();
    assert!(recover.act.to_string().starts_with("unpack backup/backup-2 by cp, "), "{}", recover.act);
}

#[test]
fn a_backup_by_barman_is_planned_with_every_check_for_every_major() {
    let text = "title: t\nsteps:\n  - backup: { tool: barman, checkpoint: spread }\n  - disaster: lose-primary\n  - recover\n";
    let scenario = parse("a", "a.yaml", text).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let mut plan = compile(&scenario, Major(13), "local", None).unwrap();
    assert_eq!(plan.checks(), Check::all_of(false));
    assert_eq!(
        plan.steps[2].act.to_string(),
        "Barman (backup_method postgres, checkpoint spread) into backup/barman as backup-1"
    );
    let recover = plan.steps.iter().find(|step| step.act.name() == "recover").unwrap();
    assert!(recover.act.to_string().starts_with("restore backup-1 by barman recover, "), "{}", recover.act);
    // What it keeps is not damaged, the archive is.
    add_mutants(&mut plan, &scenario).unwrap();
    let faults = plan.mutants();
    assert!(faults.len() > 5 && faults.iter().all(|fault| fault.site() == Site::Archive), "{faults:?}");
}

#[test]
fn of_what_pgbackrest_stored_only_an_archive_of_the_drills_own_makes_mutants() {
    let text = |archive: &str| {
        format!(
            "title: t\narchive: {{ by: {archive} }}\nsteps:\n  - backup: {{ tool: pgbackrest }}\n  - disaster: lose-primary\n  \
             - recover\n"
        )
    };
    let mutants = |archive: &str| {
        let scenario = parse("a", "a.yaml", &text(archive)).unwrap();
        let mut plan = compile(&scenario, Major(17), "local", None).unwrap();
        add_mutants(&mut plan, &scenario).map(|()| plan.mutants())
    };
    let faults = mutants("command").unwrap();
    assert!(faults.len() > 5 && faults.iter().all(|fault| fault.site() == Site::Archive), "{faults:?}");
    assert!(mutants("pgbackrest").unwrap_err().contains("repository of pgBackRest"));
}
