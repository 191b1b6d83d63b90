//! Signed evidence: what a signature is of, what it holds against, and every way to touch a directory that was signed.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use pgdrill_engine::{chain, journal};
use pgdrill_model::redact::Redactor;
use pgdrill_model::run::Run;
use pgdrill_model::verdict::Verdict;
use pgdrill_report::attestation::BUNDLE;
use pgdrill_report::record;
use pgdrill_testkit::sample;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use rstest::rstest;
use serde_json::Value;

use crate::desk::{Desk, Done};

/// A desk with keys, and with records in a chain in `e`. Nothing of it needs a server.
struct Signed {
    desk: Desk,
}

impl Signed {
    /// With so many proven drills, not signed yet.
    fn unsigned(count: usize) -> Self {
        let signed = Self { desk: Desk::new() };
        signed.make_key("key");
        for number in 0..count {
            signed.put("e", &drill(number));
        }
        signed
    }

    /// With so many proven drills, signed by `key`.
    fn with(count: usize) -> Self {
        let signed = Self::unsigned(count);
        signed.sign().ends_with(0);
        signed
    }

    fn make_key(&self, name: &str) {
        openssl(&self.desk, &format!("genpkey -algorithm ed25519 -out {name}.pem"));
        openssl(&self.desk, &format!("pkey -in {name}.pem -pubout -out {name}.pub"));
    }

    fn put(&self, directory: &str, run: &Run) -> PathBuf {
        let record = record::seal(run, &Redactor::default());
        journal::store(&self.path(directory), &record::file_name(run), &record).unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.desk.path(name)
    }

    fn sign(&self) -> Done {
        self.desk.pgdrill(&["report", "e", "--sign", "key.pem"])
    }

    fn check(&self) -> Done {
        self.desk.pgdrill(&["report", "e", "--check", "--key", "key.pub"])
    }

    fn records(&self) -> Vec<PathBuf> {
        let mut records = self.desk.files("json");
        records.sort();
        records
    }

    fn bundle(&self) -> PathBuf {
        self.path("e").join(BUNDLE)
    }

