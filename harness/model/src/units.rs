//! Small typed quantities: log positions, major versions, and how sizes and durations are written.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A position in the write-ahead log, in bytes. Written as PostgreSQL writes it, `%X/%X`; read numerically,
/// because 18 also prints `%X/%08X` (`pg_lsn_in`, `src/backend/utils/adt/pg_lsn.c`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lsn(pub u64);

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}/{:X}", self.0 >> 32, self.0 & 0xFFFF_FFFF)
    }
}

impl FromStr for Lsn {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || format!("'{text}' is not a log position (two hexadecimal numbers, as in 0/3000060)");
        let (high, low) = text.split_once('/').ok_or_else(wrong)?;
        let part = |s: &str| -> Result<u64, String> {
            // A sign would be read, too.
            if s.is_empty() || s.len() > 8 || s.starts_with('+') {
                return Err(wrong());
            }
            u64::from_str_radix(s, 16).map_err(|_| wrong())
        };
        Ok(Self(part(high)? << 32 | part(low)?))
    }
}

impl schemars::JsonSchema for Lsn {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Lsn".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "A position in the WAL, as PostgreSQL writes it.",
            "type": "string",
            "pattern": "^[0-9A-F]{1,8}/[0-9A-F]{1,8}$",
        })
    }
}

impl Serialize for Lsn {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Lsn {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A PostgreSQL major version, such as 15.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(transparent)]
pub struct Major(pub u16);

impl Major {
    /// The oldest major whose formats and settings pgdrill knows.
    pub const OLDEST: Self = Self(13);
}

impl fmt::Display for Major {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl FromStr for Major {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.trim().parse::<u16>() {
            Ok(number) if number > 0 => Ok(Self(number)),
            _ => Err(format!("'{text}' is not a PostgreSQL major version (a number, as in 15)")),
        }
    }
}

/// The majors on which a scenario makes sense: `15`, `>=13`, `<18`, or both ends as `>=13 <18`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MajorRange {
    /// Lowest major that is in.
    pub from: Major,
    /// Highest major that is in; none means no upper end.
    pub to: Option<Major>,
}

impl Default for MajorRange {
    fn default() -> Self {
        Self { from: Major::OLDEST, to: None }
    }
}

impl MajorRange {
    /// Whether `major` is within the range.
    pub fn contains(self, major: Major) -> bool {
        major >= self.from && self.to.is_none_or(|to| major <= to)
    }
}

impl fmt::Display for MajorRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.to {
            Some(to) if to == self.from => write!(f, "{to}"),
            Some(to) => write!(f, ">={} <={to}", self.from),
            None => write!(f, ">={}", self.from),
        }
    }
}

impl FromStr for MajorRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || format!("'{text}' is not a version range (write 15, '>=13', or '>=13 <18')");
        let mut range = Self::default();
        let mut parts = 0;
        for part in text.split_whitespace() {
            parts += 1;
            let digits = part.trim_start_matches(['<', '>', '=']);
            // No major will ever be so high; the bound keeps the neighbours of a number representable.
            let number = digits.parse::<u16>().ok().filter(|n| (1..10_000).contains(n)).ok_or_else(wrong)?;
            match &part[..part.len() - digits.len()] {
                "" | "=" if text.split_whitespace().count() > 1 => return Err(wrong()),
                "" | "=" => range = Self { from: Major(number), to: Some(Major(number)) },
                ">=" => range.from = Major(number),
                ">" => range.from = Major(number + 1),
                "<=" => range.to = Some(Major(number)),
                "<" => range.to = Some(Major(number - 1)),
                _ => return Err(wrong()),
            }
        }
        if parts == 0 || range.to.is_some_and(|to| to < range.from) {
            return Err(wrong());
        }
        Ok(range)
    }
}

/// Reads a duration, as in `30s`, `1h 30m`.
///
/// # Errors
///
/// What is wrong with it, in words.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if duration.is_zero() { Err("no time at all".to_owned()) } else { Ok(duration) }
}

/// A duration as people read it: `640 ms`, `12.3 s`, `4 min 05 s`.
pub fn show_duration(duration: Duration) -> String {
    let millis = duration.as_millis();
    if millis < 10 {
        format!("{:.1} ms", duration.as_secs_f64() * 1e3)
    } else if millis < 1_000 {
        format!("{millis} ms")
    } else if millis < 120_000 {
        format!("{:.1} s", duration.as_secs_f64())
    } else if millis < 7_200_000 {
        format!("{} min {:02} s", millis / 60_000, millis / 1_000 % 60)
    } else {
        format!("{} h {:02} min", millis / 3_600_000, millis / 60_000 % 60)
    }
}

/// An instant as PostgreSQL reads and writes it, in UTC: `2026-03-01 04:05:06.789012+00`. Microseconds since 1970 UTC.
pub fn show_time(unix_us: i64) -> String {
    match jiff::Timestamp::from_microsecond(unix_us) {
        Ok(time) => time.strftime("%Y-%m-%d %H:%M:%S.%6f+00").to_string(),
        Err(_) => format!("{unix_us} us since 1970"),
    }
}

