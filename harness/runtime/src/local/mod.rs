//! The local runtime: PostgreSQL's programs of this host, run as an unprivileged account.

mod ending;
mod install;
mod lease;
mod mark;
mod place;
mod process;
mod strays;

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::OnceLock;

use async_trait::async_trait;
use pgdrill_model::finding::Unable;
use pgdrill_model::units::Major;
use pgdrill_model::world::{Need, Owner, Place, Runtime, Stray};
use tokio::sync::OnceCell;

use crate::account::{self, Account};
use crate::program::{DEFAULT_PATH, executable, program_in};
use crate::table;
pub use install::{Installation, NEEDED, Survey};

/// What the user's environment says about the local runtime. This crate reads no environment of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LocalSettings {
    /// Directories of PostgreSQL's programs that the user named; they come before all others.
    pub bin_dirs: Vec<PathBuf>,
    /// Where all other programs are, in the form of `PATH`.
    pub path: Option<OsString>,
    /// The account to run as where pgdrill is root.
    pub user: Option<String>,
}

impl LocalSettings {
    /// Takes `PGDRILL_PG_BIN` (separated by colons), `PATH` and `PGDRILL_USER` from an environment.
    pub fn from_env(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let given = |name: &str| variable(name).filter(|value| !value.is_empty());
        Self {
            bin_dirs: given("PGDRILL_PG_BIN")
                .map(|value| {
                    std::env::split_paths(&value).filter(|dir| !dir.as_os_str().is_empty()).collect()
                })
                .unwrap_or_default(),
            path: given("PATH"),
            user: given("PGDRILL_USER").map(|value| value.to_string_lossy().into_owned()),
        }
    }

    /// The search path, never empty.
    fn search_path(&self) -> OsString {
        self.path.clone().unwrap_or_else(|| DEFAULT_PATH.into())
    }
}

/// Runs servers as processes of this host.
#[derive(Debug)]
pub struct LocalRuntime {
    settings: LocalSettings,
    account: OnceLock<Result<Account, Unable>>,
    survey: OnceCell<Survey>,
}

impl LocalRuntime {
    /// A runtime with these settings. Nothing is looked up before it is asked for; what was found is kept.
    pub fn new(settings: LocalSettings) -> Self {
        Self { settings, account: OnceLock::new(), survey: OnceCell::new() }
    }

    /// Every installation of PostgreSQL that there is, the unusable ones too, and the account: what
    /// `pgdrill doctor` shows.
    pub async fn survey(&self) -> &Survey {
        self.survey.get_or_init(|| install::survey(&self.settings, self.owner())).await
    }

    fn account(&self) -> Result<&Account, Unable> {
        let found = self.account.get_or_init(|| {
            let usual = ["postgres", "nobody"];
            account::find(self.settings.user.as_deref(), &self.settings.search_path(), &usual)
        });
        found.as_ref().map_err(Clone::clone)
    }
}

#[async_trait]
impl Runtime for LocalRuntime {
    fn name(&self) -> &'static str {
        "local"
    }

    async fn majors(&self) -> Result<Vec<Major>, Unable> {
        self.survey().await.majors()
    }

    fn owner(&self) -> Result<Option<Owner>, Unable> {
        self.account().map(Account::owner)
    }

    async fn open(&self, need: &Need) -> Result<Box<dyn Place>, Unable> {
        let installation = self.survey().await.of(need.major)?;
        let account = self.account()?;
        Ok(Box::new(place::LocalPlace::open(need, installation, account, self.settings.search_path()).await?))
    }

    async fn strays(&self) -> Result<Vec<Stray>, Unable> {
        strays::find(self.account()?.uid).await
    }

    async fn reap(&self, stray: &Stray) -> Result<(), Unable> {
        strays::reap(stray, self.account()?.uid).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_come_from_the_environment_that_is_handed_in() {
        let settings = LocalSettings::from_env(|name| match name {
            "PGDRILL_PG_BIN" => Some("/opt/pg17/bin::/opt/pg15/bin".into()),
            "PATH" => Some("/bin".into()),
            "PGDRILL_USER" => Some("".into()),
            _ => None,
        });
        assert_eq!(settings.bin_dirs, [PathBuf::from("/opt/pg17/bin"), PathBuf::from("/opt/pg15/bin")]);
        assert_eq!(settings.search_path(), "/bin");
        assert_eq!(settings.user, None, "an empty variable says nothing");
        assert_eq!(LocalSettings::from_env(|_| None), LocalSettings::default());
    }
}
