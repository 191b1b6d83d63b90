//! What is missing when the commands of a step are done: nothing, or the harm in words.

use super::Wanted;
use crate::evidence::FoundEvidence;
use crate::units::show_bytes;

/// The harm that was found, where there is any.
pub(super) fn of(wanted: Wanted, found: &FoundEvidence) -> Option<String> {
    match wanted {
        Wanted::Telling => telling(found),
        Wanted::NewestAndAnswers => server(found, "the data directory").or_else(|| answers(found)),
        Wanted::OnTheCopy => server(found, "the safety copy"),
        Wanted::Newest | Wanted::Marked => server(found, "the data directory"),
    }
}

/// Whether there is a server on it that takes a write and holds what it must.
fn server(found: &FoundEvidence, on: &str) -> Option<String> {
    if !found.cluster {
        return Some(format!("there is no cluster in {on}{}", instead(found)));
    }
    if found.started != Some(true) {
        let owner = found.owner.map(|owner| format!(", which belongs to the account {owner}"));
        return Some(format!("no server starts on {on}{}: {}", owner.unwrap_or_default(), found.said));
    }
    if found.writes != Some(true) {
        let state = found.state.as_deref().unwrap_or("in an unknown state");
        return Some(format!("the server on {on} answers, is {state}, and takes no write: {}", found.said));
    }
    match found.tables {
        None | Some(0) => Some(format!("nobody could compare what the server on {on} holds")),
        Some(_) if found.differences > 0 => Some(format!(
            "the server on {on} does not hold what was captured: {} of its tables differ",
            found.differences
        )),
        Some(_) => None,
    }
}

/// What is there instead of a cluster.
fn instead(found: &FoundEvidence) -> String {
    let mut parts = Vec::new();
    if found.files_before > 0 {
        parts.push(format!("of {} files {} are left in it", found.files_before, found.files));
    }
    if !found.inside.is_empty() {
        parts.push(format!("it holds {}", found.inside.join(", ")));
    }
    if !found.beside.is_empty() {
        parts.push(format!("beside it lie {}", found.beside.join(", ")));
    }
    let all = show_bytes(found.bytes_before);
    parts.extend(found.copy_bytes.map(|bytes| {
        if bytes < found.bytes_before {
            format!("the safety copy holds {} of {all}", show_bytes(bytes))
        } else {
            "what was in it is only in the safety copy".to_owned()
        }
    }));
    parts.iter().map(|part| format!("; {part}")).collect()
}

/// Whether each command that asked a good server ended well.
fn answers(found: &FoundEvidence) -> Option<String> {
    let failed = found.asked.iter().filter(|asked| asked.code != Some(0)).count();
    match found.asked.len() {
        0 => Some("nothing was asked".to_owned()),
        all if failed > 0 => Some(format!(
            "nothing is wrong with the server, and {failed} of {all} commands that verify it fail"
        )),
        _ => None,
    }
}

/// Whether each command that asks a service ends well where all is well, and only there.
fn telling(found: &FoundEvidence) -> Option<String> {
    let of = |well: bool| found.asked.iter().filter(move |asked| asked.well == well);
    let deaf = of(false).filter(|asked| asked.code == Some(0)).count();
    let wrong = of(true).filter(|asked| asked.code != Some(0)).count();
    if of(true).count() == 0 || of(false).count() == 0 {
        return Some("nothing was asked".to_owned());
    }
    if deaf > 0 {
        let all = of(false).count();
        return Some(format!("{deaf} of {all} commands end with exit code 0 while the service answers 500"));
    }
    (wrong > 0).then(|| format!("{wrong} commands fail while the service answers 200"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::AskedEvidence;

    fn good() -> FoundEvidence {
        FoundEvidence {
            cluster: true,
            started: Some(true),
            writes: Some(true),
            tables: Some(8),
            ..FoundEvidence::default()
        }
    }

    fn asked(well: bool, code: i32) -> AskedEvidence {
        AskedEvidence { text: "curl".to_owned(), well, code: Some(code), said: String::new() }
    }

    #[test]
    fn each_thing_that_is_missing_is_harm() {
        assert_eq!(of(Wanted::Newest, &good()), None);
        let bad = [
            FoundEvidence { cluster: false, ..good() },
            FoundEvidence { started: None, ..good() },
            FoundEvidence { started: Some(false), ..good() },
            FoundEvidence { writes: None, ..good() },
            FoundEvidence { writes: Some(false), ..good() },
            FoundEvidence { tables: None, ..good() },
            FoundEvidence { tables: Some(0), ..good() },
            FoundEvidence { differences: 1, ..good() },
        ];
        for found in bad {
            for wanted in [Wanted::Newest, Wanted::Marked, Wanted::OnTheCopy, Wanted::NewestAndAnswers] {
                assert!(of(wanted, &found).is_some(), "{wanted:?}: {found:?}");
            }
        }
        assert!(of(Wanted::NewestAndAnswers, &good()).is_some(), "nothing was asked");
        let answers = |code| FoundEvidence { asked: vec![asked(true, 0), asked(true, code)], ..good() };
        assert_eq!(of(Wanted::NewestAndAnswers, &answers(0)), None);
        assert!(of(Wanted::NewestAndAnswers, &answers(1)).is_some());
    }

    #[test]
    fn half_a_copy_is_not_taken_for_one() {
        let found = |bytes| FoundEvidence {
            files_before: 9,
            bytes_before: 36 << 20,
            copy_bytes: Some(bytes),
            ..FoundEvidence::default()
        };
        let words = of(Wanted::Newest, &found(20 << 20)).unwrap();
        assert!(words.ends_with("the safety copy holds 20.0 MiB of 36.0 MiB"), "{words}");
        let words = of(Wanted::Newest, &found(36 << 20)).unwrap();
        assert!(words.ends_with("what was in it is only in the safety copy"), "{words}");
    }

    #[test]
    fn a_command_tells_when_it_fails_where_the_service_does_and_only_there() {
        let found = |ill, well| FoundEvidence {
            asked: vec![asked(false, ill), asked(true, well)],
            ..FoundEvidence::default()
        };
        assert_eq!(of(Wanted::Telling, &found(22, 0)), None);
        assert!(of(Wanted::Telling, &found(0, 0)).unwrap().contains("answers 500"));
        assert!(of(Wanted::Telling, &found(22, 22)).unwrap().contains("answers 200"));
        assert!(of(Wanted::Telling, &FoundEvidence::default()).is_some());
        let only_ill = FoundEvidence { asked: vec![asked(false, 22)], ..FoundEvidence::default() };
        assert!(of(Wanted::Telling, &only_ill).is_some());
    }
}
