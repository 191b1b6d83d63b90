//! A server's log file, as far as a drill reads it.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

/// How much of a log's end is read for its last words.
const TAIL: u64 = 64 << 10;

/// A line of a log that begins a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// When it was written, microseconds since 1970 UTC.
    pub unix_us: i64,
    /// The process that wrote it.
    pub pid: u32,
    /// The SQLSTATE.
    pub sqlstate: String,
    /// `LOG`, `ERROR`, `FATAL`, `PANIC`, `WARNING`, ...
    pub severity: String,
    /// The message.
    pub message: String,
}

impl Line {
    /// Whether it says that something went wrong.
    pub fn is_error(&self) -> bool {
        matches!(self.severity.as_str(), "ERROR" | "FATAL" | "PANIC")
    }

    /// Whether it only tells a client that it may not come in yet, or must go: `ERRCODE_CANNOT_CONNECT_NOW`
    /// (`ProcessStartupPacket`) and `ERRCODE_ADMIN_SHUTDOWN` (`ProcessInterrupts`). FATAL to that client's session, and
    /// no reason of the server's.
    fn is_to_a_client(&self) -> bool {
        matches!(self.sqlstate.as_str(), "57P03" | "57P01")
    }

    /// Whether it says that somebody ended the server, or killed one of its processes (`postmaster.c`).
    pub fn is_end_from_outside(&self) -> bool {
        let asked = self.message.starts_with("received ") && self.message.ends_with(" shutdown request");
        asked || self.message.contains("was terminated by signal 9")
    }

    /// Whether it says that the machine had too little memory for the server (`ERRCODE_OUT_OF_MEMORY`; `ENOMEM` of
    /// `mmap` and the like).
    pub fn is_want_of_memory(&self) -> bool {
        let refused = self.sqlstate == "53200" || self.message.contains("Cannot allocate memory");
        self.is_error() && refused
    }

    /// Whether it tells of something that neither the server nor what it was given to recover has done.
    pub fn is_from_outside(&self) -> bool {
        self.is_end_from_outside() || self.is_want_of_memory()
    }
}

/// Reads one line in the form of our `log_line_prefix`: `2026-11-22 19:15:00.123 UTC [4711] 00000 LOG:  message`.
pub fn parse(line: &str) -> Option<Line> {
    let (date, rest) = line.split_once(' ')?;
    let (time, rest) = rest.split_once(' ')?;
    let rest = rest.strip_prefix("UTC [")?;
    let (pid, rest) = rest.split_once("] ")?;
    // Until a server has read its configuration, it writes lines without the SQLSTATE.
    let (sqlstate, rest) = match rest.split_once(' ')? {
        (word, _) if word.ends_with(':') => ("", rest),
        split => split,
    };
    let (severity, message) = rest.split_once(':')?;
    Some(Line {
        unix_us: unix_micros(date, time)?,
        pid: pid.parse().ok()?,
        sqlstate: sqlstate.to_owned(),
        severity: severity.to_owned(),
        message: message.trim().to_owned(),
    })
}

/// All messages of a log file; none where there is no file.
pub fn read(path: &Path) -> Vec<Line> {
    let Ok(file) = File::open(path) else { return Vec::new() };
    BufReader::new(file)
        .split(b'\n')
        .map_while(Result::ok)
        .filter_map(|line| parse(&String::from_utf8_lossy(&line)))
        .collect()
}

/// What a server that ended said last: its last FATAL or PANIC, else its last error, else its last line. What it told
/// clients that asked meanwhile is none of it.
pub fn last_words(path: &Path) -> String {
    let text = tail(path);
    let lines: Vec<Line> = text.lines().filter_map(parse).filter(|line| !line.is_to_a_client()).collect();
    let fatal = lines.iter().rposition(|line| matches!(line.severity.as_str(), "FATAL" | "PANIC"));
    match fatal.or_else(|| lines.iter().rposition(Line::is_error)) {
        // Which line of the configuration is wrong stands before the line that gives up.
        Some(at) if at > 0 && lines[at].message.starts_with("configuration file ") => {
            format!("{}: {}", lines[at].severity, lines[at - 1].message)
        }
        Some(at) => format!("{}: {}", lines[at].severity, lines[at].message),
        None => {
            let to_a_client = |line: &str| parse(line).is_some_and(|line| line.is_to_a_client());
            let last = text.lines().rfind(|line| !line.trim().is_empty() && !to_a_client(line));
            last.unwrap_or("it said nothing").trim().to_owned()
        }
    }
}

