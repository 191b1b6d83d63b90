//! What the sample runs are made of: a plan, and the evidence of a drill in which everything went well.

use pgdrill_model::check::Check;
use pgdrill_model::event::{Happening, PlannedStep};
use pgdrill_model::event::{Header, Host, Limits};
use pgdrill_model::evidence::PlaceFacts;
use pgdrill_model::evidence::{
    BackupEvidence, BaselineEvidence, CheckRecord, CheckStatus, CollationVersion, DatabaseCollations,
    LoadEvidence, Phase, RecoveryEvidence, ServerEvidence, TableContent,
};
use pgdrill_model::finding::Stage;
use pgdrill_model::units::{Lsn, Major};

/// The steps of the sample plan: name, stage, line of the scenario file, what it does.
const PLAN: [(&str, Stage, Option<usize>, &str); 9] = [
    (
        "create-cluster",
        Stage::Prepare,
        None,
        "initdb with page checksums, archive_command into archive/, start primary",
    ),
    ("load-data", Stage::Prepare, None, "trading schema and 200 000 orders by binary COPY"),
    (
        "backup",
        Stage::Backup,
        Some(8),
        "pg_basebackup (tar, gzip, SHA256 manifest, WAL streamed) into backup/backup-1",
    ),
    ("sql", Stage::Backup, Some(9), "on primary: UPDATE \"Order\" SET status = 'cancelled' WHERE id % 97..."),
    ("switch-wal", Stage::Backup, Some(10), "pg_switch_wal(), wait up to 60.0 s for the archive"),
    ("capture", Stage::Capture, None, "content of the quiet primary, with its position in the WAL"),
    (
        "disaster",
        Stage::Disaster,
        Some(11),
        "SIGKILL the primary and remove its data directory with all WAL in it",
    ),
    (
        "recover",
        Stage::Recover,
        Some(12),
        "unpack backup/backup-1 by tar, replay the archive to its end on timeline latest, promote, first write \
         as trading_app; within 10 min 00 s",
    ),
    (
        "check",
        Stage::Check,
        Some(13),
        "row-counts, fingerprints, read-all, catalog, sequences, collations, conservation, integrity, amcheck, \
         page-checksums, manifest, verify, server-log, first-write, archive-untouched",
    ),
];

/// What each check of the samples looks at, how much of it, and for how many milliseconds.
const CHECKS: [(Check, u64, u64, &str); 15] = [
    (Check::RowCounts, 5, 310, "401 500 rows in 5 tables, as on the primary"),
    (Check::Fingerprints, 401_500, 1_420, "401 500 rows in 5 tables have the primary's fingerprints"),
    (Check::ReadAll, 73, 980, "5 tables and 68 system tables read to the last row"),
    (Check::Catalog, 214, 90, "214 definitions, as on the primary"),
    (Check::Sequences, 3, 40, "3 sequences, 3 columns that they feed"),
    (Check::Collations, 2_412, 61, "2 412 collations, 3 of them in use"),
    (Check::Conservation, 500, 640, "500 positions equal the sums of their fills"),
    (Check::Integrity, 7, 870, "7 of 7 of the database's own checks are ok; skipped: amcheck"),
    (Check::Amcheck, 811, 3_120, "811 relations, indexes against their tables"),
    (Check::PageChecksums, 13_204, 2_610, "13 204 pages in 311 files match their checksums"),
    (Check::Manifest, 1_287, 890, "1 287 files of backup-1, its WAL from 0/6000028 to 0/6000138"),
    (Check::Verify, 1_287, 210, "1 287 files, 12 741 pages, 5 records of WAL"),
    (Check::ServerLog, 24, 4, "24 lines, none worse than LOG"),
    (Check::FirstWrite, 1, 12, "order 200 001 written and read back as trading_app"),
    (Check::ArchiveUntouched, 9, 380, "9 files have the names, times and contents of before"),
];

/// What the samples know when they begin.
pub fn header() -> Header {
    Header {
        id: "m8k2q7x4".to_owned(),
        version: "0.1.0".to_owned(),
        scenario: "smoke/restore-tar-gzip".to_owned(),
        title: "Restore a compressed tar backup and all archived WAL after losing the primary".to_owned(),
        scenario_sha256: "3f6c0d5be1a94f27c8b5a1e07d92f4638be07a1c55d0f9e2b7416c83ad9025ef".to_owned(),
        postgres: Major(15),
        runtime: "local".to_owned(),
        seed: 42,
        plan: PLAN
            .iter()
            .map(|(name, stage, line, does)| PlannedStep {
                name: (*name).to_owned(),
                stage: *stage,
                line: *line,
                does: (*does).to_owned(),
            })
            .collect(),
        checks: Check::all_of(false),
        faults: Vec::new(),
        mutants: Vec::new(),
        archive: "archive_command".to_owned(),
        rto_us: Some(30_000_000),
        rpo: None,
        outage_us: None,
        expect: None,
        repeat: 1,
        compared_with: None,
        drift: None,
        host: Host {
            os: "linux".to_owned(),
            arch: "x86_64".to_owned(),
            cpus: 2,
            memory_bytes: 8 << 30,
            limits: Limits::default(),
        },
        jobs: 1,
    }
}

