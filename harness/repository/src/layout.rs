//! How a backup is to be restored: where its files lie, or what the program that made it must be told.

use std::path::PathBuf;

use pgdrill_backup::parts::{Packed, Part};

use crate::barman::Form as BarmanForm;
use crate::base::Form as BaseForm;
use crate::dump::Form as DumpForm;
use crate::files::shown;
use crate::found::{Backup, Found, Held, WalPlace};
use crate::pick::NoSuch;
use crate::{Tablespace, barman, base, pgbackrest};

/// How a backup is to be restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Copy a data directory and its tablespaces, or combine several. The full one comes first, and the one that is meant last.
    Plain {
        /// The data directories.
        chain: Vec<Chained>,
        /// WAL for them.
        wal: Option<WalPlace>,
        /// The first segment that is needed.
        from: Option<String>,
    },
    /// Unpack the tars of `pg_basebackup`. The full one comes first, and the one that is meant last.
    Tars {
        /// The tars of each backup, the base first.
        chain: Vec<Vec<Part>>,
        /// WAL for them.
        wal: Option<WalPlace>,
        /// The first segment that is needed.
        from: Option<String>,
    },
    /// Combine several, of which some are data directories and some tars. The full one comes first, and the one that is meant last.
    Mixed {
        /// The files of each.
        chain: Vec<Files>,
        /// WAL for them.
        wal: Option<WalPlace>,
        /// The first segment that is needed.
        from: Option<String>,
    },
    /// Unpack one tar of a data directory.
    OneTar {
        /// The file.
        path: PathBuf,
        /// How it is packed.
        packed: Packed,
        /// What comes before the names of all members.
        below: String,
    },
    /// Run pgBackRest.
    PgBackRest {
        /// The repository.
        repository: PathBuf,
        /// The stanza.
        stanza: String,
        /// The label of the backup.
        set: String,
        /// Whether it needs the passphrase, which is only ever given in the environment.
        passphrase: Option<&'static str>,
        /// The tablespaces, each of which must be told another place.
        tablespaces: Vec<Tablespace>,
        /// WAL for it.
        wal: Option<WalPlace>,
        /// The first segment that is needed.
        from: Option<String>,
    },
    /// Run `pg_restore` or `psql`.
    Dump {
        /// The file or directory.
        path: PathBuf,
        /// The format.
        form: DumpForm,
        /// How it is packed as a whole: it must be unpacked first.
        packed: Packed,
        /// The database that was dumped, where it is one and known.
        database: Option<String>,
    },
    /// Run WAL-G with `WALG_FILE_PREFIX` set to the storage.
    WalG {
        /// The storage.
        storage: PathBuf,
        /// The name of the backup.
        name: String,
    },
}

/// The files of one of a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Files {
    /// A data directory.
    Plain(Chained),
    /// The tars of `pg_basebackup`, the base first.
    Tars(Vec<Part>),
}

/// A data directory of a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chained {
    /// The data directory.
    pub data: PathBuf,
    /// Where the files of each tablespace lie.
    pub tablespaces: Vec<Placed>,
    /// Whether it has a manifest, so that every file of it can be verified.
    pub has_manifest: bool,
}

/// A tablespace, and where its files lie in the backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Its OID.
    pub oid: u32,
    /// The directory with its files; none where they lie in the data directory itself.
    pub files: Option<PathBuf>,
}

impl Layout {
    /// What pgBackRest must be told to restore a backup into a directory with its tablespaces below another: every argument but
    /// the name of the program. None where it is for another program.
    pub fn pgbackrest_arguments(&self, data: &str, tablespaces_below: &str) -> Option<Vec<String>> {
        let Self::PgBackRest { repository, stanza, set, passphrase, tablespaces, .. } = self else {
            return None;
        };
        let mut arguments = vec![
            format!("--stanza={stanza}"),
            format!("--repo1-path={}", repository.display()),
            format!("--pg1-path={data}"),
            format!("--set={set}"),
            // What a drill restores must not archive into the repository that it came from.
            "--archive-mode=off".to_owned(),
        ];
        if passphrase.is_some() {
            arguments.push("--repo1-cipher-type=aes-256-cbc".to_owned());
        }
        // The list may not be known, as of an encrypted repository; this is for all.
        arguments.push(format!("--tablespace-map-all={tablespaces_below}"));
        arguments.extend(
            tablespaces
                .iter()
                .map(|of| format!("--tablespace-map={}={tablespaces_below}/{}", of.oid, of.oid)),
        );
        arguments.push("restore".to_owned());
        Some(arguments)
    }
}

