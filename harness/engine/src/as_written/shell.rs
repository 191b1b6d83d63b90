//! Typing the commands of a block: one script, in which each command leaves its exit code and its last words. Nothing of a
//! command is changed but its paths, which become those of the drill.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use pgdrill_model::as_written::{Block, By, START, Wall};
use pgdrill_model::code::Code;
use pgdrill_model::finding::Unable;
use pgdrill_model::plan::Server as Name;
use pgdrill_model::units::show_time;
use pgdrill_model::world::{Command, Exit};

use crate::drill::Drill;

/// How long a block may take.
const LIMIT: Duration = Duration::from_secs(600);

/// The most of a command's last line that is kept.
const LONGEST: usize = 300;

/// What stands before the commands: who types is who `sudo` would make of them, with root's usual mask; what is not set is a
/// mistake of ours, and must not become a path at the top of this machine.
const PRELUDE: &str = "umask 022\nset -u\nsudo() { if [ \"$1\" = -u ]; then shift 2; fi; \"$@\"; }\n";

/// A clock that stands.
const ONE_SECOND: &str = "date() { command date -d \"@$SECOND\" \"$@\"; }\n";

/// Between two blocks an operator takes more than a second.
const NEXT_SECOND: &str =
    "second=$(date +%s)\nwhile [ \"$(date +%s)\" = \"$second\" ]; do sleep 0.05; done\n";

/// How far the operator's clock is ahead of UTC.
const EAST_US: i64 = 3 * 3600 * 1_000_000;

/// The paths of the runbook, longest first, with what they are in a drill.
const PATHS: [(&str, &str); 5] = [
    ("/var/lib/postgresql/archive", "\"$ARCHIVE\""),
    ("/var/lib/postgresql", "\"$ROOT\""),
    ("/backup/", "\"$BACKUP\"/"),
    ("http://localhost:4001", "\"$API\""),
    ("2024-10-24 14:30:00", "$TARGET"),
];

/// A command that was typed, or was not come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ran {
    /// As it stands in the runbook.
    pub text: &'static str,
    /// Its exit code; none where it was not come to.
    pub code: Option<i32>,
    /// The line that tells of an error, or its last one.
    pub said: String,
}

/// Who types, and with what around.
pub struct Shell {
    /// Who.
    pub by: By,
    /// Whether every `date` gives the same second.
    pub one_second: bool,
    /// The environment.
    pub env: Vec<(String, String)>,
    /// Where each command's words go.
    pub said: PathBuf,
}

impl Shell {
    /// Types a block, but for the start of the server. `later` tells whether another was typed before.
    ///
    /// # Errors
    ///
    /// A block that could not be begun or did not end.
    pub async fn run(&self, drill: &Drill<'_>, block: Block, later: bool) -> Result<Vec<Ran>, Unable> {
        for entry in fs::read_dir(&self.said).into_iter().flatten().flatten() {
            let _ = fs::remove_file(entry.path());
        }
        let lines: Vec<&'static str> = block.iter().copied().filter(|line| *line != START).collect();
        let script = script(&lines, self.one_second, later)?;
        let mut command = Command::system("bash", ["-c", &script]).within(LIMIT);
        command.env.clone_from(&self.env);
        let exit = match self.by {
            By::Server => {
                let server = drill.servers.get(&Name::AsWritten);
                let server = server.ok_or_else(|| Unable::bug("nobody opened a place for the commands"))?;
                server.place().run(&command).await?
            }
            By::Operator => operator(drill, &command).await?,
        };
        if exit.killed() {
            let message = format!("the commands of the runbook were ended by somebody: {}", exit.describe());
            return Err(Unable::new(Code::ProgramKilled, message));
        }
        Ok(results(&self.said, &lines, &exit))
    }
}