/// The place of a server.
pub fn place(server: &str) -> Happening {
    Happening::PlaceOpened {
        server: server.to_owned(),
        facts: PlaceFacts {
            runtime: "local".to_owned(),
            postgres: "postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)".to_owned(),
            bin_dir: "/usr/lib/postgresql/15/bin".into(),
            user: "postgres".to_owned(),
            shared: vec!["the host's file system".to_owned(), "the host's processes".to_owned()],
            ..PlaceFacts::default()
        },
    }
}

/// What was loaded.
pub fn load() -> LoadEvidence {
    let rows =
        [("User", 500), ("Strategy", 500), ("Order", 200_000), ("Position", 500), ("AuditLog", 200_000)];
    LoadEvidence {
        rows: rows.map(|(table, rows)| (table.to_owned(), rows)).into(),
        bytes: 57_410_233,
        sha256: "a4e1900c6be5f7738d2f0db4b7c9e65a10f3d2c8975b64e0f1a82c3d4e5f6071".to_owned(),
        took_us: 4_610_000,
        template: None,
    }
}

/// The backup that was taken.
pub fn backup() -> BackupEvidence {
    BackupEvidence {
        name: "backup-1".to_owned(),
        path: None,
        label: None,
        tool: "pg_basebackup".to_owned(),
        format: "tar".to_owned(),
        compress: "gzip".to_owned(),
        compress_side: "client".to_owned(),
        compress_detail: String::new(),
        wal: "stream".to_owned(),
        manifest_checksums: "SHA256".to_owned(),
        from: "primary".to_owned(),
        incremental_of: None,
        tablespaces: 0,
        tablespace_bytes: 0,
        bytes: 21_304_115,
        files: 1_287,
        content_bytes: 124_880_441,
        manifest_sha256: "b5bb9d8014a0f9b1d61e21e796d78dccdf1352f23cd32812f4850b878ae4944c".to_owned(),
        start_lsn: Lsn(0x0600_0028),
        end_lsn: Lsn(0x0600_0138),
        ended_unix_us: 0,
        timeline: 1,
        took_us: 3_050_000,
        copied: None,
    }
}

/// What was there before the disaster.
pub fn baseline() -> BaselineEvidence {
    let content = load()
        .rows
        .into_iter()
        .map(|(table, rows)| {
            let fingerprint = format!("{}:{}", rows * 7_919, rows * 104_729);
            (format!("trading.public.{table}"), TableContent { rows, fingerprint })
        })
        .collect();
    BaselineEvidence {
        lsn: Lsn(0x0900_0060),
        tables: 5,
        rows: 401_500,
        definitions: 214,
        sequences: 3,
        content,
        took_us: 1_890_000,
    }
}

/// What a server said of itself.
pub fn server(name: &str) -> ServerEvidence {
    let version = |provider: &str, locale: &str, version: Option<&str>, uses| CollationVersion {
        provider: provider.to_owned(),
        locale: locale.to_owned(),
        recorded: version.map(str::to_owned),
        actual: version.map(str::to_owned),
        uses,
    };
    let trading = DatabaseCollations {
        default: version("libc", "C", None, 41),
        used: [("pg_catalog.de-x-icu".to_owned(), version("icu", "de", Some("153.120"), 2))].into(),
    };
    let postgres =
        DatabaseCollations { default: version("libc", "C", None, 0), ..DatabaseCollations::default() };
    ServerEvidence {
        server: name.to_owned(),
        version: "15.14 (Debian 15.14-0+deb12u1)".to_owned(),
        databases: [("postgres".to_owned(), postgres), ("trading".to_owned(), trading)].into(),
    }
}

/// A recovery that went well, in 11.3 s.
pub fn recovery() -> RecoveryEvidence {
    let phases = [
        ("detect", 140),
        ("fetch", 0),
        ("unpack", 1_980),
        ("start", 610),
        ("replay", 7_940),
        ("promote", 590),
        ("first-write", 14),
    ];
    RecoveryEvidence {
        server: "restored".to_owned(),
        by: "tar".to_owned(),
        backups: vec!["backup-1".to_owned()],
        tablespaces: 0,
        target: "latest".to_owned(),
        state: Some("promoted".to_owned()),
        reached_lsn: Some(Lsn(0x0900_0060)),
        timeline: Some(2),
        segments: 3,
        last_segment: Some("000000010000000000000008".to_owned()),
        phases: phases.map(|(name, millis)| Phase { name: name.to_owned(), took_us: millis * 1_000 }).into(),
        rto_us: Some(11_274_000),
        quarantine: [("archive_mode", "off"), ("primary_conninfo", ""), ("shared_preload_libraries", "")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        ..RecoveryEvidence::default()
    }
}

/// A check that held, in its usual words.
pub fn held(check: Check) -> CheckRecord {
    let (_, examined, millis, summary) =
        CHECKS.into_iter().find(|row| row.0 == check).expect("every check has a row here");
    CheckRecord {
        check,
        server: "restored".to_owned(),
        status: CheckStatus::Held,
        examined,
        summary: summary.to_owned(),
        took_us: millis * 1_000,
    }
}
