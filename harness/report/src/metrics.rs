//! What a Prometheus server is told of drills: of each scenario, major, runtime and class of machine the newest run, and when one
//! was last proven. For the textfile collector of the node exporter.

use pgdrill_model::detection::Matrix;
use pgdrill_model::history::{self, Kind, Line, lost};
use pgdrill_model::run::Run;
use pgdrill_model::scenario::Rpo;
use pgdrill_model::verdict::Verdict;

use crate::exposition::{Exposition, Sample};

/// The text of the file.
pub fn runs(runs: &[Run]) -> String {
    let lines = history::lines(runs);
    let mut text = Exposition::default();
    let newest = |value: &dyn Fn(&Run) -> Option<f64>| -> Vec<Sample> {
        lines.iter().filter_map(|line| Some((labels(&line.kind), value(line.newest()?)?))).collect()
    };
    text.gauge(
        "pgdrill_last_run_timestamp_seconds",
        "When the newest drill ended.",
        newest(&|run| Some(ended(run))),
    );
    text.gauge(
        "pgdrill_last_proven_timestamp_seconds",
        "When the newest drill ended that was proven; 0 where none was.",
        lines.iter().map(|line| (labels(&line.kind), line.last_proven().map_or(0.0, ended))),
    );
    text.gauge(
        "pgdrill_last_run_verdict",
        "1 for the verdict of the newest drill, 0 for the others.",
        of_each(&lines, |line, verdict| {
            f64::from(u8::from(line.newest().is_some_and(|run| run.verdict == verdict)))
        }),
    );
    text.gauge(
        "pgdrill_runs",
        "Drills in these records, by verdict.",
        of_each(&lines, |line, verdict| line.count(verdict) as f64),
    );
    text.gauge(
        "pgdrill_last_run_duration_seconds",
        "How long the newest drill took, teardown included.",
        newest(&|run| Some(seconds(run.took_us))),
    );
    text.gauge(
        "pgdrill_recovery_time_seconds",
        "The recovery time of the newest drill; the longest of several, the median of one that was repeated.",
        newest(&|run| history::recovery_time(run).map(seconds)),
    );
    text.gauge(
        "pgdrill_recovery_time_objective_seconds",
        "Its recovery time objective.",
        newest(&|run| run.header.rto_us.map(seconds)),
    );
    let phases = lines.iter().filter_map(|line| Some((line, line.newest()?.recoveries.last()?)));
    text.gauge(
        "pgdrill_recovery_phase_seconds",
        "The phases of its last recovery time.",
        phases.flat_map(|(line, recovery)| {
            recovery
                .phases
                .iter()
                .map(|phase| (with(&line.kind, "phase", &phase.name), seconds(phase.took_us)))
                .collect::<Vec<_>>()
        }),
    );
    text.gauge(
        "pgdrill_lost_transactions",
        "Acknowledged transactions that the newest drill lost.",
        newest(&|run| lost(run).map(|lost| lost as f64)),
    );
    text.gauge(
        "pgdrill_lost_transactions_objective",
        "How many it may lose.",
        newest(&|run| match run.header.rpo {
            Some(Rpo::Transactions(count)) => Some(count as f64),
            _ => None,
        }),
    );
    text.gauge(
        "pgdrill_outage_seconds",
        "How long the application was out in the newest drill, as its users see it; the longest of several.",
        newest(&|run| {
            let outages =
                run.applications.iter().filter_map(|application| Some(application.outage.as_ref()?.us()));
            outages.max().map(seconds)
        }),
    );
    let matrix = Matrix::of(lines.iter().filter_map(Line::newest));
    let made = matrix.rows.iter().filter(|row| !row.fault.is_harmless()).count();
    if made > 0 {
        let noticed = made - matrix.unnoticed().count();
        text.gauge("pgdrill_faults_made", "Faults that the newest drills made.", [(Vec::new(), made as f64)]);
        text.gauge("pgdrill_faults_noticed", "Those that were noticed.", [(Vec::new(), noticed as f64)]);
    }
    text.finish()
}

fn of_each<'l>(
    lines: &'l [Line<'l>],
    value: impl Fn(&Line<'l>, Verdict) -> f64 + Copy + 'l,
) -> impl Iterator<Item = Sample> + 'l {
    let verdicts = [Verdict::Proven, Verdict::Disproven, Verdict::Unverified];
    lines.iter().flat_map(move |line| {
        verdicts.map(|verdict| (with(&line.kind, "verdict", verdict.name()), value(line, verdict)))
    })
}

fn labels(kind: &Kind) -> Vec<(&'static str, String)> {
    vec![
        ("scenario", kind.scenario.clone()),
        ("postgres", kind.postgres.to_string()),
        ("runtime", kind.runtime.clone()),
        ("machine", kind.machine.clone()),
    ]
}

fn with(kind: &Kind, name: &'static str, value: &str) -> Vec<(&'static str, String)> {
    let mut labels = labels(kind);
    labels.push((name, value.to_owned()));
    labels
}

fn ended(run: &Run) -> f64 {
    run.started_unix_us.saturating_add_unsigned(run.took_us) as f64 / 1e6
}

