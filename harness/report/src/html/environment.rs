//! What a drill ran on, by which files, and the command that does it again.

use maud::{Markup, html};
use pgdrill_model::run::Run;
use pgdrill_model::scenario::as_written;

use crate::page::clean;
use crate::record;

/// The facts that the report for a terminal leaves to the record.
pub(super) fn facts(run: &Run) -> Markup {
    html! {
        dl.facts {
            @for (server, facts) in &run.places {
                dt { "place of " (server) }
                dd { (facts.postgres.trim()) ", " (facts.bin_dir.display()) ", as " (facts.user) }
                @if let Some(image) = &facts.image { dd { "image " code { (image) } } }
                @if let Some(digest) = &facts.image_digest { dd { "digest " code { (digest) } } }
                @if let Some(engine) = &facts.engine { dd { "engine " (engine) } }
            }
            @for server in &run.servers {
                dt { (server.server) " says" }
                dd { "PostgreSQL " (server.version) }
                @for (database, held) in &server.databases {
                    dd { (database) ": " (held.default.provider) " " (held.default.locale)
                        @if let Some(version) = &held.default.actual { " " (version) } }
                }
            }
            dt { "scenario file" } dd { "SHA-256 " code { (run.header.scenario_sha256) } }
            dt { "record" } dd { code { (record::file_name(run)) } }
        }
    }
}

/// The command that does the drill again.
pub(super) fn again(run: &Run) -> String {
    let header = &run.header;
    let (scenario, size) = as_written(&header.scenario);
    let mut command = format!(
        "pgdrill run {} --postgres {} --runtime {} --seed {}",
        quoted(&format!("scenarios/{scenario}.yaml")),
        header.postgres,
        quoted(&header.runtime),
        header.seed
    );
    let image = run.places.first().and_then(|(_, facts)| facts.image.as_ref());
    if let Some(image) = image {
        command.push_str(&format!(" --image {}", quoted(image)));
    }
    for (flag, value) in size {
        command.push_str(&format!(" {flag} {}", quoted(value)));
    }
    if header.repeat > 1 {
        command.push_str(&format!(" --repeat {}", header.repeat));
    }
    if !header.mutants.is_empty() {
        command.push_str(" --mutants");
    }
    command
}

/// A word of a command, as a shell takes it whole.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@{}+=,".contains(c);
    let word = clean(word);
    if !word.is_empty() && word.chars().all(plain) {
        word
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use pgdrill_testkit::sample;

    use super::*;

    #[test]
    fn the_command_names_all_that_decides_what_a_drill_does() {
        let mut run = sample::mutants();
        assert_eq!(
            again(&run),
            "pgdrill run scenarios/smoke/restore-tar-gzip.yaml --postgres 15 --runtime local --seed 42 --mutants"
        );
        let mut large = sample::repeated();
        large.header.scenario = "rto/tar@5M-orders,64MiB-wal".to_owned();
        assert_eq!(
            again(&large),
            "pgdrill run scenarios/rto/tar.yaml --postgres 15 --runtime local --seed 42 --scale 5M --wal 64MiB --repeat 5"
        );
        run.places[0].1.image = Some("pgdrill/postgres:15".to_owned());
        assert!(again(&run).contains(" --image pgdrill/postgres:15"), "{}", again(&run));
    }

    #[test]
    fn a_shell_takes_a_hostile_name_as_one_word() {
        assert_eq!(quoted("a b"), "'a b'");
        assert_eq!(quoted("$(x)'; rm"), "'$(x)'\\''; rm'");
        assert_eq!(quoted(""), "''");
        let run = sample::hostile();
        assert!(!again(&run).chars().any(char::is_control));
    }
}
