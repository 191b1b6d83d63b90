//! A backup: what may be said of one, and which of it goes together.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::barman;
use super::compress::{Compress, Method, Side};
use super::dump;
use super::file::{BackupArguments, File, Step};
use super::given::FromArguments;
use super::low_level;
use super::mistake::{Note, Span};
use super::pgbackrest::{self, BackupKind};
use super::slot::At;
use super::value::{FromText, read_from_text, whole_number};
use super::wrong::Words;

/// A backup: a base backup, or a dump of every database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backup {
    /// With which program.
    pub tool: BackupTool,
    /// In which form.
    pub format: BackupFormat,
    /// Compressed how.
    pub compress: Compress,
    /// How the WAL that it needs comes into it.
    pub wal: WalMethod,
    /// Which checksums the manifest has of the files.
    pub manifest: ManifestChecksums,
    /// How the checkpoint before it is made.
    pub checkpoint: CheckpointMode,
    /// Whether the server verifies the checksums of the pages that it sends.
    pub verify_checksums: bool,
    /// The most that is sent in a second, in kilobytes.
    pub max_rate: Option<u32>,
    /// From which server it is taken.
    pub from: BackupFrom,
    /// Whether it holds only what changed since a backup before it.
    pub incremental: bool,
    /// Since which of them, where pgBackRest takes it: it calls that its type.
    pub kind: BackupKind,
    /// Whether pgBackRest puts small files together.
    pub bundle: bool,
    /// Whether its files are all of one moment, where the low-level API takes it.
    pub snapshot: bool,
    /// By how many connections `pg_dump` takes a dump of a directory; none leaves it to one.
    pub jobs: Option<u32>,
}

/// A program that takes backups.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BackupTool {
    /// PostgreSQL's own.
    PgBasebackup,
    /// pgBackRest, into a repository of the drill's own.
    #[serde(rename = "pgbackrest")]
    PgBackRest,
    /// Barman, into a home of the drill's own.
    Barman,
    /// PostgreSQL's low-level API: a session begins and ends it, and the files are copied in between by whoever likes.
    #[serde(rename = "low-level")]
    LowLevel,
    /// `pg_dump` of each database, and `pg_dumpall` of what they share: no base backup, and no WAL goes with it.
    PgDump,
}

/// The form of a base backup, or of a dump.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BackupFormat {
    /// A directory like a data directory; of a dump, SQL.
    Plain,
    /// `base.tar`, `pg_wal.tar` and one per tablespace; of a dump, a tar for each database.
    Tar,
    /// A dump in one file, for `pg_restore`.
    Custom,
    /// A dump in a directory, with a file for each table.
    Directory,
}

/// How the WAL that a backup needs comes into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WalMethod {
    /// Streamed beside it.
    Stream,
    /// Fetched at its end.
    Fetch,
    /// Not at all: only the archive has it.
    None,
}

/// The checksums that a backup's manifest has of its files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ManifestChecksums {
    /// CRC-32C, the program's own default.
    Crc32c,
    /// SHA-224
    Sha224,
    /// SHA-256
    Sha256,
    /// SHA-384
    Sha384,
    /// SHA-512
    Sha512,
    /// None: the manifest lists files and sizes.
    None,
}

/// How the checkpoint before a backup is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CheckpointMode {
    /// At once.
    Fast,
    /// Spread over time, as the server's own checkpoints are; the backup waits for it.
    Spread,
}

/// From which server a backup is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackupFrom {
    /// The primary.
    Primary,
    /// A standby, which the drill makes and which streams from the primary.
    Standby,
}

impl Backup {
    /// A full one of plain files, of which nothing more is said: one that is there already, as long as nobody has looked at it, and
    /// what those of other programs than `pg_basebackup` have no words for.
    pub const BARE: Self = Self {
        tool: BackupTool::PgBasebackup,
        format: BackupFormat::Plain,
        compress: Compress::NONE,
        wal: WalMethod::Stream,
        manifest: ManifestChecksums::None,
        checkpoint: CheckpointMode::Fast,
        verify_checksums: false,
        max_rate: None,
        from: BackupFrom::Primary,
        incremental: false,
        kind: BackupKind::Full,
        bundle: false,
        snapshot: false,
        jobs: None,
    };

    /// Whether it is a dump: it holds one moment, and no WAL leads on from it.
    pub fn is_dump(&self) -> bool {
        self.tool == BackupTool::PgDump
    }
}

impl BackupTool {
    /// What people call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::PgBasebackup => "pg_basebackup",
            Self::PgBackRest => "pgBackRest",
            Self::Barman => "Barman",
            Self::LowLevel => "low-level",
            Self::PgDump => "pg_dump",
        }
    }
}

impl BackupFormat {
    /// Its name in the scenario language and in records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Tar => "tar",
            Self::Custom => "custom",
            Self::Directory => "directory",
        }
    }
}

impl WalMethod {
    /// Its name in the scenario language, for the program, and in records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stream => "stream",
            Self::Fetch => "fetch",
            Self::None => "none",
        }
    }
}

impl ManifestChecksums {
    /// Its name for the program and in records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Crc32c => "CRC32C",
            Self::Sha224 => "SHA224",
            Self::Sha256 => "SHA256",
            Self::Sha384 => "SHA384",
            Self::Sha512 => "SHA512",
            Self::None => "NONE",
        }
    }
}