/// The script of a block.
fn script(lines: &[&'static str], one_second: bool, later: bool) -> Result<String, Unable> {
    let mut text = PRELUDE.to_owned();
    if one_second {
        text.push_str(ONE_SECOND);
    } else if later && lines.iter().any(|line| line.contains("$(date")) {
        text.push_str(NEXT_SECOND);
    }
    for (number, line) in lines.iter().enumerate() {
        let line = adapted(line);
        if let Some(path) = absolute(&line) {
            return Err(Unable::bug(format!("a command of the runbook would reach {path} on this machine")));
        }
        text.push_str(&format!(
            "{{\n{line}\n}} >\"$SAID/{number}\" 2>&1\necho \"$?\" >\"$SAID/{number}.code\"\n"
        ));
    }
    Ok(text)
}

/// A command with the drill's paths.
fn adapted(line: &str) -> String {
    PATHS.iter().fold(line.to_owned(), |line, (from, to)| line.replace(from, to))
}

/// The first word that is a path from the top of the machine. Whatever the commands erase, it is not that.
fn absolute(line: &str) -> Option<&str> {
    let begins =
        |at: usize| line[..at].chars().next_back().is_none_or(|before| " '\"=(<>`:;|&".contains(before));
    let quoted = |at: usize| {
        line[..at].ends_with("ROOT\"")
            || line[..at].ends_with("BACKUP\"")
            || line[..at].ends_with("ARCHIVE\"")
            || line[..at].ends_with("API\"")
    };
    let at = line.match_indices('/').map(|(at, _)| at).find(|at| begins(*at) && !quoted(*at))?;
    line[at..].split_whitespace().next()
}

/// What became of each command. The one that ended the script has its exit code; what stands below it was not come to.
fn results(said: &Path, lines: &[&'static str], exit: &Exit) -> Vec<Ran> {
    let ran = |(number, text): (usize, &&'static str)| {
        let output = fs::read(said.join(number.to_string()));
        let code = fs::read_to_string(said.join(format!("{number}.code"))).ok();
        let code = code.and_then(|code| code.trim().parse().ok());
        let code = if output.is_ok() { code.or(exit.code) } else { None };
        Ran { text, code, said: words(&output.unwrap_or_default()) }
    };
    lines.iter().enumerate().map(ran).collect()
}

/// The first line that tells of an error, else the last that says something, as far as it is worth to be kept.
fn words(said: &[u8]) -> String {
    let text = String::from_utf8_lossy(said);
    let lines = || text.split(['\n', '\r']).map(str::trim).filter(|line| !line.is_empty());
    let error = |line: &&str| ["ERROR:", "error:", "Cannot open:"].iter().any(|word| line.contains(word));
    let told = lines().find(error).or_else(|| lines().next_back());
    told.unwrap_or("").chars().take(LONGEST).collect()
}

/// Runs a script as whoever runs pgdrill, on this host.
async fn operator(drill: &Drill<'_>, command: &Command) -> Result<Exit, Unable> {
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
    let mut shell = tokio::process::Command::new(command.program.name());
    shell
        .args(&command.args)
        .env_clear()
        .env("PATH", path)
        .env("LC_ALL", "C")
        .env("TZ", "UTC")
        .env("HOME", drill.workspace.root())
        .envs(command.env.iter().map(|(name, value)| (name, value)))
        .current_dir(drill.workspace.root())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    let missing = |error: std::io::Error| {
        Unable::new(Code::ProgramMissing, format!("`{}` cannot be run: {error}", command.program.name()))
    };
    let status = tokio::time::timeout(command.time_limit, shell.status()).await.map_err(|_| {
        let seconds = command.time_limit.as_secs();
        Unable::new(Code::TimeLimit, format!("the commands of the runbook did not end within {seconds} s"))
    })?;
    let status = status.map_err(missing)?;
    let signal = std::os::unix::process::ExitStatusExt::signal(&status);
    Ok(Exit { code: status.code(), signal, ..Exit::default() })
}

/// A moment as a clock on the wall shows it, without its zone.
pub fn wall_clock(unix_us: i64, wall: Wall) -> String {
    let east = if wall == Wall::Operator { EAST_US } else { 0 };
    show_time(unix_us + east).trim_end_matches("+00").to_owned()
}

#[cfg(test)]
mod tests {
    use pgdrill_model::as_written::ROWS;

    use super::*;

    #[test]
    fn no_command_of_any_row_reaches_beyond_the_drill() {
        for entry in ROWS {
            for commands in [&entry.written, &entry.corrected] {
                let blocks =
                    commands.before.iter().chain([&commands.step, &commands.ask]).chain(commands.after);
                for block in blocks {
                    let lines: Vec<&str> = block.iter().copied().filter(|line| *line != START).collect();
                    assert_eq!(
                        lines.iter().find_map(|line| absolute(&adapted(line)).map(str::to_owned)),
                        None
                    );
                    assert!(script(&lines, false, true).is_ok(), "{}", entry.name);
                }
            }
        }
    }

    #[test]
    fn a_path_that_no_rule_knows_is_refused() {
        for line in ["rm -rf /var/lib/mysql/*", "tar -xzf '/backups/a'", "cp a >/etc/b", "a=/b", "cat \"/c\""]
        {
            assert!(absolute(&adapted(line)).is_some(), "{line}");
        }
        assert_eq!(absolute(&adapted("rm -rf /var/lib/postgresql/data/*")), None);
        assert_eq!(adapted("rm -rf /var/lib/postgresql/data/*"), "rm -rf \"$ROOT\"/data/*");
        assert!(script(&["rm -rf /srv/*"], false, false).is_err());
    }

    #[test]
    fn each_command_leaves_its_code_and_what_was_not_come_to_leaves_none() {
        let said = tempfile::tempdir().unwrap();
        let lines = ["echo one; false", "set -e", "echo two; (exit 7)", "echo three"];
        let text = script(&lines, false, false).unwrap();
        let status = std::process::Command::new("bash").args(["-c", &text]).env("SAID", said.path()).status();
        let exit = Exit { code: status.unwrap().code(), ..Exit::default() };
        let ran = results(said.path(), &lines, &exit);
        let codes: Vec<Option<i32>> = ran.iter().map(|line| line.code).collect();
        assert_eq!(codes, [Some(1), Some(0), Some(7), None]);
        let words: Vec<&str> = ran.iter().map(|line| line.said.as_str()).collect();
        assert_eq!(words, ["one", "", "two", ""]);
    }

    #[test]
    fn what_a_command_said_is_its_error_where_it_has_one() {
        assert_eq!(words(b"ERROR:  no such table\nLINE 1: SELECT\n        ^\n"), "ERROR:  no such table");
        assert_eq!(
            words(b"tar: a.tar: Cannot open: No such file\ntar: exiting now\n"),
            "tar: a.tar: Cannot open: No such file"
        );
        assert_eq!(words(b"1/2 kB\r2/2 kB\n\n"), "2/2 kB");
        assert_eq!(words(b""), "");
    }

    #[test]
    fn a_clock_that_stands_shows_one_second() {
        let said = tempfile::tempdir().unwrap();
        let lines = ["date -u +%Y%m%d_%H%M%S"];
        let text = script(&lines, true, true).unwrap();
        let mut shell = std::process::Command::new("bash");
        shell.args(["-c", &text]).env("SAID", said.path()).env("SECOND", "1700000000");
        assert!(shell.status().unwrap().success());
        assert_eq!(results(said.path(), &lines, &Exit::default())[0].said, "20231114_221320");
    }

    #[test]
    fn a_wall_clock_has_no_zone() {
        assert_eq!(wall_clock(1_772_337_906_789_012, Wall::Server), "2026-03-01 04:05:06.789012");
        assert_eq!(wall_clock(1_772_337_906_789_012, Wall::Operator), "2026-03-01 07:05:06.789012");
    }
}
