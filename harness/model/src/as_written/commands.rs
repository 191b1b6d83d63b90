//! The texts of the table: the commands of the runbook as they were written, word for word, and the corrected blocks of
//! which the corrected runbook is made.

use super::{AsWritten, Block, By, Commands, Entry, Need, START, Stands, Wall, Wanted};

/// The first line of a corrected block: what fails ends it.
pub(super) const STOP: &str = "set -euo pipefail";

const COPY: &str =
    "sudo cp -r /var/lib/postgresql/data /var/lib/postgresql/data.backup.$(date +%Y%m%d_%H%M%S)";
const ERASE: &str = "sudo rm -rf /var/lib/postgresql/data/*";
const TAKE: &str = "sudo -u postgres pg_basebackup -D /var/lib/postgresql/data -Ft -z -P";
const UNPACK: &str = "sudo tar -xzf /backup/postgresql-$(date +%Y%m%d).tar.gz -C /var/lib/postgresql/";
const CONFIGURE: &str = "sudo -u postgres tee -a /var/lib/postgresql/data/postgresql.conf << EOF
restore_command = 'cp /var/lib/postgresql/archive/%f %p'
recovery_target_time = '2024-10-24 14:30:00'
EOF";
const SIGNAL: &str = "sudo touch /var/lib/postgresql/data/recovery.signal";
const COPY_BACK: &str =
    "sudo cp -r /var/lib/postgresql/data.backup.$(date +%Y%m%d_%H%M%S) /var/lib/postgresql/data";
const IS_OK: &str = "sudo -u postgres psql -c \"SELECT 'Database OK' as status\"";

/// Puts aside what is there: with room for it, as it is, and under a name that is written down when it is whole.
const PUT_ASIDE: Block = &[
    STOP,
    "sudo rm -f /var/lib/postgresql/safety-copy",
    "needed=$(sudo du -s -B1 /var/lib/postgresql/data | cut -f1)",
    "free=$(df --output=avail -B1 /var/lib/postgresql | tail -n 1)",
    "if [ \"$free\" -le \"$needed\" ]; then
  echo \"the safety copy needs $needed bytes and $free are free: nothing was copied\" >&2
  exit 1
fi",
    "safety=/var/lib/postgresql/data.backup.$(date +%Y%m%d_%H%M%S)",
    "sudo cp -a /var/lib/postgresql/data \"$safety\"",
    "echo \"$safety\" | sudo tee /var/lib/postgresql/safety-copy",
];

/// Restores the newest backup: read to its end before anything is erased, and into the directory itself.
const RESTORE: Block = &[
    STOP,
    "safety=$(cat /var/lib/postgresql/safety-copy)",
    "sudo test -f \"$safety/PG_VERSION\"",
    "backup=$(ls -1 /backup/postgresql-*.tar.gz | tail -n 1)",
    "sudo tar -tzf \"$backup\" PG_VERSION backup_label",
    "sudo find /var/lib/postgresql/data -mindepth 1 -delete",
    "sudo -u postgres tar -xzf \"$backup\" -C /var/lib/postgresql/data",
    "sudo -u postgres test -f /var/lib/postgresql/data/global/pg_control",
];

/// Recovers to a time that no clock reads otherwise, and lets the server be written to then.
const TO_A_TIME: Block = &[
    STOP,
    "sudo -u postgres tee -a /var/lib/postgresql/data/postgresql.conf << EOF
restore_command = 'cp /var/lib/postgresql/archive/%f %p'
recovery_target_time = '2024-10-24 14:30:00+03'
recovery_target_action = 'promote'
EOF",
    "sudo -u postgres touch /var/lib/postgresql/data/recovery.signal",
    START,
];

/// Recovers everything that is in the archive.
const TO_THE_END: Block = &[
    STOP,
    "sudo -u postgres tee -a /var/lib/postgresql/data/postgresql.conf << EOF
restore_command = 'cp /var/lib/postgresql/archive/%f %p'
EOF",
    "sudo -u postgres touch /var/lib/postgresql/data/recovery.signal",
    START,
];

/// Takes a cluster, not a tar of one, from another server that is up.
const FROM_A_SERVER: Block = &[
    STOP,
    "sudo find /var/lib/postgresql/data -mindepth 1 -delete",
    "sudo -u postgres pg_basebackup -D /var/lib/postgresql/data -Fp -X stream -c fast -P",
    "sudo -u postgres test -f /var/lib/postgresql/data/global/pg_control",
    START,
];

