//! Which backups build upon which: the chain of an incremental one, and what of it is not there.

use pgdrill_model::units::Lsn;

use crate::files::shown;
use crate::found::{Backup, Found, Held, State};

/// Backups that are named in words, where none of them is the one that is missed.
const NAMED: usize = 4;

/// Finds for each incremental base backup the one that it is built on: that which began where its label says.
pub(crate) fn built_on(found: &mut Found) {
    let starts: Vec<_> = found
        .all()
        .map(|backup| (backup.label.clone(), backup.system_identifier, backup.timeline, backup.start))
        .collect();
    for backup in found.backups.iter_mut().chain(&mut found.upon) {
        let Some((start, on)) = origin(backup) else { continue };
        let same = |system: Option<u64>| {
            system.is_none() || backup.system_identifier.is_none() || system == backup.system_identifier
        };
        let prior = starts.iter().find(|(label, system, timeline, began)| {
            *label != backup.label && same(*system) && *timeline == Some(on) && *began == Some(start)
        });
        backup.prior = Some(match prior {
            Some((label, ..)) => label.clone(),
            None => format!("a backup that began at {start}"),
        });
    }
}

/// Where the backup began that an incremental one is built on, and on which timeline.
fn origin(backup: &Backup) -> Option<(Lsn, u32)> {
    let Held::Base(base) = &backup.held else { return None };
    let origin = base.label.as_ref()?.incremental?;
    Some((Lsn(origin.start), origin.timeline))
}

