//! `create-cluster`: makes the primary's cluster, or copies it with its data from a template, starts it with archiving on,
//! and makes its tablespaces. One that is to become a template archives from when it has done so.

use std::path::{Path, PathBuf};
use std::time::Duration;

use pgdrill_model::code::Code;
use pgdrill_model::event::Happening;
use pgdrill_model::finding::{Finding, Unable};
use pgdrill_model::plan::{NewCluster, Server as Name};
use pgdrill_model::scenario::{ArchiveBy, Cluster};
use pgdrill_model::units::Major;
use pgdrill_model::world::{Command, Exit};

use crate::archiving;
use crate::drill::{Drill, Made, Template, disk_full};
use crate::fault;
use crate::server::Server;
use crate::session::{Door, SUPERUSER};
use crate::{receiver, repository, settings, tablespaces, template};

/// A fresh cluster is up within seconds; this is for a machine that is drowning.
const START_LIMIT: Duration = Duration::from_secs(120);

/// initdb of 18 makes page checksums unless it is told not to; before, it was the other way round.
const CHECKSUMS_BY_DEFAULT: Major = Major(18);

pub(super) async fn run(drill: &mut Drill<'_>, wanted: &NewCluster) -> Result<Vec<Finding>, Unable> {
    let NewCluster { cluster, settings, archive: by, .. } = wanted;
    let workspace = drill.workspace;
    workspace.make_dir(&PathBuf::from(Name::Primary.name()))?;
    tablespaces::make_root(workspace, Name::Primary)?;
    if wanted.small_archive {
        fault::small_archive(workspace, cluster.wal_segment_megabytes)?;
    }
    archiving::prepare(workspace, by, drill.run_id)?;
    let writable = [archiving::directories(by), vec!["backup"]].concat();
    let place = drill.open_place(Name::Primary, &writable, &[]).await?;
    drill.recorder.happened(Happening::PlaceOpened {
        server: Name::Primary.name().to_owned(),
        facts: place.facts().clone(),
    });
    // From here on teardown closes the place, whatever becomes of the rest.
    drill.servers.insert(Name::Primary, Server::new(Name::Primary, workspace, place));
    if wanted.settable_clock {
        fault::settable_clock(drill, Name::Primary).await?;
    }
    drill.made = Made {
        cluster: cluster.clone(),
        tablespaces: wanted.tablespaces.clone(),
        archive: by.clone(),
        wal_segment_megabytes: cluster.wal_segment_megabytes,
        shared_settings: settings::shared(wanted.summarize_wal, wanted.settable_clock, settings),
        template: Template::None,
    };
    let key = template::key(drill, wanted).await;
    if let Some(key) = &key
        && let Some(load) = template::take(drill, key).await?
    {
        drill.made.template = Template::Copied(load);
        match serve(drill).await {
            // Whatever a server does not start on is no template.
            Err(unable) if unable.code == Code::ServerStartFailed => template::give_back(drill, key)?,
            served => return served.map(|_| Vec::new()),
        }
    }
    drill.made.template = key.map_or(Template::None, Template::Wanted);
    let major = drill.postgres;
    let server = drill.server(Name::Primary)?;
    let exit = server.place().run(&initdb(&workspace.data(Name::Primary), cluster, major)).await?;
    if !exit.success() {
        return Err(not_made(&exit, cluster));
    }
    match serve(drill).await {
        Ok(()) => Ok(Vec::new()),
        Err(unable) if !settings.is_empty() && unable.code == Code::ServerStartFailed => {
            let lines: Vec<String> =
                settings.iter().map(|(name, setting)| format!("{name} (line {})", setting.line)).collect();
            Err(unable.hint(format!("look at the scenario's settings: {}", lines.join(", "))))
        }
        Err(unable) => Err(unable),
    }
}

/// Starts the primary, with archiving on unless it is to become a template first, and makes its tablespaces where it is
/// not a copy that has them.
///
/// # Errors
///
/// `SERVER_START_FAILED`, `TIME_LIMIT`, `SQL_FAILED`, and what the receiver cannot do.
pub(super) async fn serve(drill: &mut Drill<'_>) -> Result<(), Unable> {
    let (workspace, clock) = (drill.workspace, drill.clock);
    let archives = !matches!(drill.made.template, Template::Wanted(_));
    if archives && drill.made.archive.by == ArchiveBy::PgBackRest {
        // Before the first segment is given to it.
        repository::create_stanza(drill, Name::Primary).await?;
    }
    let Made { cluster: _, tablespaces, archive, wal_segment_megabytes, shared_settings, template } =
        &drill.made;
    let fresh = matches!(template, Template::None | Template::Wanted(_));
    let archiving = if archives { archiving::archiving(workspace, archive, Name::Primary)? } else { None };
    let socket = workspace.socket(Name::Primary);
    let configuration =
        settings::primary(&socket, archiving.as_ref(), *wal_segment_megabytes, shared_settings);
    let tablespaces = if fresh { tablespaces.clone() } else { Vec::new() };
    let server = drill.server(Name::Primary)?;
    server.start(workspace, &configuration).await?;
    let session = server.ready(&Door::superuser(&socket, SUPERUSER), START_LIMIT, clock).await?;
    tablespaces::create(workspace, &session, &tablespaces).await?;
    drop(session);
    if archives { receiver::begin(drill, Name::Primary).await } else { Ok(()) }
}