/// Goes back to the safety copy whose name was written down.
const GO_BACK: Block = &[
    STOP,
    "safety=$(cat /var/lib/postgresql/safety-copy)",
    "sudo test -f \"$safety/global/pg_control\"",
    "sudo find /var/lib/postgresql/data -mindepth 1 -delete",
    "sudo cp -a \"$safety/.\" /var/lib/postgresql/data/",
    START,
];

/// Asks the right database, and whether it is written to again.
pub(super) const COUNTS: Block = &[
    STOP,
    "test \"$(sudo -u postgres psql -d trading -Atc \"SELECT pg_is_in_recovery()\")\" = f",
    "sudo -u postgres psql -d trading -c \"SELECT count(*) FROM \\\"Position\\\"\"",
    "sudo -u postgres psql -d trading -c \"SELECT count(*) FROM \\\"Order\\\"\"",
    "test \"$(sudo -u postgres psql -d trading -Atc \"SELECT count(*) FROM verify_backup_integrity() WHERE status = 'failed'\")\" = 0",
];

/// Asks the services, and hears what they answer.
pub(super) const CHECKS: Block = &[
    "set -o pipefail",
    "curl -fsS -m 10 -X POST http://localhost:4001/api/strategies/list",
    "curl -fsS -m 10 http://localhost:4001/api/public/metrics.prom | grep -E \"(database|connection|query)\"",
];

/// The corrected blocks, with what each of them does.
pub const PREPARED: &[(&str, Block)] = &[
    ("put aside", PUT_ASIDE),
    ("restore", RESTORE),
    ("to a time", TO_A_TIME),
    ("to the end", TO_THE_END),
    ("from a server", FROM_A_SERVER),
    ("go back", GO_BACK),
    ("ask the database", COUNTS),
    ("ask the services", CHECKS),
];

const NOTHING: Commands = Commands { before: &[], step: &[], after: &[], ask: &[], wall: Wall::Server };

/// What most rows have. Name, row and what it does are filled in by the table.
const ROW: Entry = Entry {
    row: AsWritten::BackupOfTheStopped,
    name: "",
    section: "",
    meant: "",
    does: "",
    stands: Stands::Lost,
    needs: &[],
    by: By::Server,
    one_second: false,
    wanted: Wanted::Newest,
    written: NOTHING,
    corrected: NOTHING,
};

pub(super) const BACKUP_OF_THE_STOPPED: Entry = Entry {
    section: "Mitigation, step 2, point-in-time recovery: 3, 4 and 7",
    meant: "Puts the data aside, and restores it from a backup.",
    needs: &[Need::TodaysFile],
    written: Commands { step: &[COPY, ERASE, TAKE, START], ..NOTHING },
    corrected: Commands { before: &[PUT_ASIDE], step: RESTORE, after: &[TO_THE_END], ask: COUNTS, ..NOTHING },
    ..ROW
};

pub(super) const NO_ROOM_FOR_THE_COPY: Entry = Entry {
    section: "Mitigation, step 2, point-in-time recovery: 3 and 4",
    meant: "Puts the data aside before it is erased.",
    needs: &[Need::SmallDisk, Need::TodaysFile],
    written: Commands { step: &[COPY, ERASE], ..NOTHING },
    // The restore is tried all the same, as by somebody who does not look: without a copy it erases nothing.
    corrected: Commands { step: PUT_ASIDE, after: &[RESTORE], ..NOTHING },
    ..ROW
};

pub(super) const COPY_OF_ANOTHER_OWNER: Entry = Entry {
    section: "Mitigation, step 2, point-in-time recovery: 3",
    meant: "Makes a copy to which a server can come back.",
    by: By::Operator,
    wanted: Wanted::OnTheCopy,
    written: Commands { step: &[COPY], ..NOTHING },
    corrected: Commands { step: PUT_ASIDE, ..NOTHING },
    ..ROW
};