fn seconds(us: u64) -> f64 {
    us as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::io::Write;
    use std::process::{Command, Stdio};

    use pgdrill_testkit::sample;

    use super::*;

    /// The samples of a metric, labels and value.
    fn samples<'t>(text: &'t str, name: &str) -> Vec<(&'t str, f64)> {
        text.lines()
            .filter_map(|line| line.strip_prefix(name)?.strip_prefix('{')?.rsplit_once("} "))
            .map(|(labels, value)| (labels, value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn the_newest_run_of_each_kind_is_told_and_when_it_was_last_proven() {
        let proven = sample::proven();
        let mut newer = sample::disproven();
        newer.header = proven.header.clone();
        newer.header.id = "newer".to_owned();
        newer.started_unix_us += 3_600_000_000;
        let text = runs(&[newer.clone(), proven.clone()]);
        let value = |name: &str| samples(&text, name);
        assert_eq!(value("pgdrill_last_run_timestamp_seconds")[0].1, ended(&newer));
        assert_eq!(value("pgdrill_last_proven_timestamp_seconds")[0].1, ended(&proven));
        let verdicts: Vec<f64> = value("pgdrill_last_run_verdict").iter().map(|(_, value)| *value).collect();
        assert_eq!(verdicts, [0.0, 1.0, 0.0]);
        let counts: Vec<f64> = value("pgdrill_runs").iter().map(|(_, value)| *value).collect();
        assert_eq!(counts, [1.0, 1.0, 0.0]);
        assert_eq!(
            value("pgdrill_recovery_time_objective_seconds")[0].1,
            seconds(newer.header.rto_us.unwrap())
        );
    }

    #[test]
    fn phases_are_those_of_the_record_and_add_up() {
        let run = sample::proven();
        let text = runs(std::slice::from_ref(&run));
        let phases = samples(&text, "pgdrill_recovery_phase_seconds");
        assert_eq!(phases.len(), run.recoveries[0].phases.len());
        let sum: f64 = phases.iter().map(|(_, value)| value).sum();
        let whole = samples(&text, "pgdrill_recovery_time_seconds")[0].1;
        assert!((sum - whole).abs() < 0.1, "{sum} of {whole}");
        assert!(phases.iter().any(|(labels, _)| labels.ends_with("phase=\"unpack\"")), "{phases:?}");
    }

    #[test]
    fn losses_outages_and_faults_are_told_where_there_were_any() {
        let proven = runs(&[sample::proven()]);
        for name in ["pgdrill_lost_transactions", "pgdrill_outage_seconds", "pgdrill_faults_made"] {
            assert!(!proven.contains(name), "{name}");
        }
        let lossy = sample::lossy();
        assert_eq!(
            samples(&runs(std::slice::from_ref(&lossy)), "pgdrill_lost_transactions")[0].1,
            lost(&lossy).unwrap() as f64
        );
        assert_eq!(samples(&runs(&[sample::incident()]), "pgdrill_outage_seconds").len(), 1);
        let noticed = runs(&[sample::noticed()]);
        assert_eq!(samples(&noticed, "pgdrill_faults_made"), [("", 1.0)]);
        assert_eq!(samples(&noticed, "pgdrill_faults_noticed"), [("", 1.0)]);
    }

    /// Where it is there, Prometheus' own program reads both: the metrics, and the alerts on them that are shipped.
    #[test]
    fn prometheus_reads_the_metrics_and_the_alerts_and_each_is_on_a_metric_that_there_is() {
        let (mut proven, mut noticed, mut lossy) = (sample::proven(), sample::noticed(), sample::lossy());
        for (run, name) in [(&mut proven, "proven"), (&mut noticed, "noticed"), (&mut lossy, "lossy")] {
            run.header.scenario = name.to_owned();
        }
        let text = runs(&[proven, noticed, lossy]);
        let rules = "../../docs/pgdrill.rules.yaml";
        let known = std::fs::read_to_string(rules).unwrap();
        let words = known.split(|c: char| !c.is_alphanumeric() && c != '_');
        let named: BTreeSet<&str> = words.filter(|word| word.starts_with("pgdrill_")).collect();
        assert!(named.len() > 5, "{named:?}");
        for name in named {
            assert!(text.contains(&format!("# TYPE {name} gauge")), "{name}");
        }
        for (args, input) in [(vec!["check", "metrics"], text.as_str()), (vec!["check", "rules", rules], "")]
        {
            let mut command = Command::new("promtool");
            command.args(&args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
            let Ok(mut promtool) = command.spawn() else {
                eprintln!("SKIPPED: there is no promtool, which the distribution's package prometheus has");
                return;
            };
            promtool.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
            let output = promtool.wait_with_output().unwrap();
            assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        }
    }

    #[test]
    fn every_sample_has_a_type_every_label_is_escaped_and_no_series_stands_twice() {
        let all: Vec<Run> =
            sample::all().into_iter().map(|(_, run)| run).chain([sample::hostile()]).collect();
        let text = runs(&all);
        let mut typed = BTreeSet::new();
        let mut series = BTreeSet::new();
        for line in text.lines() {
            if let Some(typed_as) = line.strip_prefix("# TYPE ") {
                assert!(typed.insert(typed_as.split(' ').next().unwrap()), "{line}");
            } else if !line.starts_with("# HELP ") {
                let (name, value) = line.rsplit_once(' ').unwrap();
                assert!(value.parse::<f64>().is_ok(), "{line}");
                assert!(typed.contains(name.split('{').next().unwrap()), "{line}");
                assert!(series.insert(name), "{line}");
            }
        }
        assert!(typed.len() > 8, "{typed:?}");
    }
}
