//! A soak: drills that nobody wrote, the same for the same seed, and the command that makes a wrong one again.

use std::fs;

use crate::desk::Desk;

#[test]
fn a_soak_runs_drills_for_its_time_and_draws_the_same_for_the_same_seed() {
    let told = |desk: &Desk| {
        let done = desk.pgdrill(&["run", "--for", "1s", "--seed", "12"]);
        done.ends_with(0);
        desk.assert_clean();
        assert!(done.stderr.contains("soak for 1.0 s with --seed 12"), "{}", done.stderr);
        assert!(done.stderr.contains("no wrong verdict"), "{}", done.stderr);
        let line =
            done.stdout.lines().find(|line| line.starts_with("soak-12-0 on PostgreSQL")).unwrap().to_owned();
        // How long it took differs.
        line.rsplit_once("; ").unwrap().0.to_owned()
    };
    assert_eq!(told(&Desk::new()), told(&Desk::new()));
}

#[test]
fn a_wrong_verdict_ends_a_soak_and_is_told_with_the_command_that_makes_it_again() {
    let desk = Desk::new();
    fs::create_dir(desk.path("drills")).unwrap();
    let wrong = "title: t\ndata: { orders: 10 }\nsteps:\n  - backup\n  - disaster: lose-primary\n  - recover\n  \
                 - sql: DELETE FROM \"AuditLog\"\n";
    fs::write(desk.path("drills/wrong.yaml"), wrong).unwrap();
    let done = desk.pgdrill(&["run", "drills", "--for", "10m", "--seed", "3"]);
    done.ends_with(1);
    desk.assert_clean();
    assert!(done.stdout.contains("\nWRONG: "), "{}", done.stdout);
    let line = done.stderr.lines().find(|line| line.contains("again by: ")).unwrap();
    let command: Vec<&str> = line.split_once("again by: pgdrill ").unwrap().1.split(' ').collect();
    desk.pgdrill(&command).ends_with(1);
}

#[test]
fn no_time_is_usage() {
    for time in ["0s", "soon", "5"] {
        let done = Desk::new().pgdrill(&["run", "--for", time]);
        done.ends_with(64);
        assert!(done.stderr.contains("--for"), "{}", done.stderr);
    }
}
