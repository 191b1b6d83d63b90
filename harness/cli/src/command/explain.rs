//! `pgdrill explain`: what a finding code, a check, a fault, an alert, a signal or a step of the runbook means.

use std::fmt::Write;

use anyhow::bail;
use pgdrill_model::alert::{ALERTS, Alert};
use pgdrill_model::as_written::{AsWritten, ROWS};
use pgdrill_model::check::{CHECKS, Check};
use pgdrill_model::code::{CODES, Code, Weight};
use pgdrill_model::fault::{FAULTS, Fault, Site};
use pgdrill_model::triage::{SIGNALS, Signal};

use crate::exit::Exit;
use crate::printer;

pub(super) fn run(name: Option<&str>) -> anyhow::Result<Exit> {
    let text = match name {
        None => all(),
        // Of what has one name, as a code and a fault, both are told.
        Some(name) => {
            let code = name.parse::<Code>().ok().map(explain_code);
            let check = name.parse::<Check>().ok().map(explain_check);
            let fault = name.parse::<Fault>().ok().map(explain_fault);
            let alert = name.parse::<Alert>().ok().map(explain_alert);
            let signal = name.parse::<Signal>().ok().map(explain_signal);
            let step = name.parse::<AsWritten>().ok().map(explain_step);
            let found: Vec<String> =
                [code, check, fault, alert, signal, step].into_iter().flatten().collect();
            if found.is_empty() {
                bail!(
                    "there is no finding code, check, fault, alert, signal or step of the runbook '{name}'; `pgdrill explain` lists them all"
                );
            }
            found.join("\n")
        }
    };
    printer::out(&text)?;
    Ok(Exit::Proven)
}

fn effect(weight: Weight) -> &'static str {
    match weight {
        Weight::Notes => "a note: the verdict stays",
        Weight::Unverifies => "could not verify (exit code 2)",
        Weight::Disproves => "disproven (exit code 1)",
        Weight::Bug => "a bug in pgdrill (exit code 70)",
    }
}

fn explain_code(code: Code) -> String {
    let entry = code.entry();
    let mut text = format!(
        "{}\n\n{}\nWhat now: {}\nVerdict: {}\n",
        entry.name,
        entry.meaning,
        entry.advice,
        effect(entry.weight)
    );
    let checks: Vec<&str> =
        CHECKS.iter().filter(|check| check.codes.contains(&code)).map(|check| check.name).collect();
    if !checks.is_empty() {
        let _ = writeln!(text, "Seen by: {}", checks.join(", "));
    }
    text
}

fn explain_check(check: Check) -> String {
    let entry = check.entry();
    let codes: Vec<&str> = entry.codes.iter().map(|code| code.name()).collect();
    format!(
        "{}\n\n{}\nWhat it does not see: {}\nReports: {}\nAlone it catches: {}\n",
        entry.name,
        entry.doc,
        entry.blind,
        codes.join(", "),
        entry.catches
    )
}

fn explain_fault(fault: Fault) -> String {
    let entry = fault.entry();
    let done_to = match entry.site {
        Site::Server => "the live server, above the disaster",
        Site::Taking => "the backup that is taken next",
        Site::Backup => {
            "the newest stored backup, between the disaster and the recovery; everything else is spared"
        }
        Site::Archive => "the WAL archive, between the disaster and the recovery; everything else is spared",
        Site::Restore => "the next recovery",
        Site::Recovered => "the recovered server, above its checks",
    };
    let codes: Vec<&str> = entry.codes.iter().map(|code| code.name()).collect();
    let noticed = if codes.is_empty() {
        "Nobody may be alarmed.".to_owned()
    } else {
        format!("Noticed by: {}, at {} at the latest", codes.join(" or "), entry.stage.name())
    };
    format!(
        "{}\n\n{}\nPostgreSQL: {}\nDone to: {done_to}\n{noticed}\nIn a scenario: `- fault: {}`\n",
        entry.name, entry.doc, entry.provokes, entry.name
    )
}

fn explain_alert(alert: Alert) -> String {
    let entry = alert.entry();
    format!(
        "{}\n\n{}\nWhat it does not see: {}\nLook first: {}\nIn a scenario: `- watch`, what causes it, and `- alert: {}`; on a \
         server of your own: `pgdrill live watch`\n",
        entry.name, entry.doc, entry.blind, entry.then, entry.name
    )
}

fn explain_signal(signal: Signal) -> String {
    let entry = signal.entry();
    let severity = entry.severity.map_or_else(
        || "none: it tells why nothing is known".to_owned(),
        |severity| format!("{severity}, {}", severity.words()),
    );
    format!(
        "{} (a signal of `pgdrill live triage`)\n\n{}\nSeverity: {severity}\nIn the troubleshooting guide: {}\nLook next: {}\n",
        entry.name,
        entry.doc,
        entry.heading.words(),
        entry.then
    )
}

fn explain_step(step: AsWritten) -> String {
    let entry = step.entry();
    let typed = |block: &[&str]| -> String {
        block.iter().flat_map(|command| command.lines()).fold(String::new(), |mut text, line| {
            let _ = writeln!(text, "    {line}");
            text
        })
    };
    format!(
        "{name}\n\nIn the runbook: {}\nMeant: {}\nAs written: {}\n\n{}\nCorrected:\n\n{}\nIn a scenario: `- as-written: {name}`, \
         or `- as-written: {{ is: {name}, corrected: on }}`\n",
        entry.section,
        entry.meant,
        entry.does,
        typed(entry.written.step),
        typed(entry.corrected.step),
        name = entry.name
    )
}

fn all() -> String {
    let mut text = "Finding codes:\n".to_owned();
    for entry in CODES {
        let _ = writeln!(text, "  {:<22} {}", entry.name, entry.meaning);
    }
    text.push_str("\nChecks:\n");
    for entry in CHECKS {
        let _ = writeln!(text, "  {:<22} {}", entry.name, entry.doc);
    }
    text.push_str("\nFaults:\n");
    for entry in FAULTS {
        let _ = writeln!(text, "  {:<22} {}", entry.name, entry.doc);
    }
    text.push_str("\nAlerts:\n");
    for entry in ALERTS {
        let _ = writeln!(text, "  {:<22} {}", entry.name, entry.doc);
    }
    text.push_str("\nSignals of `live triage`:\n");
    for entry in SIGNALS {
        let _ = writeln!(text, "  {:<22} {}", entry.name, entry.doc);
    }
    text.push_str("\nSteps of the runbook as it was written:\n");
    for entry in ROWS {
        let _ = writeln!(text, "  {:<29} {}", entry.name, entry.does);
    }
    text
}