impl Found {
    /// How one of the backups is to be restored.
    ///
    /// # Errors
    ///
    /// It cannot be, by its own description, or not by what is known here.
    pub fn layout(&self, backup: &Backup) -> Result<Layout, NoSuch> {
        let cannot = |why: String, hint: &str| {
            NoSuch::new(format!("{} cannot be restored: {why}", shown(&backup.label)), hint)
        };
        if let Some(why) = self.why_unfit(backup) {
            return Err(cannot(why, "choose another backup, or give what is missing"));
        }
        let of_another = |place: &WalPlace| {
            place.system_identifier.is_some() && place.system_identifier != backup.system_identifier
        };
        let wal = self.wal.iter().find(|place| place.server == backup.server && !of_another(place)).cloned();
        match &backup.held {
            Held::PgBackRest(held) => Ok(Layout::PgBackRest {
                repository: self.path.clone(),
                stanza: backup.server.clone().unwrap_or_default(),
                set: backup.label.clone(),
                passphrase: held.encrypted.then_some(pgbackrest::PASSPHRASE),
                tablespaces: held.tablespaces.clone(),
                wal: pgbackrest::wal_of(&self.wal, backup, held).cloned(),
                from: held.archive_start.clone(),
            }),
            Held::WalG(_) => Ok(Layout::WalG { storage: self.path.clone(), name: backup.label.clone() }),
            Held::Dump(dump) => Ok(Layout::Dump {
                path: backup.path.clone(),
                form: dump.form,
                packed: dump.packed,
                database: dump.database.clone(),
            }),
            Held::Base(base::Base { form: BaseForm::OneTar { packed, below }, .. }) => {
                Ok(Layout::OneTar { path: backup.path.clone(), packed: *packed, below: below.clone() })
            }
            Held::Base(_) | Held::Barman(_) => {
                let chain = self
                    .chain(backup)
                    .map_err(|prior| cannot(format!("{prior} is not there"), "give all of its chain"))?;
                files(&chain, wal).ok_or_else(|| {
                    cannot(
                        "its files lie in a way that is not restored here".to_owned(),
                        "restore it with the program that made it, and give the data directory",
                    )
                })
            }
        }
    }
}

/// The files of a chain; none where one lies in a way that is not restored here.
fn files(chain: &[&Backup], wal: Option<WalPlace>) -> Option<Layout> {
    let from = chain.last().and_then(|backup| match &backup.held {
        Held::Base(base) => base.label.as_ref().map(|label| label.segment.clone()),
        Held::Barman(held) => held.begin_wal.clone(),
        _ => None,
    });
    let plain: Option<Vec<Chained>> = chain.iter().map(|backup| chained(backup)).collect();
    if let Some(chain) = plain {
        return Some(Layout::Plain { chain, wal, from });
    }
    let all_tars: Option<Vec<Vec<Part>>> = chain.iter().map(|backup| tars(backup)).collect();
    if let Some(chain) = all_tars {
        return Some(Layout::Tars { chain, wal, from });
    }
    let either =
        |backup: &Backup| chained(backup).map(Files::Plain).or_else(|| tars(backup).map(Files::Tars));
    let mixed: Option<Vec<Files>> = chain.iter().map(|backup| either(backup)).collect();
    mixed.map(|chain| Layout::Mixed { chain, wal, from })
}

fn chained(backup: &Backup) -> Option<Chained> {
    match &backup.held {
        Held::Base(base) if base.form == BaseForm::Plain => {
            let place = |of: &Tablespace| Placed { oid: of.oid, files: of_link(backup, of.oid) };
            let tablespaces = base.tablespaces.iter().map(place).collect();
            Some(Chained { data: backup.path.clone(), tablespaces, has_manifest: base.has_manifest })
        }
        Held::Barman(held) if held.form == BarmanForm::Plain => {
            // Links of the data directory lead to where Barman had them when it took the backup, not to where they are now.
            let place =
                |of: &Tablespace| Placed { oid: of.oid, files: Some(backup.path.join(of.oid.to_string())) };
            let tablespaces = held.tablespaces.iter().map(place).collect();
            Some(Chained { data: backup.path.join("data"), tablespaces, has_manifest: held.has_manifest })
        }
        _ => None,
    }
}

/// Where a link of a plain base backup leads.
fn of_link(backup: &Backup, oid: u32) -> Option<PathBuf> {
    let link = backup.path.join("pg_tblspc").join(oid.to_string());
    std::fs::read_link(&link).ok().map(|to| backup.path.join("pg_tblspc").join(to))
}

fn tars(backup: &Backup) -> Option<Vec<Part>> {
    match &backup.held {
        Held::Base(base::Base { form: BaseForm::Tars(parts), .. }) => Some(parts.clone()),
        Held::Barman(barman::Barman { form: BarmanForm::Tars, .. }) => {
            Some(pgdrill_backup::parts::of_tar(&backup.path.join("data"))).filter(|parts| !parts.is_empty())
        }
        Held::Barman(barman::Barman { form: BarmanForm::Cloud, .. }) => {
            // The same tars under another name.
            let entries = std::fs::read_dir(&backup.path).ok()?;
            let mut parts: Vec<Part> = entries
                .flatten()
                .filter_map(|entry| {
                    let name = entry.file_name().into_string().ok()?;
                    let known = name
                        .strip_prefix("data.")
                        .map_or_else(|| name.clone(), |rest| format!("base.{rest}"));
                    let part = pgdrill_backup::parts::part(&entry.path().with_file_name(known))?;
                    Some(Part { path: entry.path(), ..part })
                })
                .collect();
            parts.sort_by_key(|part| (part.stem != "base", part.stem.clone()));
            parts.first().is_some_and(|part| part.stem == "base").then_some(parts)
        }
        _ => None,
    }
}
