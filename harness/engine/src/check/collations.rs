//! `collations`: text is ordered by the versions that it was stored by.
//!
//! Where a database recorded no version (the default before 15), that of the primary's library counts.

use pgdrill_model::code::Code;
use pgdrill_model::evidence::{CollationVersion, ServerEvidence};
use pgdrill_model::units::show_count;

use super::{Outcome, finding};
use crate::collations::Collations;

pub(super) fn judge(primary: &ServerEvidence, found: &Collations) -> Outcome {
    let mut findings = Vec::new();
    let (mut used, mut unused) = (0_u64, 0_u64);
    for (name, database) in &found.databases {
        let known = primary.databases.get(name);
        let default = (None, &database.default, known.map(|known| &known.default));
        let named = database.used.iter().map(|(collation, now)| {
            (Some(collation), now, known.and_then(|known| known.used.get(collation)))
        });
        for (collation, now, was) in [default].into_iter().chain(named) {
            used += u64::from(now.uses > 0);
            let Some((wanted, by)) = wanted(now, was) else { continue };
            if now.actual.as_deref() == Some(wanted) {
                continue;
            }
            if now.uses == 0 {
                unused += 1;
                continue;
            }
            let what = match collation {
                Some(collation) => format!("collation {collation} of database {name}"),
                None => format!("the default collation of database {name}"),
            };
            let has =
                now.actual.as_ref().map_or("no version".to_owned(), |actual| format!("version {actual}"));
            let message = format!(
                "{what} ({} {}) is of version {wanted} {by}, and the restored server's library has {has} of it",
                now.provider, now.locale
            );
            findings.push(
                finding(Code::CollationMismatch, message)
                    .about(name)
                    .with("expected", wanted)
                    .with("found", now.actual.as_deref().unwrap_or("none"))
                    .with("uses", now.uses),
            );
        }
    }
    let mut summary = format!("{} collations, {used} of them in use", show_count(found.count()));
    if unused > 0 {
        summary.push_str(&format!("; {unused} that nothing uses have another version"));
    }
    Outcome::of(found.count(), summary, findings)
}

/// The version that is wanted, and who says so.
fn wanted<'a>(
    now: &'a CollationVersion,
    was: Option<&'a CollationVersion>,
) -> Option<(&'a str, &'static str)> {
    let recorded = now.recorded.as_deref().map(|version| (version, "in the database"));
    recorded.or_else(|| was?.actual.as_deref().map(|version| (version, "on the primary")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use pgdrill_model::evidence::DatabaseCollations;

    fn versions(recorded: Option<&str>, actual: Option<&str>, uses: u64) -> CollationVersion {
        CollationVersion {
            provider: "icu".to_owned(),
            locale: "de".to_owned(),
            recorded: recorded.map(str::to_owned),
            actual: actual.map(str::to_owned),
            uses,
        }
    }

    fn judged(was: CollationVersion, now: CollationVersion) -> Outcome {
        let held = |collation| DatabaseCollations {
            used: [("public.de".to_owned(), collation)].into(),
            ..DatabaseCollations::default()
        };
        let databases = |collation| [("trading".to_owned(), held(collation))].into();
        let primary = ServerEvidence { databases: databases(was), ..ServerEvidence::default() };
        judge(&primary, &Collations { version: String::new(), databases: databases(now) })
    }

    #[test]
    fn only_what_is_used_disproves() {
        let good = versions(Some("153.1"), Some("153.1"), 3);
        assert!(judged(good.clone(), good.clone()).found.is_empty());
        let other = judged(good.clone(), versions(Some("153.1"), Some("153.2"), 3));
        assert_eq!(
            other.found[0].message,
            "collation public.de of database trading (icu de) is of version 153.1 in the database, and the restored \
             server's library has version 153.2 of it"
        );
        let unused = judged(good.clone(), versions(Some("153.1"), Some("153.2"), 0));
        assert!(unused.found.is_empty() && unused.summary.contains("1 that nothing uses"), "{unused:?}");
        assert_eq!(judged(good, versions(Some("153.1"), None, 1)).found.len(), 1);
    }

    #[test]
    fn where_nothing_is_recorded_the_primary_s_library_counts() {
        let was = versions(None, Some("2.31"), 1);
        assert!(judged(was.clone(), versions(None, Some("2.31"), 1)).found.is_empty());
        assert_eq!(judged(was, versions(None, Some("2.36"), 1)).found.len(), 1);
        assert!(judged(versions(None, None, 1), versions(None, None, 1)).found.is_empty());
    }
}