    /// The statement of the only signature.
    fn statement(&self) -> Value {
        let script = format!("jq -r .payload e/{BUNDLE} | base64 -d");
        let output = Command::new("sh").args(["-c", &script]).current_dir(self.path("")).output().unwrap();
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// The chain anew, in an order and with the content that an attacker likes: all its links are right.
    fn chain_anew(&self, records: &[PathBuf]) {
        fs::remove_file(chain::path(&self.path("e"))).unwrap();
        let entries: Vec<chain::Entry> = records
            .iter()
            .map(|path| chain::Entry {
                name: path.file_name().unwrap().to_string_lossy().into_owned(),
                sha256: hex::encode(<sha2::Sha256 as sha2::Digest>::digest(fs::read(path).unwrap())),
            })
            .collect();
        chain::write(&self.path("e"), &entries).unwrap();
    }

    /// The script that is told to users, with openssl and without pgdrill.
    fn script(&self, directory: &str) -> Output {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/check-evidence.sh");
        Command::new(script).args([directory, "key.pub"]).current_dir(self.path("")).output().unwrap()
    }
}

/// A proven drill, another one for each number.
fn drill(number: usize) -> Run {
    let mut run = sample::proven();
    run.header.scenario = format!("s/{}", number % 3);
    run.started_unix_us += number as i64 * 60_000_000;
    run.header.id = format!("run{number}");
    run
}

fn openssl(desk: &Desk, args: &str) {
    let output = Command::new("openssl").args(args.split(' ')).current_dir(desk.path("")).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

#[test]
fn what_is_signed_is_checked_and_what_came_later_is_told() {
    let signed = Signed::unsigned(2);
    let done = signed.desk.pgdrill(&["report", "e", "--check"]);
    done.ends_with(0);
    assert!(!done.stdout.contains("signature"), "{}", done.stdout);
    let done = signed.sign();
    done.ends_with(0);
    assert!(done.stdout.contains("e: signed all 2 records by the key "), "{}", done.stdout);
    assert!(done.stdout.contains(", which had signed nothing here; result PASSED\n"), "{}", done.stdout);
    let done = signed.check();
    done.ends_with(0);
    assert!(done.stdout.contains("e: 2 records signed at 20"), "{}", done.stdout);
    assert!(!done.stdout.contains("not signed") && done.stderr.is_empty(), "{}{}", done.stdout, done.stderr);
    // Never silently.
    let done = signed.desk.pgdrill(&["report", "e", "--check"]);
    done.ends_with(0);
    assert!(done.stdout.contains("e: its signatures were not checked; --key PUBLIC.pem"), "{}", done.stdout);
    let later = signed.put("e", &drill(2));
    let done = signed.check();
    done.ends_with(0);
    let told = format!("e: 1 record is not signed, from {} on\n", name(&later));
    assert!(done.stdout.contains(&told), "{}", done.stdout);
    let done = signed.sign();
    done.ends_with(0);
    assert!(done.stdout.contains("e: signed all 3 records") && !done.stdout.contains("nothing here"));
    let done = signed.check();
    assert!(done.stdout.contains("e: 3 records signed at") && !done.stdout.contains("not signed"));
    assert_eq!(fs::read_to_string(signed.bundle()).unwrap().lines().count(), 1);
    // Nothing half-written stays, and nothing of the private key is anywhere.
    let key = fs::read_to_string(signed.path("key.pem")).unwrap();
    let key = key.lines().nth(1).unwrap();
    for entry in fs::read_dir(signed.path("e")).unwrap() {
        let path = entry.unwrap().path();
        assert!(!name(&path).ends_with(".part"), "{path:?}");
        assert!(!String::from_utf8_lossy(&fs::read(&path).unwrap()).contains(key), "{path:?}");
    }
}

#[test]
fn the_statement_says_what_the_records_say() {
    let signed = Signed::unsigned(4);
    let mut disproven = drill(4);
    disproven.verdict = Verdict::Disproven;
    disproven.header.scenario = "s/bad".to_owned();
    let bad = signed.put("e", &disproven);
    let mut unclear = drill(5);
    unclear.verdict = Verdict::Unverified;
    unclear.header.scenario = "s/unclear".to_owned();
    signed.put("e", &unclear);
    signed.sign().ends_with(0);
    let statement = signed.statement();
    let predicate = &statement["predicate"];
    assert_eq!(predicate["result"], "FAILED");
    let tests = |kind: &str| -> Vec<String> {
        let tests = predicate[kind].as_array().unwrap().iter();
        tests.map(|test| test.as_str().unwrap().split(' ').next().unwrap().to_owned()).collect()
    };
    assert_eq!(tests("passedTests"), ["s/0", "s/1", "s/2"]);
    assert_eq!(
        (tests("warnedTests"), tests("failedTests")),
        (vec!["s/unclear".to_owned()], vec!["s/bad".to_owned()])
    );
    let ours = &predicate["pgdrill"];
    let head = chain::check(&signed.path("e")).unwrap().head;
    assert_eq!(
        (ours["chain"]["records"].as_u64(), ours["chain"]["head"].as_str()),
        (Some(6), head.as_deref())
    );
    assert_eq!(ours["version"], env!("CARGO_PKG_VERSION"));
    let newest = ours["newest"].as_array().unwrap();
    let of_bad = newest.iter().find(|one| one["record"] == name(&bad).as_str()).unwrap();
    assert_eq!((newest.len(), &of_bad["verdict"]), (5, &"disproven".into()));
    assert_eq!(statement["subject"].as_array().unwrap().len(), 7);
}

/// As the user is told that it can be done: with openssl, jq and sha256sum, and without pgdrill.
#[test]
fn another_tool_comes_to_the_same_end() {
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md")).unwrap();
    assert!(readme.contains("docs/check-evidence.sh DIR PUBLIC.pem"));
    let signed = Signed::with(3);
    let whole = signed.script("e");
    let said = String::from_utf8_lossy(&whole.stdout).into_owned();
    assert!(whole.status.success() && said.contains("PASSED: 3 records, signed at 20"), "{whole:?}");
    signed.put("e", &drill(3));
    assert!(signed.script("e").status.success(), "what came later");
    let records = signed.records();
    let before = fs::read(&records[1]).unwrap();
    fs::write(&records[1], [&before[..], b"\n"].concat()).unwrap();
    let changed = signed.script("e");
    let said = String::from_utf8_lossy(&changed.stdout).into_owned();
    assert!(
        !changed.status.success() && said.contains(&format!("{}: FAILED", name(&records[1]))),
        "{changed:?}"
    );
    signed.chain_anew(&records);
    assert!(!signed.script("e").status.success(), "a chain made anew");
    fs::write(&records[1], before).unwrap();
    signed.chain_anew(&records);
    assert!(signed.script("e").status.success(), "as it was");
    let bundle = fs::read_to_string(signed.bundle()).unwrap();
    fs::write(signed.bundle(), bundle.replacen("\"payload\":\"eyJ", "\"payload\":\"eyK", 1)).unwrap();
    assert!(!signed.script("e").status.success(), "a changed statement");
    fs::write(signed.bundle(), "").unwrap();
    let stripped = signed.script("e");
    assert!(
        String::from_utf8_lossy(&stripped.stderr).contains("there is not one signature that names the key"),
        "{stripped:?}"
    );
}

/// What somebody does to a signed directory of four records, and a word of what is told.
#[rstest]
#[case::a_byte_of_a_record(|it: &Signed| {
    let record = &it.records()[1];
    let mut bytes = fs::read(record).unwrap();
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    fs::write(record, bytes).unwrap();
}, "it was changed since it was sealed")]
#[case::a_record_and_the_chain_made_anew(|it: &Signed| {
    let record = &it.records()[1];
    let mut run = drill(1);
    run.reason = "all was well".to_owned();
    fs::write(record, record::seal(&run, &Redactor::default())).unwrap();
    it.chain_anew(&it.records());
}, "and was changed since")]
#[case::a_record_removed(|it: &Signed| fs::remove_file(&it.records()[1]).unwrap(), "it is gone")]
#[case::a_record_removed_and_the_chain_made_anew(|it: &Signed| {
    fs::remove_file(&it.records()[1]).unwrap();
    it.chain_anew(&it.records());
}, "it was cut off: 3 records are in it, and a chain of 4 was signed at")]
#[case::put_elsewhere(|it: &Signed| {
    let mut records = it.records();
    records.swap(1, 2);
    it.chain_anew(&records);
}, "its first 4 lines are not those of which a chain was signed")]
#[case::one_put_in(|it: &Signed| {
    let run = drill(1_000);
    fs::write(it.path("e").join(record::file_name(&run)), record::seal(&run, &Redactor::default())).unwrap();
}, "it is in no chain")]
#[case::one_put_in_before_and_the_chain_made_anew(|it: &Signed| {
    let run = drill(1_000);
    let path = it.path("e").join(record::file_name(&run));
    fs::write(&path, record::seal(&run, &Redactor::default())).unwrap();
    it.chain_anew(&[vec![path], it.records()[..4].to_vec()].concat());
}, "its first 4 lines are not those of which a chain was signed")]
#[case::the_newest_cut_off(|it: &Signed| {
    fs::remove_file(&it.records()[3]).unwrap();
    let chain = chain::path(&it.path("e"));
    let text = fs::read_to_string(&chain).unwrap();
    let kept: String = text.lines().take(3).map(|line| format!("{line}\n")).collect();
    fs::write(chain, kept).unwrap();
}, "it was cut off: 3 records are in it, and a chain of 4 was signed at")]
#[case::everything_but_the_signature_removed(|it: &Signed| {
    it.records().iter().for_each(|record| fs::remove_file(record).unwrap());
    fs::remove_file(chain::path(&it.path("e"))).unwrap();
}, "it was cut off: 0 records are in it")]
#[case::the_last_line_break_of_the_chain(|it: &Signed| {
    let chain = chain::path(&it.path("e"));
    let text = fs::read_to_string(&chain).unwrap();
    fs::write(chain, text.trim_end()).unwrap();
}, "its first 4 lines are not those of which a chain was signed")]
#[case::a_changed_statement(|it: &Signed| {
    let text = fs::read_to_string(it.bundle()).unwrap();
    fs::write(it.bundle(), text.replacen("\"payload\":\"eyJ", "\"payload\":\"eyK", 1)).unwrap();
}, "line 1 was changed since the key")]
#[case::another_key_that_claims_to_be_this_one(|it: &Signed| {
    it.make_key("other");
    let own = fs::read_to_string(it.bundle()).unwrap();
    fs::remove_file(it.bundle()).unwrap();
    it.desk.pgdrill(&["report", "e", "--sign", "other.pem"]).ends_with(0);
    let id = |text: &str| text.split("\"keyid\":\"").nth(1).unwrap()[..64].to_owned();
    let other = fs::read_to_string(it.bundle()).unwrap();
    fs::write(it.bundle(), other.replace(&id(&other), &id(&own))).unwrap();
}, "line 1 was changed since the key")]
#[case::another_key(|it: &Signed| {
    it.make_key("other");
    fs::remove_file(it.bundle()).unwrap();
    it.desk.pgdrill(&["report", "e", "--sign", "other.pem"]).ends_with(0);
}, "no signature in chain.txt.intoto.jsonl is of a key that was given; they name ")]
#[case::the_signature_stripped(|it: &Signed| fs::remove_file(it.bundle()).unwrap(),
    "there is no chain.txt.intoto.jsonl: nothing was signed, or the signatures were taken away")]
