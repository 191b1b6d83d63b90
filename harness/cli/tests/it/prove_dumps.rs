//! `pgdrill prove` on dumps: loaded in every format that `pg_dump` has, with who owns what where that is given; and what psql would
//! pass over told.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use pgdrill_testkit::docker;
use rstest::rstest;

use crate::desk::Desk;
use crate::prove::{Production, damage, largest};
use crate::server::{Server, bin, postgres};

/// A database with an owner, a grant and a tablespace, dumped in every way.
struct Dumps<'a> {
    production: Production<'a>,
}

impl<'a> Dumps<'a> {
    fn begin(bin: &'a Path, desk: &'a Desk) -> Self {
        let production = Production::begin(bin, desk);
        production.server.sql(
            "create role trader;\ncreate role clerk;\n\
             create database shop owner trader template template0 encoding 'UTF8';\n\\connect shop\n\
             create table \"Order\" (id int primary key, symbol text);\n\
             insert into \"Order\" select n, md5(n::text) from generate_series(1, 20000) n;\n\
             alter table \"Order\" owner to trader;\ngrant select on \"Order\" to clerk;",
        );
        Self { production }
    }

    /// Dumps by a program with options, into a file or directory.
    fn dump(&self, program: &str, name: &str, options: &[&str]) -> String {
        let socket = &self.production.server.socket;
        let path = format!("{socket}/{name}");
        let mut args = vec!["-h", socket, "-U", "postgres", "-f", &path];
        args.extend(options);
        postgres(self.production.bin, program, &args, "");
        path
    }

    fn globals(&self) -> String {
        self.dump("pg_dumpall", "globals.sql", &["--globals-only"])
    }

    /// A copy of an SQL dump that is another in one place.
    fn changed(&self, from: &str, what: &str, into: &str) -> String {
        let text = fs::read_to_string(from).unwrap();
        assert!(text.contains(what), "{what} is not in {from}");
        let path = format!("{from}.changed");
        fs::write(&path, text.replacen(what, into, 1)).unwrap();
        path
    }
}

#[rstest]
#[case::custom(&["-Fc", "shop"])]
#[case::directory(&["-Fd", "shop"])]
#[case::tar(&["-Ft", "shop"])]
#[case::plain(&["-Fp", "shop"])]
#[case::packed(&["-Fp", "-Z6", "shop"])]
fn a_dump_is_proven_in_every_format_and_with_a_changed_byte_disproven(#[case] how: &[&str]) {
    let Some(bin) = bin() else { return };
    let desk = Desk::new();
    let dumps = Dumps::begin(&bin, &desk);
    let name = if how.contains(&"-Z6") { "dump.sql.gz" } else { "dump" };
    let path = dumps.dump("pg_dump", name, how);
    let globals = dumps.globals();
    let production = &dumps.production;
    production.prove(&[&path, "--globals", &globals]).ends_with(0);
    let record = desk.record();
    assert_eq!(record["recoveries"][0]["state"], "promoted");
    let untouched =
        record["checks"].as_array().unwrap().iter().find(|check| check["check"] == "archive-untouched");
    assert_eq!(untouched.unwrap()["status"], "held");
    // Without its roles SQL cannot be loaded as it is, and nothing is wrong with it.
    if how.contains(&"-Fp") {
        production.finds(&[&path], 2, "NOT_A_BACKUP", "does not exist");
    } else {
        production.prove(&[&path]).ends_with(0);
    }
    let stored = if Path::new(&path).is_dir() { largest(Path::new(&path)) } else { PathBuf::from(&path) };
    damage(&stored);
    // What is packed as a whole is seen before it is loaded.
    let code = if how.contains(&"-Z6") { "BACKUP_UNFIT" } else { "UNPACK_FAILED" };
    production.finds(&[&path, "--globals", &globals], 1, code, "");
}