/// Where the first backup stands that something holds of, in a file as it is written.
pub(super) fn first(file: &File, holds: impl Fn(&BackupArguments) -> bool) -> Option<Span> {
    file.steps.0.iter().flat_map(|steps| &steps.what).find_map(|step| match &step.0 {
        Some(At { span, what: Step::Backup(arguments) }) => holds(arguments).then_some(*span),
        _ => None,
    })
}

/// The same of a backup by a tool.
pub(super) fn first_by(file: &File, tool: BackupTool) -> Option<Span> {
    first(file, |arguments| arguments.tool.0.as_ref().is_some_and(|at| at.what == tool))
}

/// `on` or `off`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Switch(pub(super) bool);

impl FromText for Switch {
    const WANTED: &'static str = "on or off";

    fn from_text(text: &str) -> Result<Self, Words> {
        match text {
            "on" | "true" => Ok(Self(true)),
            "off" | "false" => Ok(Self(false)),
            _ => Err(Words::predicate(
                format!("must be {}; found {}", Self::WANTED, super::tree::found_text(text)),
                "",
            )),
        }
    }
}

/// The most that is sent in a second (`MAX_RATE_LOWER` and `MAX_RATE_UPPER`, `src/include/backup/basebackup.h`), in
/// kilobytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct MaxRate(pub(super) u32);

impl FromText for MaxRate {
    const WANTED: &'static str = "kilobytes per second, as in 512k, or megabytes, as in 32M";

    fn from_text(text: &str) -> Result<Self, Words> {
        let (digits, factor) = match (text.strip_suffix('k'), text.strip_suffix('M')) {
            (Some(digits), _) => (digits, 1),
            (_, Some(digits)) => (digits, 1024),
            _ => (text, 1),
        };
        let rate = whole_number(digits, Self::WANTED)?.saturating_mul(factor);
        u32::try_from(rate).ok().filter(|rate| (32..=1 << 20).contains(rate)).map(Self).ok_or_else(|| {
            Words::predicate("is a rate that pg_basebackup does not have", "it can be from 32k to 1024M")
        })
    }
}

read_from_text!(Switch, MaxRate);

/// The backup that `arguments` mean, after the backups `before` it. What makes no sense is noted.
pub(super) fn meaning(
    arguments: BackupArguments,
    span: Span,
    before: &[Backup],
    notes: &mut Vec<Note>,
) -> Backup {
    let tool = arguments.tool.0.as_ref().map_or(BackupTool::PgBasebackup, |at| at.what);
    if let Some(other) = before.iter().find(|other| other.tool != tool) {
        let place = arguments.tool.span().unwrap_or(span);
        notes.push(
            Note::new(place, format!("a backup by {} below one by {}", tool.name(), other.tool.name())).hint(
                "the checks of the one do not apply to the other: make two scenarios of it, and compare their reports",
            ),
        );
    }
    low_level::not_of_others(&arguments, tool, notes);
    match tool {
        BackupTool::PgBasebackup => {}
        BackupTool::PgBackRest => return pgbackrest::meaning(arguments, span, before, notes),
        BackupTool::Barman => return barman::meaning(arguments, notes),
        BackupTool::LowLevel => return low_level::meaning(arguments, notes),
        BackupTool::PgDump => return dump::meaning(arguments, notes),
    }
    pgbackrest::not_of_pg_basebackup(&arguments, notes);
    dump::not_of_pg_basebackup(&arguments, notes);
    let format = arguments.format.what().unwrap_or(BackupFormat::Tar);
    let place = arguments.compress.span();
    let fitting = match format {
        BackupFormat::Tar => Compress::GZIP,
        _ => Compress::NONE,
    };
    let compress = arguments.compress.what().unwrap_or(fitting);
    if let (BackupFormat::Plain, Side::Client, Some(place)) = (format, compress.side, place)
        && compress.method != Method::None
    {
        let server = Compress { side: Side::Server, ..compress };
        notes.push(Note::new(place, "pg_basebackup cannot compress a plain backup").hint(format!(
            "write `format: tar`, or `compress: {server}`: the server compresses, and pg_basebackup unpacks"
        )));
    }
    let incremental_at = arguments.incremental.span();
    let incremental = arguments.incremental.what().is_some_and(|switch| switch.0);
    if incremental && before.is_empty() {
        notes.push(
            Note::new(incremental_at.unwrap_or(span), "an incremental backup without a backup before it")
                .hint(
                    "it holds only what changed since the backup before it: write a full `- backup` above it",
                ),
        );
    }
    Backup {
        tool,
        format,
        compress,
        wal: arguments.wal.what().unwrap_or(WalMethod::Stream),
        manifest: arguments.manifest.what().unwrap_or(ManifestChecksums::Sha256),
        checkpoint: arguments.checkpoint.what().unwrap_or(CheckpointMode::Fast),
        verify_checksums: arguments.verify_checksums.what().is_none_or(|switch| switch.0),
        max_rate: arguments.max_rate.what().map(|rate| rate.0),
        from: match arguments.from.what() {
            Some(FromArguments::Server(server)) => server,
            _ => BackupFrom::Primary,
        },
        incremental,
        kind: BackupKind::Full,
        bundle: false,
        snapshot: false,
        jobs: None,
    }
}
