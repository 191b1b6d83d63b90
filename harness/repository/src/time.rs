//! Times as the programs that make backups write them, as microseconds since 1970.

use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};

/// A time with its offset: `2026-11-29 22:47:28.412334+00:00`, or with a `T` and a `Z`.
pub(crate) fn with_offset(text: &str) -> Option<i64> {
    text.trim().parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_microsecond)
}

/// A time as a server writes it into its files, `2026-11-29 22:47:21 UTC`. Abbreviations of zones mean different things to
/// different people, so only those are read that mean one thing, and offsets in hours.
pub(crate) fn of_server(text: &str) -> Option<i64> {
    let (time, zone) = text.trim().rsplit_once(' ')?;
    let offset = match zone {
        "UTC" | "GMT" | "Z" => Offset::UTC,
        hours if hours.starts_with(['+', '-']) => Offset::from_hours(hours.parse().ok()?).ok()?,
        _ => return None,
    };
    let time: DateTime = time.parse().ok()?;
    Some(TimeZone::fixed(offset).to_timestamp(time).ok()?.as_microsecond())
}

/// A time without zone, as if it were UTC: good for an order among its like, and no more.
pub(crate) fn without_zone(time: DateTime) -> Option<i64> {
    Some(TimeZone::UTC.to_timestamp(time).ok()?.as_microsecond())
}

/// Seconds since 1970.
pub(crate) fn of_seconds(seconds: u64) -> Option<i64> {
    i64::try_from(seconds).ok()?.checked_mul(1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("2026-11-29 22:47:21 UTC", Some(1_795_992_441_000_000))]
    #[case("2026-11-29 22:47:21 GMT", Some(1_795_992_441_000_000))]
    #[case("2026-11-29 23:47:21 +01", Some(1_795_992_441_000_000))]
    #[case("2026-11-29 22:47:21 CST", None)]
    #[case("2026-13-29 22:47:21 UTC", None)]
    #[case("", None)]
    fn times_of_servers(#[case] text: &str, #[case] expected: Option<i64>) {
        assert_eq!(of_server(text), expected);
    }

    #[test]
    fn times_with_offsets() {
        assert_eq!(with_offset("2026-11-29 22:47:28.412334+00:00"), Some(1_795_992_448_412_334));
        assert_eq!(with_offset("2026-11-29T23:47:28.412334+01:00"), Some(1_795_992_448_412_334));
        assert_eq!(with_offset("2026-11-29T22:47:28.412334Z"), Some(1_795_992_448_412_334));
        assert_eq!(with_offset("Sun Nov 29 22:47:28 2026"), None);
    }
}