/// The restored server is asked, once it was kept, who owns what and who may read it.
#[rstest]
#[case::custom("pg_dump", &["-Fc", "shop"], true)]
#[case::plain("pg_dump", &["-Fp", "--create", "shop"], true)]
#[case::all_databases("pg_dumpall", &[], false)]
fn owners_and_grants_are_loaded_where_the_roles_are_given(
    #[case] program: &str,
    #[case] how: &[&str],
    #[case] with_globals: bool,
) {
    let Some(bin) = bin() else { return };
    let desk = Desk::new();
    let dumps = Dumps::begin(&bin, &desk);
    let question = "\\connect shop\n\
         select relowner::regrole, relacl, (select count(*) from \"Order\"), (select sum(hashtext(o::text)) from \"Order\" o),\n\
         (select datdba::regrole from pg_database where datname = 'shop') from pg_class where relname = 'Order';";
    let before = dumps.production.server.sql(question);
    assert!(before.contains("trader=arwdDxt/trader,clerk=r/trader"), "{before}");
    let path = dumps.dump(program, "dump", how);
    let globals = dumps.globals();
    let mut args = vec!["prove", &path, "--keep", "always"];
    if with_globals {
        args.extend(["--globals", &globals]);
    }
    desk.pgdrill(&args).ends_with(0);
    let data = desk.workspace().unwrap().join("restored");
    let socket = format!("{}/again", dumps.production.server.socket);
    let server = Server::of_copy(&bin, data.to_str().unwrap(), &socket, "listen_addresses = ''\n");
    assert_eq!(server.sql(question), before);
    drop(server);
    desk.pgdrill(&["clean"]);
}

#[test]
fn what_psql_would_pass_over_is_disproven_and_what_it_would_run_is_refused() {
    let Some(bin) = bin() else { return };
    let desk = Desk::new();
    let dumps = Dumps::begin(&bin, &desk);
    let path = dumps.dump("pg_dump", "dump.sql", &["--no-owner", "--no-privileges", "shop"]);
    let production = &dumps.production;
    production.prove(&[&path]).ends_with(0);
    for (what, into, words) in [
        ("\n17\t", "\n17\t17\t", "extra data after last expected column"),
        (" integer NOT NULL", " no_such_type NOT NULL", "type \"no_such_type\" does not exist"),
    ] {
        production.finds(&[&dumps.changed(&path, what, into)], 1, "UNPACK_FAILED", words);
    }
    let traces = production.server.socket.clone() + "/trace";
    for (line, code, words) in [
        (format!("\\! touch {traces}"), "NOT_A_BACKUP", "a command for psql that no dump has"),
        ("CREATE TABLESPACE fast LOCATION '/srv/fast';".to_owned(), "TABLESPACE_OUTSIDE", "/srv/fast"),
    ] {
        let changed =
            dumps.changed(&path, "SET statement_timeout", &format!("{line}\nSET statement_timeout"));
        production.finds(&[&changed], 2, code, words);
    }
    assert!(!Path::new(&traces).exists());
}

/// Tablespaces belong to a cluster, and no dump of one database makes them.
#[test]
fn a_dump_that_names_a_tablespace_is_loaded_into_one_of_the_drill() {
    let Some(bin) = bin() else { return };
    let desk = Desk::new();
    let dumps = Dumps::begin(&bin, &desk);
    let production = &dumps.production;
    let live = production.server.socket.clone() + "/live";
    postgres(Path::new("/bin"), "mkdir", &["-m", "700", &live], "");
    production.server.sql(&format!("create tablespace \"two words\" location '{live}';"));
    production.server.sql("\\connect shop\ncreate table old tablespace \"two words\" as select 1 as n;");
    for (name, how) in [("plain", ["-Fp", "-O", "-x", "shop"]), ("custom", ["-Fc", "-O", "-x", "shop"])] {
        let path = dumps.dump("pg_dump", name, &how);
        production.prove(&[&path]).ends_with(0);
    }
}

/// Dumps that are kept of other majors.
#[test]
fn a_dump_is_loaded_into_a_later_major_and_never_into_an_older_one() {
    let Some(bin) = bin() else { return };
    if !docker::required_or_skip(&[15, 17, 18]) {
        return;
    }
    let desk = Desk::new();
    let production = Production::begin(&bin, &desk);
    let kept = |major: u16| {
        let from = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join(format!("../../fixtures/repositories/{major}.tar.zst"));
        let into = desk.path(&format!("kept-{major}"));
        fs::create_dir(&into).unwrap();
        let unpacked = Command::new("tar").arg("--zstd").arg("-xf").arg(from).arg("-C").arg(&into).status();
        assert!(unpacked.unwrap().success());
        into.join("dumps/custom.dump").to_str().unwrap().to_owned()
    };
    let (of_15, of_17) = (kept(15), kept(17));
    let docker = ["--runtime", "docker", "--postgres"];
    production.finds(
        &[&[of_17.as_str()], docker.as_slice(), &["15"]].concat(),
        2,
        "MAJOR_OUT_OF_RANGE",
        "is of PostgreSQL 17",
    );
    for (path, major) in [(&of_15, "17"), (&of_17, "18"), (&of_17, "17")] {
        production.prove(&[&[path.as_str()], docker.as_slice(), &[major]].concat()).ends_with(0);
        assert_eq!(desk.record()["postgres"].to_string(), major);
    }
}