impl Found {
    /// Every backup that is known of.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Backup> {
        self.backups.iter().chain(&self.upon)
    }

    /// What a chain lacks of which a base backup is the newest, and why none of those that are there is that; none where it lacks
    /// nothing.
    pub fn lacks(&self, backup: &Backup) -> Option<String> {
        let gone = self.chain(backup).err()?;
        let mut at = backup;
        while let Some(prior) = self.all().find(|other| Some(&other.label) == at.prior.as_ref()) {
            at = prior;
        }
        let (start, timeline) = origin(at).filter(|_| at.prior.as_ref() == Some(&gone))?;
        let others =
            self.all().filter(|other| other.label != at.label && matches!(other.held, Held::Base(_)));
        let why = |other: &Backup| match (other.system_identifier, at.system_identifier) {
            (Some(its), Some(own)) if its != own => {
                format!(
                    "{} is of another cluster: its system identifier is {its}, not {own}",
                    shown(&other.label)
                )
            }
            _ => match (other.start, other.timeline) {
                (Some(began), Some(on)) => {
                    format!("{} began at {began} on timeline {on}", shown(&other.label))
                }
                _ => format!("{} does not say where it began", shown(&other.label)),
            },
        };
        let mut words = vec![format!(
            "{} is an incremental backup, built on one that began at {start} on timeline {timeline}, which is not there",
            shown(&at.label)
        )];
        words.extend(others.take(NAMED).map(why));
        Some(words.join("; "))
    }

    /// The backups that one is built on and itself, the full one first.
    ///
    /// # Errors
    ///
    /// The label of a prior one that is not there, or that is built on itself in the end.
    pub fn chain<'a>(&'a self, backup: &'a Backup) -> Result<Vec<&'a Backup>, String> {
        let mut chain = vec![backup];
        let mut at = backup;
        while let Some(prior) = &at.prior {
            let found = self.all().find(|other| other.label == *prior && other.server == backup.server);
            match found {
                Some(found) if chain.len() <= self.all().count() => chain.push(found),
                _ => return Err(prior.clone()),
            }
            at = found.unwrap_or(at);
        }
        chain.reverse();
        Ok(chain)
    }

    /// Why a backup cannot be restored, by its own description or that of one it is built on.
    pub fn why_unfit(&self, backup: &Backup) -> Option<String> {
        if let State::Unfit(why) = &backup.state {
            return Some(why.clone());
        }
        match self.chain(backup) {
            Err(prior) => Some(format!("it is built on {}, which is not there", shown(&prior))),
            Ok(chain) => chain.iter().find_map(|prior| match &prior.state {
                State::Unfit(why) => Some(format!("it is built on {}: {why}", shown(&prior.label))),
                State::Complete => None,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Base;
    use crate::found::Kind;
    use pgdrill_ondisk::label::{Label, Origin};
    use std::path::PathBuf;

    fn backup(label: &str, prior: Option<&str>) -> Backup {
        let mut backup = Backup::new(label, PathBuf::new(), Held::Base(Base::default()));
        backup.prior = prior.map(str::to_owned);
        backup
    }

    fn found(backups: Vec<Backup>) -> Found {
        Found {
            path: PathBuf::new(),
            kind: Kind::Set,
            backups,
            upon: Vec::new(),
            wal: Vec::new(),
            remarks: Vec::new(),
        }
    }

    #[test]
    fn a_chain_begins_with_the_full_one() {
        let all = found(vec![backup("f", None), backup("i1", Some("f")), backup("i2", Some("i1"))]);
        let chain = all.chain(&all.backups[2]).unwrap();
        assert_eq!(chain.iter().map(|of| of.label.as_str()).collect::<Vec<_>>(), ["f", "i1", "i2"]);
        assert_eq!(all.why_unfit(&all.backups[2]), None);
    }

    #[test]
    fn a_chain_that_is_broken_or_a_circle_is_told() {
        let broken = found(vec![backup("i1", Some("gone")), backup("i2", Some("i1"))]);
        assert_eq!(broken.why_unfit(&broken.backups[1]).unwrap(), "it is built on gone, which is not there");
        let circle = found(vec![backup("a", Some("b")), backup("b", Some("a"))]);
        assert!(circle.chain(&circle.backups[0]).is_err());
        let mut bad = found(vec![backup("f", None), backup("i", Some("f"))]);
        bad.backups[0].unfit("it failed");
        assert_eq!(bad.why_unfit(&bad.backups[1]).unwrap(), "it is built on f: it failed");
    }

    #[test]
    fn what_a_chain_lacks_is_told_with_what_is_there_instead() {
        let label = |start: u64, from: Option<u64>| {
            Label {
            start,
            timeline: 1,
            incremental: from.map(|start| Origin { start, timeline: 1 }),
            ..Label::read(b"START WAL LOCATION: 0/1000028 (file 000000010000000000000001)\nCHECKPOINT LOCATION: 0/1000060\n").unwrap()
        }
        };
        let of = |name: &str, start: u64, from: Option<u64>, system: u64| {
            let base = Base { label: Some(label(start, from)), ..Base::default() };
            let mut backup = Backup::new(name, PathBuf::new(), Held::Base(base));
            (backup.start, backup.timeline) = (Some(Lsn(start)), Some(1));
            backup.system_identifier = Some(system);
            backup
        };
        let mut all = found(vec![of("tuesday", 0x300, Some(0x200), 7), of("monday", 0x200, Some(0x100), 7)]);
        all.upon = vec![of("other", 0x100, None, 8), of("later", 0x400, None, 7)];
        built_on(&mut all);
        assert_eq!(
            all.lacks(&all.backups[0]).unwrap(),
            "monday is an incremental backup, built on one that began at 0/100 on timeline 1, which is not there; tuesday began at \
             0/300 on timeline 1; other is of another cluster: its system identifier is 8, not 7; later began at 0/400 on timeline 1"
        );
        all.upon.push(of("sunday", 0x100, None, 7));
        built_on(&mut all);
        assert_eq!(all.lacks(&all.backups[0]), None);
        let chain = all.chain(&all.backups[0]).unwrap();
        assert_eq!(
            chain.iter().map(|of| of.label.as_str()).collect::<Vec<_>>(),
            ["sunday", "monday", "tuesday"]
        );
    }
}
