//! The account that processes run as. PostgreSQL refuses to run as root, and a drill has no use for root
//! either.

use std::ffi::OsString;
use std::io::Read;
use std::process::Stdio;
use std::time::{Duration, Instant};

use pgdrill_model::code::Code;
use pgdrill_model::finding::Unable;
use pgdrill_model::world::Owner;

use crate::program::program_in;

/// An account directory on a network may be slow, and may not answer at all.
const LOOKUP_LIMIT: Duration = Duration::from_secs(10);

/// Who processes run as.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) name: String,
    /// Whether it is another one than the caller's, which only root can switch to.
    pub(crate) switch: bool,
}

impl Account {
    pub(crate) fn owner(&self) -> Option<Owner> {
        self.switch.then(|| Owner { uid: self.uid, gid: self.gid, name: self.name.clone() })
    }
}

/// The account that the user named, else the first of the `usual` ones that there is, where pgdrill is root; else
/// its own. Programs are looked for along `path`.
pub(crate) fn find(user: Option<&str>, path: &OsString, usual: &[&str]) -> Result<Account, Unable> {
    let own = rustix::process::geteuid();
    if !own.is_root() {
        let (uid, gid) = (own.as_raw(), rustix::process::getegid().as_raw());
        let name = id(path, &["-un"]).unwrap_or_else(|_| format!("uid {uid}"));
        return Ok(Account { uid, gid, name, switch: false });
    }
    if let Some(name) = user {
        return lookup(path, name).map_err(|why| {
            Unable::new(Code::UserMissing, format!("the account '{name}', named in PGDRILL_USER, {why}"))
        });
    }
    usual.iter().find_map(|name| lookup(path, name).ok()).ok_or_else(|| {
        let names: Vec<String> = usual.iter().map(|name| format!("'{name}'")).collect();
        Unable::new(
            Code::UserMissing,
            format!(
                "pgdrill runs as root, and there is no account {} to run PostgreSQL as",
                names.join(" and no account ")
            ),
        )
    })
}

/// Asks `id`, which knows every source of accounts that this host is set up with.
fn lookup(path: &OsString, name: &str) -> Result<Account, String> {
    if name.starts_with('-') {
        return Err("is not the name of an account".to_owned());
    }
    let number = |flag: &str| -> Result<u32, String> {
        let text = id(path, &[flag, name])?;
        text.parse().map_err(|_| format!("has no number: `id {flag} {name}` printed '{text}'"))
    };
    let (uid, gid) = (number("-u")?, number("-g")?);
    if uid == 0 {
        return Err("is root, which PostgreSQL refuses to run as".to_owned());
    }
    Ok(Account { uid, gid, name: name.to_owned(), switch: true })
}

/// What `id` prints, or why there is nothing, as the rest of a sentence about the account.
fn id(path: &OsString, args: &[&str]) -> Result<String, String> {
    let program =
        program_in(path, "id").ok_or("cannot be looked up, because there is no program `id` in PATH")?;
    let failed = |error: std::io::Error| format!("cannot be looked up: `id` failed: {error}");
    let mut child = std::process::Command::new(program)
        .args(args)
        .env_clear()
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(failed)?;
    let started = Instant::now();
    let status = loop {
        match child.try_wait().map_err(failed)? {
            Some(status) => break status,
            None if started.elapsed() > LOOKUP_LIMIT => {
                // The answer no longer matters, and neither does whether the program was still there to be
                // ended.
                let _ = child.kill();
                let _ = child.wait();
                return Err("cannot be looked up: `id` did not answer".to_owned());
            }
            None => std::thread::sleep(Duration::from_millis(1)),
        }
    };
    let mut text = String::new();
    if let Some(mut stdout) = child.stdout.take() {
        stdout.read_to_string(&mut text).map_err(failed)?;
    }
    if status.success() { Ok(text.trim().to_owned()) } else { Err("does not exist".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::DEFAULT_PATH;

    fn as_user(name: &str) -> Result<Account, Unable> {
        find(Some(name), &DEFAULT_PATH.into(), &[])
    }

    #[test]
    fn root_drops_to_an_account_that_exists_and_is_not_root() {
        if !rustix::process::geteuid().is_root() {
            let account = as_user("whoever").expect("an ordinary user stays himself");
            assert!(!account.switch && account.owner().is_none());
            return;
        }
        let account = as_user("nobody").expect("nobody is everywhere");
        assert!(account.switch && account.uid != 0);
        let missing = as_user("no-such-account-here").expect_err("is not there");
        assert_eq!(missing.code, Code::UserMissing);
        assert_eq!(
            missing.message,
            "the account 'no-such-account-here', named in PGDRILL_USER, does not exist"
        );
        let root = as_user("root").expect_err("is refused");
        assert!(root.message.contains("is root, which PostgreSQL refuses"), "{}", root.message);
        assert!(as_user("-u").is_err());
        let none =
            find(None, &DEFAULT_PATH.into(), &["no-such-account", "nor-this-one"]).expect_err("is not there");
        assert!(
            none.message.contains("no account 'no-such-account' and no account 'nor-this-one'"),
            "{none}"
        );
    }
}
