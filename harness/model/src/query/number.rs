//! A decimal number of any length, exact.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// The most places by which an exponent may move the point: `numeric` has 131 072 digits before it.
const FARTHEST: i64 = 200_000;

/// A decimal number. Two are equal where their values are, however they were written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Number {
    negative: bool,
    /// Its digits without zeros at either end; none of zero.
    digits: String,
    /// How many of them stand before the point; negative where zeros stand between the point and them.
    point: i64,
}

impl Number {
    fn sign(&self) -> i8 {
        match (self.digits.is_empty(), self.negative) {
            (true, _) => 0,
            (false, true) => -1,
            (false, false) => 1,
        }
    }
}

impl FromStr for Number {
    type Err = ();

    /// Reads what PostgreSQL writes of a number: `42`, `-0.50`, `1e+20`.
    fn from_str(text: &str) -> Result<Self, ()> {
        let (negative, text) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (text, exponent) = match text.split_once(['e', 'E']) {
            Some((text, exponent)) => (text, exponent.parse::<i64>().map_err(|_| ())?),
            None => (text, 0),
        };
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let digits = format!("{whole}{fraction}");
        if whole.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) || exponent.abs() > FARTHEST
        {
            return Err(());
        }
        let significant = digits.trim_start_matches('0');
        let leading = digits.len() - significant.len();
        let significant = significant.trim_end_matches('0');
        if significant.is_empty() {
            return Ok(Self { negative: false, digits: String::new(), point: 0 });
        }
        let point = whole.len() as i64 - leading as i64 + exponent;
        Ok(Self { negative, digits: significant.to_owned(), point })
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        // Of two numbers with the same sign the one with more places before the point is larger; then the first digit that
        // differs decides, as it does in words.
        let larger = || (self.point, &self.digits).cmp(&(other.point, &other.digits));
        match self.sign().cmp(&other.sign()) {
            Ordering::Equal if self.negative => larger().reverse(),
            Ordering::Equal => larger(),
            decided => decided,
        }
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.negative { "-" } else { "" };
        let before = usize::try_from(self.point).unwrap_or(0);
        let (whole, fraction) = self.digits.split_at(before.min(self.digits.len()));
        let whole = if whole.is_empty() { "0" } else { whole };
        let zeros = "0".repeat(before.saturating_sub(self.digits.len()));
        let none = "0".repeat(usize::try_from(-self.point).unwrap_or(0));
        match fraction {
            "" => write!(f, "{sign}{whole}{zeros}"),
            fraction => write!(f, "{sign}{whole}.{none}{fraction}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn number(text: &str) -> Number {
        text.parse().unwrap()
    }

    #[test]
    fn what_postgresql_writes_is_read_and_nothing_else() {
        for (text, shown) in [
            ("0", "0"),
            ("-0.00", "0"),
            ("007", "7"),
            ("42", "42"),
            ("-12000", "-12000"),
            ("1.50", "1.5"),
            ("0.005", "0.005"),
            ("1e+20", "100000000000000000000"),
            ("-2.5e-07", "-0.00000025"),
            ("18446744073709551616", "18446744073709551616"),
        ] {
            assert_eq!(number(text).to_string(), shown, "{text}");
        }
        for text in
            ["", "-", ".5", "+1", "1,5", "1 000", "0x1f", "NaN", "Infinity", "1e", "1e999999999", "--1"]
        {
            assert_eq!(text.parse::<Number>(), Err(()), "{text}");
        }
    }

    proptest! {
        #[test]
        fn numbers_are_ordered_as_integers_are(one: i128, other: i128, places in 0usize..40) {
            // The same digits with the point somewhere among them.
            let shifted = |value: i128| format!("{value}e-{places}");
            prop_assert_eq!(number(&one.to_string()).cmp(&number(&other.to_string())), one.cmp(&other));
            prop_assert_eq!(number(&shifted(one)).cmp(&number(&shifted(other))), one.cmp(&other));
            prop_assert_eq!(number(&number(&shifted(one)).to_string()), number(&shifted(one)));
        }
    }
}