pub(super) const TAR_WHERE_A_CLUSTER_SHOULD_BE: Entry = Entry {
    section: "Mitigation, step 2, point-in-time recovery: 4 and 7, with a server that is up",
    meant: "Fills the data directory from a server that is up.",
    stands: Stands::Live,
    written: Commands { step: &[ERASE, TAKE, START], ..NOTHING },
    corrected: Commands { step: FROM_A_SERVER, ask: COUNTS, ..NOTHING },
    ..ROW
};

pub(super) const PAUSES_AT_THE_TARGET: Entry = Entry {
    section: "Mitigation, step 2, point-in-time recovery: 5 to 7, and Verification: 1",
    meant: "Recovers to the moment before the accident, and lets the application in.",
    needs: &[Need::TodaysFile, Need::Mark],
    wanted: Wanted::Marked,
    written: Commands {
        before: &[PUT_ASIDE, RESTORE],
        step: &[CONFIGURE, SIGNAL, START],
        ask: &[IS_OK],
        ..NOTHING
    },
    corrected: Commands {
        before: &[PUT_ASIDE, RESTORE],
        step: TO_A_TIME,
        ask: COUNTS,
        wall: Wall::Operator,
        ..NOTHING
    },
    ..ROW
};

pub(super) const TARGET_WITHOUT_ZONE: Entry = Entry {
    section: "Mitigation, step 2, point-in-time recovery: 5 to 7",
    meant: "Recovers to a moment that somebody read off a clock.",
    written: Commands { ask: &[], wall: Wall::Operator, ..PAUSES_AT_THE_TARGET.written },
    ..PAUSES_AT_THE_TARGET
};

pub(super) const ARCHIVE_TOO_HIGH: Entry = Entry {
    section: "Mitigation, step 2, full database restore: 2 and 3; Rollback, data corruption: 2 and 3",
    meant: "Restores the newest backup in full.",
    needs: &[Need::TodaysFile],
    written: Commands { step: &[ERASE, UNPACK, START], ..NOTHING },
    corrected: Commands { before: &[PUT_ASIDE], step: RESTORE, after: &[TO_THE_END], ask: COUNTS, ..NOTHING },
    ..ROW
};

pub(super) const BACKUP_OF_TODAY: Entry = Entry { needs: &[Need::YesterdaysFile], ..ARCHIVE_TOO_HIGH };

pub(super) const COUNTS_IN_ANOTHER_DATABASE: Entry = Entry {
    section: "Mitigation, step 2, full database restore: 4; Verification: 3; Rollback, data corruption: 4",
    meant: "Verifies that the recovered database holds the application's data.",
    needs: &[Need::TodaysFile],
    wanted: Wanted::NewestAndAnswers,
    written: Commands {
        before: &[PUT_ASIDE, RESTORE, TO_THE_END],
        step: &[
            "sudo -u postgres psql -c \"SELECT count(*) FROM \\\"Position\\\"\"",
            "sudo -u postgres psql -c \"SELECT count(*) FROM \\\"Order\\\"\"",
            "sudo -u postgres psql -c \"SELECT * FROM verify_backup_integrity()\"",
        ],
        ..NOTHING
    },
    corrected: Commands { before: &[PUT_ASIDE, RESTORE, TO_THE_END], step: COUNTS, ..NOTHING },
    ..ROW
};

pub(super) const CHECKS_THAT_CANNOT_FAIL: Entry = Entry {
    section: "Mitigation, step 3: 4; Verification: 4",
    meant: "Tells whether the application works again.",
    by: By::Operator,
    wanted: Wanted::Telling,
    written: Commands {
        step: &[
            "curl -X POST http://localhost:4001/api/strategies/list",
            "curl -s http://localhost:4001/api/public/metrics.prom | grep -E \"(database|connection|query)\"",
        ],
        ..NOTHING
    },
    corrected: Commands { step: CHECKS, ..NOTHING },
    ..ROW
};

pub(super) const COPY_OF_ANOTHER_SECOND: Entry = Entry {
    section: "Rollback, recovery fails: 2 and 3",
    meant: "Goes back to the data that was put aside.",
    written: Commands { before: &[&[COPY]], step: &[ERASE, COPY_BACK, START], ..NOTHING },
    corrected: Commands { before: &[PUT_ASIDE], step: GO_BACK, ask: COUNTS, ..NOTHING },
    ..ROW
};

pub(super) const COPY_INTO_THE_DIRECTORY: Entry = Entry { one_second: true, ..COPY_OF_ANOTHER_SECOND };