#[case::the_signature_of_another_directory(|it: &Signed| {
    for number in [7, 8] {
        it.put("f", &drill(number));
    }
    it.desk.pgdrill(&["report", "f", "--sign", "key.pem"]).ends_with(0);
    fs::copy(it.path("f").join(BUNDLE), it.bundle()).unwrap();
}, "or the signature is of another directory")]
#[case::a_line_that_is_no_signature(|it: &Signed| {
    let text = fs::read_to_string(it.bundle()).unwrap();
    fs::write(it.bundle(), text + "{}\n").unwrap();
}, "line 2 is no signature")]
fn whoever_touches_a_signed_directory_is_told(#[case] touch: fn(&Signed), #[case] words: &str) {
    let signed = Signed::with(4);
    touch(&signed);
    let done = signed.check();
    done.ends_with(2);
    assert!(done.stderr.contains(words), "{}", done.stderr);
    assert!(done.stderr.lines().all(|line| line.starts_with("pgdrill: e")), "{}", done.stderr);
}

/// The chain is as it was signed, and a file is not as the chain says: both is told.
#[test]
fn of_what_was_changed_nobody_is_told_that_it_is_signed() {
    let signed = Signed::with(2);
    fs::write(&signed.records()[0], "{}").unwrap();
    let done = signed.check();
    done.ends_with(2);
    let told = "e: its chain still begins as it was signed at 20";
    assert!(done.stdout.contains(told) && !done.stdout.contains("records signed"), "{}", done.stdout);
    assert!(!done.stdout.contains("PASSED"), "{}", done.stdout);
}

