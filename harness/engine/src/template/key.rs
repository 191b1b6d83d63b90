//! The key of a template: everything that has a part in what a cluster with its data is. Whoever adds to that cannot
//! forget the key: each value is taken apart here, field by field.

use std::collections::BTreeMap;
use std::fmt::{self, Debug, Write};

use pgdrill_model::evidence::PlaceFacts;
use pgdrill_model::scenario::{Cluster, Data, Placed, Setting, Tablespace};
use pgdrill_model::world::Owner;
use sha2::{Digest, Sha256};

use crate::data::{CONSTRAINTS_SQL, GRANTS_SQL, INTEGRITY_SQL, SCHEMA_SQL};

/// The version of a template's form: what is kept of a cluster, and how.
const FORM: u32 = 1;

/// How much of a key is shown.
const SHOWN: usize = 12;

/// Everything that has a part in what a cluster with its data is.
#[derive(Clone, Debug)]
pub struct Origin<'a> {
    /// The program that makes it, so exactly that no other is called the same.
    pub maker: &'a str,
    /// The boot of the machine: what is kept is not forced to disk, so it counts for nothing after another one.
    pub boot: &'a str,
    /// The place that it is made in.
    pub facts: &'a PlaceFacts,
    /// The account that owns its files, where that is not the caller's.
    pub owner: Option<&'a Owner>,
    /// The programs and libraries that make it, where no image fixes them.
    pub programs: &'a [String],
    /// How the cluster is made.
    pub cluster: &'a Cluster,
    /// Its tablespaces.
    pub tablespaces: &'a [Tablespace],
    /// Whether the server summarizes its WAL.
    pub summarize_wal: bool,
    /// The scenario's own settings.
    pub settings: &'a BTreeMap<String, Setting>,
    /// Where all chance comes from.
    pub seed: u64,
    /// What is loaded.
    pub data: Data,
}

/// The key of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key(String);

impl Key {
    /// The key of what comes of `origin`.
    pub fn of(origin: &Origin<'_>) -> Self {
        Self(hex(canonical(origin).as_bytes()))
    }

    /// All of it: the name of the template's directory.
    pub fn name(&self) -> &str {
        &self.0
    }

    /// Whether a file name is a key.
    pub fn is_name(name: &str) -> bool {
        name.len() == 64 && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    }
}

/// Its first characters, which tell it from others.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.get(..SHOWN).unwrap_or(&self.0))
    }
}

/// A line for each part. Texts are quoted, so that none can look like the end of its line.
fn canonical(origin: &Origin<'_>) -> String {
    let Origin {
        maker,
        boot,
        facts,
        owner,
        programs,
        cluster,
        tablespaces,
        summarize_wal,
        settings,
        seed,
        data: Data { orders },
    } = origin;
    let PlaceFacts { runtime, postgres, bin_dir, user, shared, image, image_digest, engine } = facts;
    // In which line of the scenario something stands changes nothing of the cluster.
    let Cluster { locale, icu_locale, checksums, wal_segment_megabytes } = cluster;
    let plain =
        |placed: &Option<Placed<String>>| placed.as_ref().map(|Placed { line: _, what }| what.clone());
    let mut text = String::new();
    let mut part = |name: &str, value: &dyn Debug| {
        let _ = writeln!(text, "{name} {value:?}");
    };
    part("form", &FORM);
    part("maker", maker);
    part("boot", boot);
    part("runtime", runtime);
    part("postgres", postgres);
    part("bin_dir", bin_dir);
    part("user", user);
    part("shared", shared);
    part("image", image);
    part("image_digest", image_digest);
    part("engine", engine);
    part("owner", &owner.map(|Owner { uid, gid, name }| (uid, gid, name)));
    part("programs", programs);
    part("locale", &plain(locale));
    part("icu_locale", &plain(icu_locale));
    part("checksums", checksums);
    part("wal_segment_megabytes", wal_segment_megabytes);
    for Tablespace { name, tables } in *tablespaces {
        part("tablespace", &(name, tables));
    }
    part("summarize_wal", summarize_wal);
    for (name, Setting { value, line: _ }) in *settings {
        part("setting", &(name, value));
    }
    part("seed", seed);
    part("orders", orders);
    for sql in [SCHEMA_SQL, CONSTRAINTS_SQL, GRANTS_SQL, INTEGRITY_SQL] {
        part("sql", &hex(sql.as_bytes()));
    }
    text
}

