//! Takes secrets out of text before it is shown or written.

use serde_json::Value;

/// What stands where a secret stood.
pub const REDACTED: &str = "[redacted]";

/// Parts of the names of environment variables that hold secrets.
const SECRET_NAMES: [&str; 7] = ["PASSWORD", "PASSWD", "SECRET", "TOKEN", "CREDENTIAL", "PASSPHRASE", "_KEY"];

/// Secrets shorter than this would redact ordinary words.
const SHORTEST: usize = 4;

/// Knows the secrets of one process, and takes them out of text.
#[derive(Clone, Default)]
pub struct Redactor {
    secrets: Vec<String>,
}

impl Redactor {
    /// A redactor for the values of all environment variables whose names say that they are secret.
    pub fn for_environment(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut secrets: Vec<String> = variables
            .into_iter()
            .filter(|(name, _)| {
                let name = name.to_ascii_uppercase();
                SECRET_NAMES.iter().any(|part| name.contains(part))
            })
            .map(|(_, value)| value)
            .filter(|value| value.len() >= SHORTEST)
            .collect();
        // The longest first, so that a secret that holds another one goes as a whole.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        secrets.dedup();
        Self { secrets }
    }

    /// The text without the known secrets, without passwords in connection strings (`user:secret@`,
    /// `password=secret`) and without the literal after SQL's `PASSWORD`.
    pub fn clean(&self, text: &str) -> String {
        let mut clean = text.to_owned();
        for secret in &self.secrets {
            if clean.contains(secret.as_str()) {
                clean = clean.replace(secret.as_str(), REDACTED);
            }
        }
        clean = clean_urls(&clean);
        clean_password_words(&clean)
    }

    /// Cleans every string of a JSON value in place; keys stay.
    pub fn clean_json(&self, value: &mut Value) {
        match value {
            Value::String(text) => {
                let clean = self.clean(text);
                if clean != *text {
                    *text = clean;
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.clean_json(item)),
            Value::Object(fields) => fields.values_mut().for_each(|field| self.clean_json(field)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
}

/// `scheme://user:secret@host` without the secret.
fn clean_urls(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("://") {
        let (before, after) = rest.split_at(start + 3);
        out.push_str(before);
        let end =
            after.find(|c: char| c.is_whitespace() || matches!(c, '/' | '"' | '\'')).unwrap_or(after.len());
        let authority = &after[..end];
        match authority.rsplit_once('@').and_then(|(user, host)| Some((user.split_once(':')?.0, host))) {
            Some((user, host)) => {
                out.push_str(user);
                out.push(':');
                out.push_str(REDACTED);
                out.push('@');
                out.push_str(host);
            }
            None => out.push_str(authority),
        }
        rest = &after[end..];
    }
    out.push_str(rest);
    out
}

/// `password=secret`, `PASSWORD 'secret'` and their like without the secret.
fn clean_password_words(text: &str) -> String {
    const WORD: &str = "password";
    let lower = text.to_ascii_lowercase();
    let mut out = String::with_capacity(text.len());
    let mut from = 0;
    while let Some(found) = lower[from..].find(WORD) {
        let after_word = from + found + WORD.len();
        let tail = &text[after_word..];
        let gap = tail.len() - tail.trim_start_matches([' ', '=', ':', '\t']).len();
        let value = &tail[gap..];
        let length = match value.chars().next() {
            Some(quote @ ('\'' | '"')) => value[1..].find(quote).map_or(value.len(), |end| end + 2),
            Some(_) if tail[..gap].contains('=') => value
                .find(|c: char| c.is_whitespace() || matches!(c, '&' | '"' | '\''))
                .unwrap_or(value.len()),
            _ => 0,
        };
        out.push_str(&text[from..after_word + gap]);
        if length > 0 {
            out.push_str(REDACTED);
        }
        from = after_word + gap + length;
    }
    out.push_str(&text[from..]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("connect with hunter2-xyz now", "connect with [redacted] now")]
    #[case("postgres://bob:s3cr3t@db/x?y=1", "postgres://bob:[redacted]@db/x?y=1")]
    #[case("postgres://bob@db/x", "postgres://bob@db/x")]
    #[case("host=db password=s3cr3t dbname=x", "host=db password=[redacted] dbname=x")]
    #[case("ALTER ROLE bob PASSWORD 's3 cr3t';", "ALTER ROLE bob PASSWORD [redacted];")]
    #[case("the password must be changed", "the password must be changed")]
    #[case("nothing here: a://b", "nothing here: a://b")]
    #[case("PASSWORD", "PASSWORD")]
    #[case("пароль password=ю", "пароль password=[redacted]")]
    fn secrets_go_and_the_rest_stays(#[case] text: &str, #[case] clean: &str) {
        let redactor = Redactor::for_environment([
            ("PGPASSWORD".to_owned(), "hunter2-xyz".to_owned()),
            ("HOME".to_owned(), "now".to_owned()),
            ("API_TOKEN".to_owned(), "abc".to_owned()),
        ]);
        assert_eq!(redactor.clean(text), clean);
    }

    #[test]
    fn json_is_cleaned_in_depth_and_its_keys_stay() {
        let redactor = Redactor::for_environment([("DB_SECRET".to_owned(), "hunter2".to_owned())]);
        let mut value = serde_json::json!({"hunter2": ["a hunter2", 1, {"x": "hunter2"}]});
        redactor.clean_json(&mut value);
        assert_eq!(value, serde_json::json!({"hunter2": ["a [redacted]", 1, {"x": "[redacted]"}]}));
    }
}