/// The same, where it is to be signed again: a signature that was taken away is not missed, and that is told.
#[test]
fn what_does_not_hold_is_not_signed() {
    let signed = Signed::with(3);
    let bundle = fs::read(signed.bundle()).unwrap();
    let records = signed.records();
    let before = fs::read(&records[0]).unwrap();
    fs::write(&records[0], [&before[..], b" "].concat()).unwrap();
    let refused = |words: &str| {
        let done = signed.sign();
        done.ends_with(2);
        assert!(done.stderr.contains(words), "{}", done.stderr);
        assert!(done.stderr.ends_with("pgdrill: e: not signed: not everything holds\n"), "{}", done.stderr);
        assert_eq!(fs::read(signed.bundle()).unwrap(), bundle);
    };
    refused("it was changed since it was sealed");
    signed.chain_anew(&records);
    refused("its first 3 lines are not those");
    // Its own seal is not whole, whatever the chain says; so nobody knows its verdict.
    fs::write(&records[0], String::from_utf8(before).unwrap().replace("proven", "Proven")).unwrap();
    signed.chain_anew(&records);
    refused("the record was changed after it was sealed");
    // Whoever took the signature away as well is found out by whoever says that there was one.
    fs::write(&records[0], record::seal(&drill(0), &Redactor::default())).unwrap();
    fs::remove_file(chain::path(&signed.path("e"))).unwrap();
    fs::remove_file(&records[2]).unwrap();
    signed.put("e", &drill(7));
    fs::remove_file(signed.bundle()).unwrap();
    let done = signed.desk.pgdrill(&["report", "e", "--sign", "key.pem", "--key", "key.pub"]);
    done.ends_with(2);
    assert!(done.stderr.contains("or the signatures were taken away"), "{}", done.stderr);
    assert!(!signed.bundle().exists());
    signed.sign().ends_with(0);
    signed.desk.pgdrill(&["report", "e", "--sign", "key.pem", "--key", "key.pub"]).ends_with(0);
    let empty = signed.path("empty");
    fs::create_dir(&empty).unwrap();
    let done = signed.desk.pgdrill(&["report", "empty", "--sign", "key.pem"]);
    done.ends_with(2);
    assert_eq!(done.stderr, "pgdrill: empty: not signed: no record is in a chain\n");
    assert_eq!(fs::read_dir(empty).unwrap().count(), 0);
}

