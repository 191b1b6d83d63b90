//! Whom to call: a file of the user's, in YAML, with those who are called first and those to whom it is escalated.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Whom to call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Contacts {
    /// Who is called first.
    pub primary: Vec<Contact>,
    /// To whom it is escalated.
    #[serde(default)]
    pub secondary: Vec<Contact>,
}

/// Somebody.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Contact {
    /// What for, as `Database Admin`.
    pub role: String,
    /// His name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// His telephone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    /// His address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
}

/// Why a file of contacts is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misread {
    /// The file, as the user named it.
    pub file: String,
    /// The line, from 1, where it is known.
    pub line: Option<u64>,
    /// What is wrong.
    pub message: String,
}

/// What a file must look like.
const SHAPE: &str =
    "write `primary:` and `secondary:`, each a list of `- role: Database Admin`, `name:`, `phone:`, `email:`";

impl fmt::Display for Misread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = self.line.map_or_else(String::new, |line| format!("{line}:"));
        write!(f, "{}:{line} {}; {SHAPE}", self.file, self.message)
    }
}

impl Contacts {
    /// Reads a file of contacts. `file` is what messages call it.
    ///
    /// # Errors
    ///
    /// What is wrong with it, and where.
    pub fn parse(file: &str, text: &str) -> Result<Self, Misread> {
        let wrong =
            |line, message: &str| Misread { file: file.to_owned(), line, message: message.to_owned() };
        let contacts: Self = serde_saphyr::from_str(text).map_err(|error| {
            let line = error.location().map(|location| location.line());
            // The parser adds a picture of the place, which may hold what is nobody's business here.
            let message = error.without_snippet().to_string();
            let first = message.lines().next().unwrap_or_default().to_owned();
            wrong(line, &first)
        })?;
        if contacts.primary.is_empty() {
            return Err(wrong(None, "nobody is primary"));
        }
        let all = contacts.primary.iter().chain(&contacts.secondary);
        if let Some(mute) = all.into_iter().find(|contact| contact.phone.is_none() && contact.email.is_none())
        {
            let needle = mute.role.as_str();
            let line = text.lines().position(|line| line.contains(needle)).map(|at| at as u64 + 1);
            return Err(wrong(line, &format!("'{needle}' has neither a phone nor an email")));
        }
        Ok(contacts)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[test]
    fn a_file_of_contacts_is_read() {
        let text = "primary:\n  - role: Database Admin\n    name: Ada\n    phone: +90-555-000-0000\nsecondary:\n  \
                    - { role: CTO, email: cto@bank.example }\n";
        let contacts = Contacts::parse("contacts.yaml", text).unwrap();
        assert_eq!(contacts.primary[0].phone.as_deref(), Some("+90-555-000-0000"));
        assert_eq!(contacts.secondary[0].email.as_deref(), Some("cto@bank.example"));
    }

    #[test]
    fn a_number_is_a_telephone_as_it_is_written() {
        let contacts = Contacts::parse("c", "primary: [{ role: a, phone: +905550000000 }]").unwrap();
        assert_eq!(contacts.primary[0].phone.as_deref(), Some("+905550000000"));
    }

    #[rstest]
    #[case::no_yaml("primary: [\n", None, "")]
    #[case::another_field("primary:\n  - role: a\n    mobile: 1\n", Some(3), "mobile")]
    #[case::nobody("primary: []\n", None, "nobody is primary")]
    #[case::no_role("primary:\n  - phone: '1'\n", None, "role")]
    #[case::mute(
        "primary:\n  - { role: a, phone: '1' }\nsecondary:\n  - role: CTO\n",
        Some(4),
        "'CTO' has neither"
    )]
    #[case::no_map("hello\n", Some(1), "")]
    fn a_file_that_is_none_is_told_with_its_line_and_what_now(
        #[case] text: &str,
        #[case] line: Option<u64>,
        #[case] words: &str,
    ) {
        let misread = Contacts::parse("contacts.yaml", text).unwrap_err();
        let said = misread.to_string();
        assert!(said.starts_with("contacts.yaml:") && said.contains(words), "{said}");
        assert!(said.contains("write `primary:`"), "{said}");
        if line.is_some() {
            assert_eq!(misread.line, line, "{said}");
        }
    }
}