fn tail(path: &Path) -> String {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    String::from_utf8_lossy(&read().unwrap_or_default()).into_owned()
}

fn unix_micros(date: &str, time: &str) -> Option<i64> {
    let mut date = date.split('-').map(str::parse::<i64>);
    let (year, month, day) = (date.next()?.ok()?, date.next()?.ok()?, date.next()?.ok()?);
    let (clock, millis) = time.split_once('.')?;
    let mut clock = clock.split(':').map(str::parse::<i64>);
    let (hour, minute, second) = (clock.next()?.ok()?, clock.next()?.ok()?, clock.next()?.ok()?);
    let millis: i64 = millis.parse().ok()?;
    Some((((days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second) * 1_000_000 + millis * 1_000)
}

/// Days from 1970-01-01 to a date of the Gregorian calendar; years begin in March so that leap days come last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month > 2 { year } else { year - 1 };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_ours_is_understood() {
        let line =
            parse("2026-11-22 19:15:00.123 UTC [4711] 57P03 FATAL:  the database system is starting up")
                .unwrap();
        assert_eq!(line.unix_us, 1_795_374_900_123_000);
        assert_eq!((line.sqlstate.as_str(), line.severity.as_str()), ("57P03", "FATAL"));
        assert_eq!(line.message, "the database system is starting up");
        assert!(line.is_error());
        assert_eq!(parse("postgres: could not find a suitable directory"), None);
    }

    #[test]
    fn an_end_that_others_caused_is_told_from_one_of_its_own() {
        let line = |message: &str| {
            parse(&format!("2026-11-22 19:15:00.123 UTC [1] 00000 LOG:  {message}"))
                .unwrap()
                .is_end_from_outside()
        };
        assert!(line("received fast shutdown request"));
        assert!(line("received immediate shutdown request"));
        assert!(line("startup process (PID 4711) was terminated by signal 9: Killed"));
        assert!(!line("startup process (PID 4711) was terminated by signal 11: Segmentation fault"));
        assert!(!line("aborting startup due to startup process failure"));
    }

    #[test]
    fn want_of_memory_is_told_from_what_only_mentions_it() {
        let line = |rest: &str| {
            parse(&format!("2026-11-22 19:15:00.123 UTC [1] {rest}")).unwrap().is_want_of_memory()
        };
        assert!(line("XX000 FATAL:  could not map anonymous shared memory: Cannot allocate memory"));
        assert!(line("53200 FATAL:  out of memory"));
        assert!(line("53200 ERROR:  out of memory"), "a statement that was refused it");
        assert!(!line("00000 LOG:  out of memory while trying to decode a record of length 1073741824"));
    }

    #[test]
    fn the_last_words_are_those_that_explain_the_end() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let text = "2026-11-22 19:15:00.123 UTC [1] 00000 LOG:  starting\n\
                    2026-11-22 19:15:00.124 UTC [1] XX000 FATAL:  could not locate required checkpoint record\n\
                    2026-11-22 19:15:00.125 UTC [1] 00000 LOG:  database system is shut down\n";
        std::fs::write(file.path(), text).unwrap();
        assert_eq!(last_words(file.path()), "FATAL: could not locate required checkpoint record");
        let asked = "2026-11-22 19:15:00.126 UTC [7] 57P03 FATAL:  the database system is starting up\n\
                     2026-11-22 19:15:00.127 UTC [8] 57P01 FATAL:  terminating connection due to administrator command\n";
        std::fs::write(file.path(), format!("{text}{asked}")).unwrap();
        assert_eq!(last_words(file.path()), "FATAL: could not locate required checkpoint record");
        std::fs::write(file.path(), asked).unwrap();
        assert_eq!(last_words(file.path()), "it said nothing");
        let text = "2026-11-22 19:15:00.123 UTC [1] LOG:  invalid value for parameter \"work_mem\": \"x\"\n\
                    2026-11-22 19:15:00.124 UTC [1] FATAL:  configuration file \"/a/b.conf\" contains errors\n";
        std::fs::write(file.path(), text).unwrap();
        assert_eq!(last_words(file.path()), "FATAL: invalid value for parameter \"work_mem\": \"x\"");
        std::fs::write(file.path(), "sh: postgres: not found\n").unwrap();
        assert_eq!(last_words(file.path()), "sh: postgres: not found");
        assert_eq!(last_words(Path::new("/nonexistent")), "it said nothing");
    }
}