#[test]
fn two_keys_sign_side_by_side_and_each_is_checked_by_its_own() {
    let signed = Signed::with(2);
    signed.make_key("other");
    signed.put("e", &drill(2));
    let done = signed.desk.pgdrill(&["report", "e", "--sign", "other.pem"]);
    done.ends_with(0);
    assert!(done.stdout.contains("not checked: signatures of other keys, "), "{}", done.stdout);
    let both = signed.desk.pgdrill(&["report", "e", "--check", "--key", "key.pub", "--key", "other.pub"]);
    both.ends_with(0);
    assert!(both.stdout.contains("e: 2 records signed at") && both.stdout.contains("e: 3 records signed at"));
    assert!(!both.stdout.contains("not "), "{}", both.stdout);
    let one = signed.check();
    one.ends_with(0);
    assert!(
        one.stdout.contains("e: 1 record is not signed") && one.stdout.contains("not checked"),
        "{}",
        one.stdout
    );
}

/// What is wrong with a file of a key, and a word of what is told. All of it is usage.
#[rstest]
#[case::missing("rm key.pem", "cannot read the key key.pem: No such file or directory")]
#[case::a_directory("rm key.pem; mkdir key.pem", "cannot read the key key.pem: it is a directory")]
#[case::not_a_key("echo hello >key.pem", "key.pem: it is no key in PEM")]
#[case::binary("printf '\\377\\376' >key.pem", "key.pem: it is no key in PEM, but binary")]
#[case::empty("true >key.pem", "key.pem: it is no key in PEM")]
#[case::cut("head -c 60 key.pem >k; cat k >key.pem", "key.pem: the key is damaged")]
#[case::public("cat key.pub >key.pem", "key.pem: it holds \"PUBLIC KEY\", and \"PRIVATE KEY\" is needed")]
#[case::rsa(
    "openssl genrsa 2>&- >key.pem",
    "key.pem: it is a key of another algorithm (OID 1.2.840.113549.1.1.1)"
)]
#[case::ec(
    "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 >key.pem",
    "key.pem: it is a key of another algorithm"
)]
#[case::ed448("openssl genpkey -algorithm ed448 >key.pem", "key.pem: it is a key of another algorithm")]
#[case::encrypted(
    "openssl pkey -in key.pem -aes256 -passout pass:x >k; cat k >key.pem",
    "key.pem: the key is encrypted"
)]
#[case::for_a_group("chmod 640 key.pem", "key.pem: others may read this key (mode 0640)")]
#[case::for_everybody("chmod 604 key.pem", "key.pem: others may read this key (mode 0604)")]
fn a_file_that_is_no_key_to_sign_with_is_refused(#[case] script: &str, #[case] words: &str) {
    let signed = Signed::unsigned(1);
    let made = Command::new("sh").args(["-c", script]).current_dir(signed.path("")).status().unwrap();
    assert!(made.success());
    let done = signed.sign();
    done.ends_with(64);
    assert!(done.stderr.contains(words), "{}", done.stderr);
    assert!(!signed.bundle().exists());
}