/// The command that makes a cluster.
pub fn initdb(data: &Path, cluster: &Cluster, major: Major) -> Command {
    let mut arguments: Vec<String> = vec![
        "--pgdata".to_owned(),
        data.display().to_string(),
        format!("--username={SUPERUSER}"),
        "--auth=trust".to_owned(),
        "--encoding=UTF8".to_owned(),
        // The C locale is on every machine and never changes its order.
        format!("--locale={}", cluster.locale.as_ref().map_or("C", |locale| locale.what.as_str())),
        format!("--wal-segsize={}", cluster.wal_segment_megabytes),
        // Nothing of value is in it yet; the load's checkpoint syncs it.
        "--no-sync".to_owned(),
    ];
    if let Some(locale) = &cluster.icu_locale {
        arguments.extend(["--locale-provider=icu".to_owned(), format!("--icu-locale={}", locale.what)]);
    }
    if cluster.checksums {
        arguments.push("--data-checksums".to_owned());
    } else if major >= CHECKSUMS_BY_DEFAULT {
        arguments.push("--no-data-checksums".to_owned());
    }
    Command::postgres("initdb", arguments)
}

/// What it means that initdb failed. The words about a locale are those of `initdb.c` and `pg_locale.c`.
fn not_made(exit: &Exit, cluster: &Cluster) -> Unable {
    const NO_LOCALE: [&str; 5] = [
        "invalid locale",
        "could not open collator",
        "unknown language",
        "could not convert locale name",
        "ICU is not supported",
    ];
    // The message goes on over lines; the first that begins with the program's name says what is wrong.
    let words = exit.stderr.lines().find(|line| line.contains("error"));
    let about_locale = exit.stderr.lines().find(|line| NO_LOCALE.iter().any(|words| line.contains(words)));
    let ended = |words: &str| format!("initdb ended with {}: {}", exit.describe(), words.trim());
    let named: Vec<String> = cluster
        .locale
        .iter()
        .chain(&cluster.icu_locale)
        .map(|locale| format!("{} (line {})", locale.what, locale.line))
        .collect();
    match about_locale {
        Some(words) if !named.is_empty() => {
            let message = format!("there is no locale {} here: {}", named.join(" or "), ended(words));
            Unable::new(Code::LocaleMissing, message)
        }
        _ => {
            let code = if disk_full(&exit.stderr) { Code::DiskFull } else { Code::ServerStartFailed };
            Unable::new(code, ended(words.unwrap_or(exit.last_words())))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pgdrill_model::scenario::Placed;

    #[test]
    fn checksums_are_asked_for_as_the_major_wants_it() {
        let flags = |checksums, major| {
            let made = initdb(Path::new("/d"), &Cluster { checksums, ..Cluster::default() }, Major(major));
            made.args.into_iter().filter(|flag| flag.contains("checksums")).collect::<Vec<_>>()
        };
        assert_eq!(flags(true, 13), ["--data-checksums"]);
        assert_eq!(flags(true, 18), ["--data-checksums"]);
        assert_eq!(flags(false, 17), Vec::<String>::new());
        assert_eq!(flags(false, 18), ["--no-data-checksums"]);
    }

    #[test]
    fn a_missing_locale_is_told_from_other_trouble() {
        let locale = Some(Placed { line: 3, what: "xx_XX.UTF-8".to_owned() });
        let cluster = Cluster { locale, ..Cluster::default() };
        let exit = |stderr: &str| Exit { code: Some(1), stderr: stderr.to_owned(), ..Exit::default() };
        let unable = not_made(&exit("initdb: error: invalid locale name \"xx_XX.UTF-8\"\n"), &cluster);
        assert_eq!(unable.code, Code::LocaleMissing);
        assert!(unable.message.starts_with("there is no locale xx_XX.UTF-8 (line 3) here: "), "{unable}");
        let full = "initdb: error: could not write file: No space left on device\n";
        assert_eq!(not_made(&exit(full), &cluster).code, Code::DiskFull);
        assert_eq!(
            not_made(&exit("initdb: error: directory exists\n"), &cluster).code,
            Code::ServerStartFailed
        );
    }
}
