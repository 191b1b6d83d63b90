//! Which of the backups somebody means.

use crate::files::shown;
use crate::found::{Backup, Found, Kind};

/// Labels that a hint names.
const NAMED: usize = 3;

/// Which backups are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pick {
    /// The one that was taken last.
    Newest,
    /// The one that was taken first.
    Oldest,
    /// Any, by this seed: the same of the same backups.
    Random(u64),
    /// That of this label, or of this name that people gave to it; `SERVER/LABEL` where several servers have it.
    Label(String),
    /// Every one, good or not.
    All,
}

/// Why there is none that is meant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct NoSuch {
    /// What was asked for and where it was looked for.
    pub message: String,
    /// What to do now.
    pub hint: String,
}

impl NoSuch {
    pub(crate) fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), hint: hint.into() }
    }
}

impl Pick {
    /// Reads what somebody wrote: `newest`, `oldest`, `random`, `all`, or a label.
    pub fn read(text: &str, seed: u64) -> Self {
        match text {
            "newest" | "latest" => Self::Newest,
            "oldest" => Self::Oldest,
            "random" => Self::Random(seed),
            "all" => Self::All,
            label => Self::Label(label.to_owned()),
        }
    }

    /// The backups that are meant, the oldest first. Who asks for a place in time or for chance gets one that says that it can be
    /// restored; who names one gets that.
    ///
    /// # Errors
    ///
    /// There is none, or it is not clear which one is meant.
    pub fn of<'a>(&self, found: &'a Found) -> Result<Vec<&'a Backup>, NoSuch> {
        match self {
            Self::All => Ok(found.backups.iter().collect()),
            Self::Label(label) => labelled(found, label).map(|backup| vec![backup]),
            Self::Newest => Ok(fit(found)?.last().copied().into_iter().collect()),
            Self::Oldest => Ok(fit(found)?.first().copied().into_iter().collect()),
            Self::Random(seed) => {
                let fit = fit(found)?;
                let at = scattered(*seed) % fit.len() as u64;
                Ok(usize::try_from(at).ok().and_then(|at| fit.get(at)).copied().into_iter().collect())
            }
        }
    }
}

/// The backups that say that they can be restored; at least one.
fn fit(found: &Found) -> Result<Vec<&Backup>, NoSuch> {
    let servers = found.servers();
    if servers.len() > 1 {
        let names: Vec<String> = servers.iter().map(|name| shown(name)).collect();
        return Err(NoSuch::new(
            format!("{} holds backups of several servers: {}", found.path.display(), names.join(", ")),
            "say of which, or name one backup as SERVER/LABEL",
        ));
    }
    // Who names the path of one means that one; what is wrong with it is said when it is to be restored.
    if let ([one], Kind::BaseBackup | Kind::Dump) = (found.backups.as_slice(), found.kind) {
        return Ok(vec![one]);
    }
    let fit: Vec<&Backup> = found.backups.iter().filter(|backup| found.why_unfit(backup).is_none()).collect();
    if !fit.is_empty() {
        return Ok(fit);
    }
    let newest = found.backups.last();
    let why = newest.map_or_else(
        || "there is none at all".to_owned(),
        |backup| format!("{}: {}", shown(&backup.label), found.why_unfit(backup).unwrap_or_default()),
    );
    Err(NoSuch::new(
        format!(
            "none of the {} backups in {} can be restored; of the newest, {why}",
            found.backups.len(),
            found.path.display()
        ),
        "take a backup that ends well; what is wrong with each is told when all are asked for",
    ))
}

fn labelled<'a>(found: &'a Found, label: &str) -> Result<&'a Backup, NoSuch> {
    let full = |backup: &Backup| match &backup.server {
        Some(server) => format!("{server}/{}", backup.label),
        None => backup.label.clone(),
    };
    let is = |backup: &&Backup| backup.label == label || full(backup) == label;
    let mut matches: Vec<&Backup> = found.backups.iter().filter(is).collect();
    if matches.is_empty() {
        matches = found.backups.iter().filter(|backup| backup.name.as_deref() == Some(label)).collect();
    }
    match matches.as_slice() {
        [one] => Ok(one),
        [] => {
            let mut near: Vec<(usize, String)> = found
                .backups
                .iter()
                .flat_map(|backup| {
                    [Some(full(backup)), Some(backup.label.clone()), backup.name.clone()]
                        .into_iter()
                        .flatten()
                })
                .map(|name| (strsim::damerau_levenshtein(&cut(label), &cut(&name)), name))
                .collect();
            near.sort();
            near.dedup_by(|one, other| one.1 == other.1 || one.1.ends_with(&format!("/{}", other.1)));
            let names: Vec<String> = near.iter().take(NAMED).map(|(_, name)| shown(name)).collect();
            let hint = if names.is_empty() {
                "there is no backup in it".to_owned()
            } else {
                format!("the nearest are {}", names.join(", "))
            };
            Err(NoSuch::new(format!("{} holds no backup '{}'", found.path.display(), shown(label)), hint))
        }
        several => {
            let names: Vec<String> = several.iter().map(|backup| shown(&full(backup))).collect();
            Err(NoSuch::new(
                format!("{} holds several backups '{}'", found.path.display(), shown(label)),
                format!("name one of {}", names.join(", ")),
            ))
        }
    }
}