#[test]
fn a_file_that_is_no_key_to_check_with_is_refused_too() {
    let signed = Signed::with(1);
    let with = |key: &str| signed.desk.pgdrill(&["report", "e", "--check", "--key", key]);
    with("key.pem").ends_with(64);
    assert!(with("key.pem").stderr.contains("it holds \"PRIVATE KEY\", and \"PUBLIC KEY\" is needed"));
    assert!(with("none.pub").stderr.contains("cannot read the key none.pub"));
    openssl(&signed.desk, "genpkey -algorithm ed448 -out ed448.pem");
    openssl(&signed.desk, "pkey -in ed448.pem -pubout -out ed448.pub");
    assert!(with("ed448.pub").stderr.contains("it is a key of another algorithm"));
}

#[test]
fn what_does_not_go_together_is_usage() {
    let signed = Signed::with(1);
    let usage =
        |args: &[&str]| signed.desk.pgdrill(&[&["report", "e"], args].concat()).ends_with(64).stderr.clone();
    usage(&["--sign", "key.pem", "--format", "json"]);
    usage(&["--key", "key.pub", "--latest"]);
    usage(&["--without", "s/0"]);
    usage(&["--merge", "m", "--sign", "key.pem"]);
    let one = signed.desk.pgdrill(&["report", signed.records()[0].to_str().unwrap(), "--check"]);
    one.ends_with(64);
    assert!(one.stderr.contains("it is one file; a chain and its signatures are of a whole directory"));
    let none = signed.desk.pgdrill(&["report", "nowhere", "--sign", "key.pem"]);
    none.ends_with(64);
    assert!(none.stderr.contains("nowhere: there is no such directory"), "{}", none.stderr);
}

#[test]
fn the_signatures_may_be_read_by_whoever_may_read_the_chain() {
    let signed = Signed::unsigned(1);
    fs::set_permissions(chain::path(&signed.path("e")), fs::Permissions::from_mode(0o640)).unwrap();
    signed.sign().ends_with(0);
    assert_eq!(fs::metadata(signed.bundle()).unwrap().permissions().mode() & 0o777, 0o640);
}

/// A record, the chain, or the signatures: whichever byte it is, and whatever it becomes.
#[test]
fn no_byte_changes_without_being_told() {
    let signed = Signed::with(2);
    let config = ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() };
    let bytes = (0_usize..4, any::<prop::sample::Index>(), 1_u8..);
    let told = TestRunner::new(config).run(&bytes, |(which, at, change)| {
        let file = match which {
            0 => signed.bundle(),
            1 => chain::path(&signed.path("e")),
            which => signed.records()[which - 2].clone(),
        };
        let before = fs::read(&file).unwrap();
        let mut bytes = before.clone();
        let at = at.index(bytes.len());
        bytes[at] ^= change;
        fs::write(&file, &bytes).unwrap();
        let done = signed.check();
        fs::write(&file, before).unwrap();
        prop_assert_eq!(done.code, 2, "{} at {}: {}{}", file.display(), at, done.stdout, done.stderr);
        prop_assert!(done.stderr.starts_with("pgdrill: e"), "{}", done.stderr);
        Ok(())
    });
    told.unwrap();
}
