//! What of a connection string is ours to read before tokio-postgres gets it: `sslmode`, of which it knows less than libpq,
//! and `sslrootcert`, which it does not know.

/// A connection string that was taken apart.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Parts {
    /// The string without what was taken out.
    pub rest: String,
    /// `sslmode`, where it is given.
    pub sslmode: Option<String>,
    /// `sslrootcert`, where it is given.
    pub sslrootcert: Option<String>,
}

impl Parts {
    /// Takes a connection string apart; the last of two that are the same counts, as in libpq. What is no connection string
    /// is left as it is, for tokio-postgres to say so.
    pub fn of(dsn: &str) -> Self {
        let mut parts = Self::default();
        if dsn.starts_with("postgresql://") || dsn.starts_with("postgres://") {
            parts.of_url(dsn);
        } else {
            parts.of_words(dsn);
        }
        parts
    }

    /// Takes a value that is ours; whether it was.
    fn take(&mut self, key: &str, value: String) -> bool {
        match key {
            "sslmode" => self.sslmode = Some(value),
            "sslrootcert" => self.sslrootcert = Some(value),
            _ => return false,
        }
        true
    }

    fn of_url(&mut self, dsn: &str) {
        let Some((before, parameters)) = dsn.split_once('?') else {
            dsn.clone_into(&mut self.rest);
            return;
        };
        let mut kept = Vec::new();
        for parameter in parameters.split('&') {
            let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            if !self.take(key, decoded(value)) {
                kept.push(parameter);
            }
        }
        self.rest = before.to_owned();
        if !kept.is_empty() {
            self.rest = format!("{before}?{}", kept.join("&"));
        }
    }

    /// `key = value` and `key = 'a value'`, in which a backslash makes the next character an ordinary one.
    fn of_words(&mut self, dsn: &str) {
        let mut rest = dsn;
        while let Some((pair, key, value, behind)) = word(rest) {
            if !self.take(key, value) {
                self.rest.push_str(pair.trim());
                self.rest.push(' ');
            }
            rest = behind;
        }
        self.rest.push_str(rest.trim_start());
        self.rest.truncate(self.rest.trim_end().len());
    }
}

/// The first pair of a string: as it stands there, its key, its value, and what stands behind.
fn word(text: &str) -> Option<(&str, &str, String, &str)> {
    let (key, after) = text.split_once('=')?;
    let value_at = text.len() - after.trim_start().len();
    let quoted = text[value_at..].starts_with('\'');
    let mut value = String::new();
    let mut characters = text[value_at..].char_indices().skip(usize::from(quoted));
    let mut end = text.len();
    let mut closed = !quoted;
    while let Some((at, c)) = characters.next() {
        match c {
            '\\' => value.push(characters.next()?.1),
            '\'' if quoted => {
                end = value_at + at + 1;
                closed = true;
                break;
            }
            c if c.is_whitespace() && !quoted => {
                end = value_at + at;
                break;
            }
            c => value.push(c),
        }
    }
    closed.then(|| (&text[..end], key.trim(), value, &text[end..]))
}

/// A part of a URL without its percent signs.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, behind @ ..] = rest {
        let coded = match (first, behind) {
            (b'%', [high, low, ..]) => std::str::from_utf8(&[*high, *low])
                .ok()
                .and_then(|digits| u8::from_str_radix(digits, 16).ok()),
            _ => None,
        };
        bytes.push(coded.unwrap_or(*first));
        rest = &behind[if coded.is_some() { 2 } else { 0 }..];
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("host=a user=b", "host=a user=b", None, None)]
    #[case("host=a sslmode=verify-full user=b", "host=a user=b", Some("verify-full"), None)]
    #[case(
        "host=a sslmode = 'verify-ca' sslrootcert='/a b/it\\'s.crt'",
        "host=a",
        Some("verify-ca"),
        Some("/a b/it's.crt")
    )]
    #[case("password='a sslmode=x ' host=a", "password='a sslmode=x ' host=a", None, None)]
    #[case("password=a\\ b host=a sslmode=require", "password=a\\ b host=a", Some("require"), None)]
    #[case("sslmode=require sslmode=disable host=a", "host=a", Some("disable"), None)]
    #[case(
        "postgresql://u:p%20@h/d?sslmode=verify-full&sslrootcert=%2Fa%20b",
        "postgresql://u:p%20@h/d",
        Some("verify-full"),
        Some("/a b")
    )]
    #[case(
        "postgres://h/d?sslmode=require&application_name=x",
        "postgres://h/d?application_name=x",
        Some("require"),
        None
    )]
    #[case("nonsense", "nonsense", None, None)]
    #[case("host=a password='open sslmode=require", "host=a password='open sslmode=require", None, None)]
    fn what_is_ours_is_taken_and_the_rest_stays(
        #[case] dsn: &str,
        #[case] rest: &str,
        #[case] sslmode: Option<&str>,
        #[case] sslrootcert: Option<&str>,
    ) {
        let parts = Parts::of(dsn);
        assert_eq!(
            (parts.rest.as_str(), parts.sslmode.as_deref(), parts.sslrootcert.as_deref()),
            (rest, sslmode, sslrootcert)
        );
    }
}