/// The beginning of a name: comparing takes as long as both are long, times each other.
fn cut(name: &str) -> String {
    name.chars().take(100).collect()
}

/// A number without a pattern, from one with (SplitMix64).
fn scattered(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Base;
    use crate::found::Held;
    use std::path::PathBuf;

    fn found(labels: &[(&str, Option<&str>)]) -> Found {
        let backups = labels.iter().zip(1..).map(|((label, server), time)| {
            let mut backup = Backup::new(*label, PathBuf::new(), Held::Base(Base::default()));
            backup.server = server.map(str::to_owned);
            backup.finished_us = Some(time);
            backup
        });
        Found {
            path: PathBuf::from("/b"),
            kind: Kind::Set,
            backups: backups.collect(),
            upon: Vec::new(),
            wal: Vec::new(),
            remarks: Vec::new(),
        }
    }

    fn one(pick: &Pick, found: &Found) -> String {
        pick.of(found)
            .map_or_else(|none| format!("{none}; {}", none.hint), |backups| backups[0].label.clone())
    }

    #[test]
    fn newest_and_oldest_are_of_those_that_can_be_restored() {
        let mut all = found(&[("mon", None), ("tue", None), ("wed", None)]);
        assert_eq!(
            (one(&Pick::Newest, &all), one(&Pick::Oldest, &all)),
            ("wed".to_owned(), "mon".to_owned())
        );
        all.backups[2].unfit("it failed");
        assert_eq!(one(&Pick::Newest, &all), "tue");
        assert_eq!(one(&Pick::Label("wed".to_owned()), &all), "wed");
        assert_eq!(Pick::All.of(&all).unwrap().len(), 3);
        all.backups[0].unfit("it failed");
        all.backups[1].unfit("it failed");
        let none = one(&Pick::Newest, &all);
        assert!(
            none.starts_with("none of the 3 backups in /b can be restored; of the newest, wed: it failed;"),
            "{none}"
        );
    }

    #[test]
    fn chance_is_the_same_for_the_same_seed_and_comes_to_all() {
        let all = found(&[("mon", None), ("tue", None), ("wed", None)]);
        let mut seen: Vec<String> = (0..64).map(|seed| one(&Pick::Random(seed), &all)).collect();
        assert_eq!(seen[5], one(&Pick::Random(5), &all));
        seen.sort();
        seen.dedup();
        assert_eq!(seen, ["mon", "tue", "wed"]);
    }

    #[test]
    fn a_label_that_is_not_there_gets_the_nearest() {
        let all = found(&[
            ("20261129T224728", None),
            ("20261130T224728", None),
            ("20261201T224728", None),
            ("nightly", None),
        ]);
        assert_eq!(
            one(&Pick::Label("20261129T224729".to_owned()), &all),
            "/b holds no backup '20261129T224729'; the nearest are 20261129T224728, 20261130T224728, 20261201T224728"
        );
    }

    #[test]
    fn backups_of_several_servers_are_told_apart() {
        let all = found(&[("1", Some("a")), ("1", Some("b"))]);
        assert_eq!(
            one(&Pick::Newest, &all),
            "/b holds backups of several servers: a, b; say of which, or name one backup as SERVER/LABEL"
        );
        assert_eq!(
            one(&Pick::Label("1".to_owned()), &all),
            "/b holds several backups '1'; name one of a/1, b/1"
        );
        let of_b = Pick::Label("b/1".to_owned());
        assert_eq!(of_b.of(&all).unwrap()[0].server.as_deref(), Some("b"));
        assert_eq!(Pick::Newest.of(&all.clone().of_server("a")).unwrap()[0].server.as_deref(), Some("a"));
    }

    #[test]
    fn words_are_read() {
        assert_eq!(Pick::read("newest", 1), Pick::Newest);
        assert_eq!(Pick::read("random", 7), Pick::Random(7));
        assert_eq!(Pick::read("20261129-224634F", 7), Pick::Label("20261129-224634F".to_owned()));
    }
}
