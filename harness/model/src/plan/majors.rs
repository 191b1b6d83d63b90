//! What a scenario asks for and a major cannot do: told before anything is done, with the line that asks for it.

use crate::code::Code;
use crate::finding::Unable;
use crate::scenario::{Backup, BackupTool, Method, Placed, Scenario, Side, Step};
use crate::units::Major;

/// LZ4, Zstandard and compression by the server (`pg_basebackup`), the provider ICU for whole databases (`initdb`).
const FIFTEEN: Major = Major(15);
/// Long-distance matching of Zstandard; LZ4 and Zstandard in dumps.
const SIXTEEN: Major = Major(16);
/// Incremental backups.
const SEVENTEEN: Major = Major(17);

/// Something that is asked for.
struct Wish {
    line: usize,
    what: String,
    from: Major,
    instead: &'static str,
}

/// Whether `postgres` can do all that `scenario` asks for.
///
/// # Errors
///
/// `MAJOR_OUT_OF_RANGE`: the first thing that it cannot do, its line, and what to write instead.
pub(super) fn check(scenario: &Scenario, postgres: Major) -> Result<(), Unable> {
    let icu = scenario.cluster.icu_locale.iter().map(|locale| Wish {
        line: locale.line,
        what: "`icu-locale`".to_owned(),
        from: FIFTEEN,
        instead: "write `locale`",
    });
    let backups = scenario.steps.iter().filter_map(|Placed { line, what }| match what {
        Step::Backup(backup) => Some(of_backup(*line, backup)),
        _ => None,
    });
    let beyond = icu.chain(backups.flatten()).find(|wish| postgres < wish.from);
    beyond.map_or(Ok(()), |Wish { line, what, from, instead }| {
        Err(Unable::new(
            Code::MajorOutOfRange,
            format!(
                "{}, line {line}: {what} needs PostgreSQL {from} or later, and {postgres} was asked for",
                scenario.id
            ),
        )
        .hint(format!("{instead}, or say `postgres: '>={from}'` in the scenario")))
    })
}

fn of_backup(line: usize, backup: &Backup) -> Vec<Wish> {
    let compress = backup.compress;
    if backup.is_dump() {
        // Until then pg_dump had gzip alone (`src/bin/pg_dump/compress_io.c`).
        let what = format!("`compress: {}` of a dump", compress.method.name());
        let newer = matches!(compress.method, Method::Lz4 | Method::Zstd);
        let wish = Wish { line, what, from: SIXTEEN, instead: "write `compress: gzip`" };
        return newer.then_some(wish).into_iter().collect();
    }
    // What else is done without pg_basebackup is done for every major.
    if backup.tool != BackupTool::PgBasebackup {
        return Vec::new();
    }
    let wish = |what: &str, from, instead| Wish { line, what: what.to_owned(), from, instead };
    let mut wishes = Vec::new();
    if backup.incremental {
        wishes.push(wish("`incremental: on`", SEVENTEEN, "leave it out"));
    }
    if compress.long {
        wishes.push(wish("`long` of zstd", SIXTEEN, "leave it out"));
    }
    if matches!(compress.method, Method::Lz4 | Method::Zstd) {
        let what = format!("`compress: {}`", compress.method.name());
        wishes.push(wish(&what, FIFTEEN, "write `compress: gzip`"));
    }
    if compress.method != Method::None && compress.side == Side::Server {
        wishes.push(wish(
            "compression by the server",
            FIFTEEN,
            "let the client compress, with `format: tar`",
        ));
    }
    wishes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::parse;
    use rstest::rstest;

    #[rstest]
    #[case("{ compress: gzip:9 }", 13, None)]
    #[case(
        "{ compress: lz4 }",
        14,
        Some("line 5: `compress: lz4` needs PostgreSQL 15 or later, and 14 was asked for")
    )]
    #[case("{ compress: zstd:1 }", 13, Some("line 5: `compress: zstd` needs PostgreSQL 15"))]
    #[case("{ compress: server-gzip }", 13, Some("line 5: compression by the server needs PostgreSQL 15"))]
    #[case("{ compress: 'zstd:3,long' }", 15, Some("line 5: `long` of zstd needs PostgreSQL 16"))]
    #[case("{ compress: 'zstd:3,long' }", 16, None)]
    #[case("{ incremental: on }", 16, Some("line 5: `incremental: on` needs PostgreSQL 17"))]
    #[case("{ incremental: on }", 17, None)]
    fn what_a_major_cannot_do_is_named(
        #[case] backup: &str,
        #[case] major: u16,
        #[case] words: Option<&str>,
    ) {
        let text = format!(
            "title: t\nsteps:\n  - backup\n  - sql: SELECT 1\n  - backup: {backup}\n  - disaster: kill\n  - recover\n  - check: all\n"
        );
        let scenario = parse("a", "a.yaml", &text).unwrap();
        let refused = check(&scenario, Major(major)).err();
        assert_eq!(refused.is_some(), words.is_some(), "{refused:?}");
        if let (Some(unable), Some(words)) = (refused, words) {
            assert_eq!(unable.code, Code::MajorOutOfRange);
            assert!(unable.message.contains(words), "{}", unable.message);
            assert!(unable.hint.unwrap().contains("postgres: '>="));
        }
    }

    #[test]
    fn a_locale_of_icu_is_for_later_majors() {
        let text = "title: t\ncluster:\n  icu-locale: en-US\nsteps:\n  - backup\n  - disaster: kill\n  - recover\n  - check: all\n";
        let unable = check(&parse("a", "a.yaml", text).unwrap(), Major(14)).unwrap_err();
        assert_eq!(
            unable.message,
            "a, line 3: `icu-locale` needs PostgreSQL 15 or later, and 14 was asked for"
        );
    }
}