/// Reads a number of bytes: `64MB`, `1.5 TiB`, `8192`. A unit is 1024 times the one before it, as PostgreSQL counts, whether it is
/// written `MB` or `MiB`. None where it is not a number of bytes.
pub fn parse_bytes(text: &str) -> Option<u64> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.' && c != '_').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let power = match unit.trim() {
        "" | "B" => 0,
        "kB" | "KB" | "KiB" => 1,
        "MB" | "MiB" => 2,
        "GB" | "GiB" => 3,
        "TB" | "TiB" => 4,
        _ => return None,
    };
    parse_scaled(number, 1024_u64.pow(power))
}

/// Reads a number of things: `100k`, `1.5M`, `200_000`. None where it is not one.
pub fn parse_count(text: &str) -> Option<u64> {
    let text = text.trim();
    let (number, factor) = match text.strip_suffix(['k', 'K']) {
        Some(number) => (number, 1_000),
        None => text.strip_suffix('M').map_or((text, 1), |number| (number, 1_000_000)),
    };
    parse_scaled(number, factor)
}

/// A decimal number times a factor, where that is a whole number that fits.
fn parse_scaled(number: &str, factor: u64) -> Option<u64> {
    let number = number.replace('_', "");
    let (whole, part) = number.split_once('.').unwrap_or((&number, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(part) || part.len() > 9 {
        return None;
    }
    let whole = whole.parse::<u64>().ok()?.checked_mul(factor)?;
    let tens = 10_u128.pow(part.len() as u32);
    let part = part.parse::<u128>().ok()? * u128::from(factor);
    whole.checked_add(u64::try_from(part / tens).ok()?)
}

/// A number of bytes as people read it, in powers of 1024: `812 B`, `96.4 MiB`.
pub fn show_bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// A count with thousands separated: `200 000`.
pub fn show_count(count: u64) -> String {
    let digits = count.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest]
    #[case("64MB", Some(64 << 20))]
    #[case("64MiB", Some(64 << 20))]
    #[case(" 1.5 TiB ", Some(3 << 39))]
    #[case("2TB", Some(2 << 40))]
    #[case("8192", Some(8192))]
    #[case("8 kB", Some(8192))]
    #[case("1_000B", Some(1_000))]
    #[case("0", Some(0))]
    #[case("MB", None)]
    #[case("-1MB", None)]
    #[case("1.MB", None)]
    #[case("1..5GB", None)]
    #[case("5 m", None)]
    #[case("99999999999TB", None)]
    #[case("1é", None)]
    #[case("", None)]
    fn a_number_of_bytes_is_read_as_postgresql_counts(#[case] text: &str, #[case] bytes: Option<u64>) {
        assert_eq!(parse_bytes(text), bytes);
    }

    #[rstest]
    #[case("100k", Some(100_000))]
    #[case("1.5M", Some(1_500_000))]
    #[case("200_000", Some(200_000))]
    #[case("k", None)]
    #[case("1G", None)]
    #[case("99999999999999M", None)]
    fn a_number_of_things_is_read(#[case] text: &str, #[case] count: Option<u64>) {
        assert_eq!(parse_count(text), count);
    }
    use rstest::rstest;

    #[rstest]
    #[case("0/3000060", 0x300_0060)]
    #[case("1/0", 1 << 32)]
    #[case("A/0000BEEF", 0xA_0000_BEEF)]
    fn a_log_position_is_read_numerically(#[case] text: &str, #[case] value: u64) {
        assert_eq!(text.parse::<Lsn>().unwrap(), Lsn(value));
    }

    #[rstest]
    #[case("")]
    #[case("0")]
    #[case("0/")]
    #[case("0/xyz")]
    #[case("0/123456789")]
    #[case("0/+5")]
    #[case("-1/5")]
    fn what_is_no_log_position_is_refused(#[case] text: &str) {
        assert!(text.parse::<Lsn>().is_err());
    }

    #[rstest]
    #[case("15", 15, Some(15))]
    #[case(">=13", 13, None)]
    #[case(">=13 <18", 13, Some(17))]
    #[case(">14 <=16", 15, Some(16))]
    fn version_ranges(#[case] text: &str, #[case] from: u16, #[case] to: Option<u16>) {
        assert_eq!(text.parse::<MajorRange>().unwrap(), MajorRange { from: Major(from), to: to.map(Major) });
    }

    #[rstest]
    #[case("")]
    #[case("=>13")]
    #[case(">=18 <15")]
    #[case("fifteen")]
    #[case("<0")]
    #[case(">65535")]
    #[case("15 16")]
    fn version_ranges_that_hold_nothing_are_refused(#[case] text: &str) {
        assert!(text.parse::<MajorRange>().is_err());
    }

    #[rstest]
    #[case(Duration::from_micros(9_400), "9.4 ms")]
    #[case(Duration::from_millis(640), "640 ms")]
    #[case(Duration::from_millis(12_345), "12.3 s")]
    #[case(Duration::from_secs(245), "4 min 05 s")]
    #[case(Duration::from_secs(7_260), "2 h 01 min")]
    fn durations_for_people(#[case] duration: Duration, #[case] text: &str) {
        assert_eq!(show_duration(duration), text);
    }

    #[test]
    fn an_instant_is_written_with_its_offset() {
        assert_eq!(show_time(1_772_337_906_789_012), "2026-03-01 04:05:06.789012+00");
    }

    #[test]
    fn counts_and_sizes_for_people() {
        assert_eq!(show_count(200_000), "200 000");
        assert_eq!(show_count(7), "7");
        assert_eq!(show_bytes(812), "812 B");
        assert_eq!(show_bytes(101_083_136), "96.4 MiB");
    }
}