fn hex(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A key that differs from others by `maker`.
    pub fn key_of(maker: &str) -> Key {
        Told { maker: maker.to_owned(), ..told() }.key()
    }

    /// An origin whose values a test can change.
    #[derive(Clone)]
    struct Told {
        maker: String,
        boot: String,
        facts: PlaceFacts,
        owner: Option<Owner>,
        programs: Vec<String>,
        cluster: Cluster,
        tablespaces: Vec<Tablespace>,
        summarize_wal: bool,
        settings: BTreeMap<String, Setting>,
        seed: u64,
        orders: u64,
    }

    impl Told {
        fn origin(&self) -> Origin<'_> {
            Origin {
                maker: &self.maker,
                boot: &self.boot,
                facts: &self.facts,
                owner: self.owner.as_ref(),
                programs: &self.programs,
                cluster: &self.cluster,
                tablespaces: &self.tablespaces,
                summarize_wal: self.summarize_wal,
                settings: &self.settings,
                seed: self.seed,
                data: Data { orders: self.orders },
            }
        }

        fn key(&self) -> Key {
            Key::of(&self.origin())
        }
    }

    fn placed(what: &str) -> Option<Placed<String>> {
        Some(Placed { line: 1, what: what.to_owned() })
    }

    fn told() -> Told {
        let text = |text: &str| Some(text.to_owned());
        Told {
            maker: "1".to_owned(),
            boot: "b".to_owned(),
            facts: PlaceFacts {
                image: text("i:17"),
                image_digest: text("sha256:1"),
                engine: text("e"),
                ..PlaceFacts::default()
            },
            owner: Some(Owner { uid: 1, gid: 1, name: "p".to_owned() }),
            programs: vec!["postgres 1 1".to_owned()],
            cluster: Cluster::default(),
            tablespaces: vec![Tablespace { name: "t".to_owned(), tables: vec!["Order".to_owned()] }],
            summarize_wal: false,
            settings: [("a".to_owned(), Setting { value: "1".to_owned(), line: 3 })].into(),
            seed: 42,
            orders: 10,
        }
    }

    #[test]
    fn each_part_changes_the_key() {
        let changes: Vec<fn(&mut Told)> = vec![
            |_| {},
            |told| told.maker = "2".to_owned(),
            |told| told.boot = "c".to_owned(),
            |told| told.facts.runtime = "local".to_owned(),
            |told| told.facts.postgres = "postgres (PostgreSQL) 17.1".to_owned(),
            |told| told.facts.bin_dir = "/b".into(),
            |told| told.facts.user = "u".to_owned(),
            |told| told.facts.shared = vec!["s".to_owned()],
            |told| told.facts.image = Some("i:18".to_owned()),
            |told| told.facts.image_digest = Some("sha256:2".to_owned()),
            |told| told.facts.engine = None,
            |told| told.owner = None,
            |told| told.owner.as_mut().unwrap().uid = 2,
            |told| told.owner.as_mut().unwrap().gid = 2,
            |told| told.programs.push("libc 1 1".to_owned()),
            |told| told.cluster.locale = placed("C.UTF-8"),
            |told| told.cluster.icu_locale = placed("C.UTF-8"),
            |told| told.cluster.checksums = false,
            |told| told.cluster.wal_segment_megabytes = 1,
            |told| told.tablespaces.clear(),
            |told| told.tablespaces[0].name = "u".to_owned(),
            |told| told.tablespaces[0].tables.clear(),
            |told| told.summarize_wal = true,
            |told| told.settings.clear(),
            |told| {
                told.settings.insert("a".to_owned(), Setting { value: "2".to_owned(), line: 3 });
            },
            |told| told.seed = 43,
            |told| told.orders = 11,
        ];
        let mut keys: Vec<String> = changes
            .iter()
            .map(|change| {
                let mut told = told();
                change(&mut told);
                told.key().name().to_owned()
            })
            .collect();
        assert!(keys.iter().all(|key| Key::is_name(key)));
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), changes.len());
    }

    #[test]
    fn a_line_of_the_scenario_does_not_change_the_key() {
        let mut moved = told();
        moved.settings.get_mut("a").unwrap().line = 4;
        moved.cluster.locale = Some(Placed { line: 1, what: "C".to_owned() });
        let mut further = moved.clone();
        further.cluster.locale.as_mut().unwrap().line = 9;
        assert_eq!(moved.key(), further.key());
        further.cluster.locale = None;
        assert_eq!(further.key(), told().key());
    }

    #[test]
    fn no_text_can_look_like_two_parts() {
        let mut whole = told();
        whole.maker = "1\nboot \"b\"".to_owned();
        let lines = |told: &Told| canonical(&told.origin()).lines().count();
        assert_eq!(lines(&whole), lines(&told()));
        assert_ne!(whole.key(), told().key());
    }
}
