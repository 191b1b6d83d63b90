//! Numbers as C's library reads them, which is how PostgreSQL reads those of a manifest: with blanks and signs before
//! them, and whatever their size.

/// A whole number that is the whole text (`strtoul`, and a look at where it ended). What is too large is the largest;
/// what is negative counts backwards from zero. An empty text is 0.
pub(super) fn unsigned(text: &[u8]) -> Option<u64> {
    let (negative, magnitude) = whole(text)?;
    Some(match magnitude {
        Some(magnitude) if negative => magnitude.wrapping_neg(),
        Some(magnitude) => magnitude,
        None => u64::MAX,
    })
}

/// As [`unsigned`], but below zero, too (`strtoll`): what is too large or too small is the largest or the smallest.
pub(super) fn signed(text: &[u8]) -> Option<i64> {
    let (negative, magnitude) = whole(text)?;
    Some(match magnitude.and_then(|magnitude| i64::try_from(magnitude).ok()) {
        Some(magnitude) if negative => -magnitude,
        Some(magnitude) => magnitude,
        None if negative => i64::MIN,
        None => i64::MAX,
    })
}

/// Whether a number is negative, and how large it is but for that, unless it is too large.
fn whole(text: &[u8]) -> Option<(bool, Option<u64>)> {
    if text.is_empty() {
        return Some((false, Some(0)));
    }
    let (negative, digits) = sign(text);
    if digits.is_empty() {
        return None;
    }
    let mut magnitude = Some(0_u64);
    for digit in digits {
        let digit = char::from(*digit).to_digit(10)?;
        magnitude = magnitude.and_then(|magnitude| magnitude.checked_mul(10)?.checked_add(digit.into()));
    }
    Some((negative, magnitude))
}

/// A position in the WAL, `%X/%X` (`parse_xlogrecptr`, by `sscanf`): what follows it does not matter.
pub(super) fn position(text: &[u8]) -> Option<u64> {
    let (high, rest) = hexadecimal(text)?;
    let (low, _) = hexadecimal(rest.strip_prefix(b"/")?)?;
    Some(u64::from(high) << 32 | u64::from(low))
}

/// A number for which `%X` stands, and what follows it. It may begin with `0x` (which glibc 2.41 still takes without
/// digits); of what is too large for it, its low half counts.
fn hexadecimal(text: &[u8]) -> Option<(u32, &[u8])> {
    let (negative, text) = sign(text);
    let text = match text {
        [b'0', b'x' | b'X', rest @ ..] => rest,
        _ => text,
    };
    let length = text.iter().position(|byte| !byte.is_ascii_hexdigit()).unwrap_or(text.len());
    if length == 0 {
        return None;
    }
    let (digits, rest) = text.split_at(length);
    let mut magnitude = Some(0_u64);
    for digit in digits {
        let digit = char::from(*digit).to_digit(16)?;
        magnitude = magnitude.and_then(|magnitude| magnitude.checked_mul(16)?.checked_add(digit.into()));
    }
    let number = match magnitude {
        Some(magnitude) if negative => magnitude.wrapping_neg(),
        Some(magnitude) => magnitude,
        None => u64::MAX,
    };
    Some((number as u32, rest))
}

/// Whether a minus stands before a number, and what follows it.
fn sign(text: &[u8]) -> (bool, &[u8]) {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t'..=b'\r');
    let blanks = text.iter().position(|byte| !blank(byte)).unwrap_or(text.len());
    match &text[blanks..] {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("", Some(0))]
    #[case("7", Some(7))]
    #[case(" \t\n\x0b\x0c\r+7", Some(7))]
    #[case("-1", Some(u64::MAX))]
    #[case("18446744073709551615", Some(u64::MAX))]
    #[case("18446744073709551616", Some(u64::MAX))]
    #[case("-99999999999999999999", Some(u64::MAX))]
    #[case("7 ", None)]
    #[case(" ", None)]
    #[case("-", None)]
    #[case("--1", None)]
    #[case("0x7", None)]
    #[case("1e3", None)]
    fn whole_numbers(#[case] text: &str, #[case] number: Option<u64>) {
        assert_eq!(unsigned(text.as_bytes()), number);
    }

    #[rstest]
    #[case("-1", Some(-1))]
    #[case("9223372036854775808", Some(i64::MAX))]
    #[case("-9223372036854775808", Some(i64::MIN))]
    #[case("-99999999999999999999", Some(i64::MIN))]
    #[case("one", None)]
    fn numbers_below_zero(#[case] text: &str, #[case] number: Option<i64>) {
        assert_eq!(signed(text.as_bytes()), number);
    }

    #[rstest]
    #[case("0/2000028", Some(0x200_0028))]
    #[case("A/ff", Some(0xA_0000_00FF))]
    #[case(" 0xA/ +0X1tail", Some(0xA_0000_0001))]
    #[case("-1/1", Some(0xFFFF_FFFF_0000_0001))]
    #[case("123456789/1", Some(0x2345_6789_0000_0001))]
    #[case("1FFFFFFFFFFFFFFFFF/1", Some(0xFFFF_FFFF_0000_0001))]
    #[case("0x/1", None)]
    #[case("1 /1", None)]
    #[case("1/", None)]
    #[case("/1", None)]
    #[case("", None)]
    fn positions(#[case] text: &str, #[case] read: Option<u64>) {
        assert_eq!(position(text.as_bytes()), read);
    }
}
