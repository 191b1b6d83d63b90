//! The runtime itself: which image, which account, and opening places.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, DirBuilder};
use std::os::unix::fs::{DirBuilderExt, chown};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use pgdrill_model::code::Code;
use pgdrill_model::evidence::PlaceFacts;
use pgdrill_model::finding::Unable;
use pgdrill_model::units::Major;
use pgdrill_model::world::{Need, Owner, Place, Runtime, Stray};
use tokio::sync::OnceCell;

use super::container::{Order, script};
use super::engine::Engine;
use super::image::{self, Found, Template};
use super::lease::{self, Lease};
use super::place::{DockerPlace, Ground, Wanted};
use super::probe::{self, Probe};
use super::{DockerSettings, strays};
use crate::account::{self, Account};
use crate::local::NEEDED;

/// What looks for PostgreSQL in an image.
const SURVEY: &str = include_str!("survey.sh");

/// Programs that answer `--version` do so at once.
const SURVEY_LIMIT: Duration = Duration::from_secs(60);

/// The account where pgdrill is root and there is none called `postgres`: a container has accounts of its own, and no
/// other account of the host is to own a drill's files.
const NOBODY_ELSE: u32 = 54_320;

/// Runs servers in containers of a docker engine.
#[derive(Debug)]
pub struct DockerRuntime {
    settings: DockerSettings,
    template: Template,
    account: OnceLock<Result<Account, Unable>>,
    engine: OnceCell<Engine>,
    /// Whether a container was seen to work on this host's files and sockets.
    probed: AtomicBool,
    /// What `survey.sh` found in images, by their ids.
    surveys: Mutex<HashMap<String, Arc<str>>>,
    /// How many containers there were of each name.
    names: Mutex<BTreeMap<String, u32>>,
}

/// What there is of docker: what `pgdrill doctor` shows.
#[derive(Clone, Debug, Default)]
pub struct Survey {
    /// The engine and its version; none where none answers.
    pub engine: Option<String>,
    /// The images that the engine has, by major, ascending.
    pub images: Vec<(Major, Found)>,
    /// What is wrong, the gravest first.
    pub problems: Vec<Unable>,
}

impl DockerRuntime {
    /// A runtime with these settings. Nothing is looked up before it is asked for; what was found is kept.
    pub fn new(settings: DockerSettings) -> Self {
        Self {
            template: Template::new(settings.image.as_deref()),
            settings,
            account: OnceLock::new(),
            engine: OnceCell::new(),
            probed: AtomicBool::new(false),
            surveys: Mutex::new(HashMap::new()),
            names: Mutex::new(BTreeMap::new()),
        }
    }

    /// The engine, the images, and what is wrong with them.
    pub async fn survey(&self) -> Survey {
        let engine = match self.engine().await {
            Ok(engine) => engine,
            Err(unable) => return Survey { problems: vec![unable], ..Survey::default() },
        };
        let mut survey = Survey { engine: Some(engine.version.clone()), ..Survey::default() };
        match self.images(engine).await {
            Ok(images) => survey.images = images,
            Err(unable) => survey.problems.push(unable),
        }
        survey.problems.extend(self.account().err());
        survey
    }

    /// Tries whether containers can work on this host's files and sockets, in a directory that is made below `base`
    /// and removed again. Asked once; afterwards, and after the first place was opened, the answer is there at once.
    ///
    /// # Errors
    ///
    /// `ENGINE_UNUSABLE`: no engine, or one whose containers cannot; `IMAGE_MISSING`: no image to try it with;
    /// `WORKSPACE_UNUSABLE`, `USER_MISSING`.
    pub async fn probe(&self, base: &Path) -> Result<(), Unable> {
        let engine = self.engine().await?;
        if self.probed.load(Ordering::Acquire) {
            return Ok(());
        }
        let mut found = None;
        for major in image::MAJORS.rev().map(Major) {
            found = image::find(engine, &self.template, major).await?;
            if found.is_some() {
                break;
            }
        }
        let image = match found {
            Some(image) => image,
            None => image::find_or_pull(engine, &self.template, Major(*image::MAJORS.end())).await?,
        };
        self.look_into(engine, &image, base).await.map(|_| ())
    }

    async fn engine(&self) -> Result<&Engine, Unable> {
        self.engine.get_or_try_init(|| Engine::reach(&self.settings)).await
    }

    fn account(&self) -> Result<&Account, Unable> {
        let found = self.account.get_or_init(|| {
            let named = self.settings.user.as_deref();
            let found = account::find(named, &self.settings.search_path(), &["postgres"]);
            match found {
                Err(_) if named.is_none() => Ok(Account {
                    uid: NOBODY_ELSE,
                    gid: NOBODY_ELSE,
                    name: "pgdrill".to_owned(),
                    switch: true,
                }),
                found => found,
            }
        });
        found.as_ref().map_err(Clone::clone)
    }

    /// The images that the engine has, by the majors that they are taken for.
    async fn images(&self, engine: &Engine) -> Result<Vec<(Major, Found)>, Unable> {
        let mut images = Vec::new();
        if self.template.fixed() {
            // Only looking into it tells what it is.
            if let Some(image) = image::find(engine, &self.template, Major::OLDEST).await? {
                let found = self.look_into(engine, &image, &std::env::temp_dir()).await?;
                images.extend(image::majors(&found).into_iter().map(|major| (major, image.clone())));
            }
            return Ok(images);
        }
        for major in image::MAJORS.map(Major) {
            images.extend(image::find(engine, &self.template, major).await?.map(|image| (major, image)));
        }
        Ok(images)
    }

    /// What is in an image, by a container of it that sees nothing but a directory made below `base`.
    async fn look_into(&self, engine: &Engine, image: &Found, base: &Path) -> Result<Arc<str>, Unable> {
        static MADE: AtomicU64 = AtomicU64::new(1);
        if let Some(found) = self.surveyed(image) {
            return Ok(found);
        }
        let account = self.account()?;
        let run_id = format!("probe-{}-{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        let workspace = Scratch::make(base, &run_id, account)?;
        let wanted = Wanted {
            run_id: &run_id,
            server: "probe",
            major: None,
            workspace: &workspace.0,
            writable: &[],
            readable: &[],
        };
        let place = self.place(engine, image, &wanted).await?;
        match Box::new(place).close().await.into_iter().next() {
            Some(finding) => Err(Unable::new(finding.code, finding.message)),
            None => self
                .surveyed(image)
                .ok_or_else(|| Unable::bug("an image was looked into and nothing was found")),
        }
    }

    fn surveyed(&self, image: &Found) -> Option<Arc<str>> {
        let surveys = self.surveys.lock().unwrap_or_else(PoisonError::into_inner);
        surveys.get(&image.id).cloned()
    }

    /// A name that no container of this process has had.
    fn name(&self, run_id: &str, server: &str) -> String {
        let name = format!("{run_id}-{server}");
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let count = names.entry(name.clone()).and_modify(|count| *count += 1).or_insert(1);
        if *count == 1 { name } else { format!("{name}-{count}") }
    }

    /// Opens a place in a container of an image.
    async fn place(
        &self,
        engine: &Engine,
        image: &Found,
        wanted: &Wanted<'_>,
    ) -> Result<DockerPlace, Unable> {
        let account = self.account()?;
        let name = self.name(wanted.run_id, wanted.server);
        let lease = Lease::take(wanted.workspace, &name, account)?;
        let probe = if self.probed.load(Ordering::Acquire) {
            None
        } else {
            Some(Probe::prepare(lease.files.beside("p"), account)?)
        };
        let mut writable = wanted.writable.to_vec();
        writable.extend(probe.as_ref().map(|probe| probe.directory.clone()));
        let order = Order {
            name: format!("pgdrill-{name}"),
            run_id: wanted.run_id,
            server: wanted.server,
            image,
            account,
            workspace: wanted.workspace,
            files: &lease.files,
            writable: &writable,
            readable: wanted.readable,
            limits: self.settings.limits,
        };
        let container = match order.start(engine).await {
            // It was gone before the library that started it could ask for it.
            Err(unable) if probe.is_some() && unable.message.contains("No such container") => {
                return Err(probe::unusable(engine, probe::ENDS_AT_ONCE).await);
            }
            started => started?,
        };
        let ground = Ground {
            engine: engine.clone(),
            container,
            name: order.name,
            server: wanted.server.to_owned(),
            user: format!("{}:{}", account.uid, account.gid),
            workspace: wanted.workspace.to_owned(),
            image: image.reference.clone(),
            path: image.path.clone(),
        };
        let mut place = DockerPlace::new(ground, lease);
        match self.settle(&mut place, image, probe, wanted.major).await {
            Ok(()) => Ok(place),
            Err(unable) => {
                // Why it cannot be used says more than what is left of it.
                Box::new(place).close().await;
                Err(unable)
            }
        }
    }

    /// Finds PostgreSQL in a place that was just opened, and sees that the host and it have their files in common.
    async fn settle(
        &self,
        place: &mut DockerPlace,
        image: &Found,
        probe: Option<Probe>,
        major: Option<Major>,
    ) -> Result<(), Unable> {
        let engine = &place.ground.engine;
        let account = self.account()?;
        let found = match (self.surveyed(image), &probe) {
            (Some(found), None) => found,
            _ => {
                let directory = probe.as_ref().map(|probe| probe.directory.to_string_lossy().into_owned());
                let found = look(&place.ground, directory.unwrap_or_default()).await;
                match found {
                    // The first process ends at once when it cannot open its lease.
                    Err(unable) if unable.code == Code::ServerLost => {
                        return Err(probe::unusable(engine, probe::ENDS_AT_ONCE).await);
                    }
                    found => found?,
                }
            }
        };
        // An image without the program that calls is not usable, and says nothing about the engine.
        if let Some(probe) = probe.filter(|_| found.lines().any(|line| line == "called")) {
            if let Err(what) = probe.verdict(account).await {
                return Err(probe::unusable(engine, &what).await);
            }
            self.probed.store(true, Ordering::Release);
        }
        let mut surveys = self.surveys.lock().unwrap_or_else(PoisonError::into_inner);
        surveys.insert(image.id.clone(), Arc::clone(&found));
        drop(surveys);
        let Some(major) = major else { return Ok(()) };
        let layout = image::pick(image, major, &found)?;
        let facts = PlaceFacts {
            runtime: "docker".to_owned(),
            user: account.name.clone(),
            image: Some(image.reference.clone()),
            image_digest: Some(image.digest.clone()),
            engine: Some(engine.version.clone()),
            ..PlaceFacts::default()
        };
        place.furnish(&layout, facts);
        Ok(())
    }
}

/// Runs `survey.sh`.
async fn look(ground: &Ground, probe: String) -> Result<Arc<str>, Unable> {
    let mut argv = vec!["sh".to_owned(), "-c".to_owned(), script(SURVEY), "pgdrill-survey".to_owned(), probe];
    argv.extend(NEEDED.map(str::to_owned));
    let env = vec![format!("PATH={}", ground.path), "LC_ALL=C".to_owned()];
    let end = async { ground.start(argv, env).await?.end().await };
    match tokio::time::timeout(SURVEY_LIMIT, end).await {
        Err(_) => Err(Unable::new(
            Code::ImageUnsuitable,
            format!(
                "looking for PostgreSQL in the image {} took longer than {} s",
                ground.image,
                SURVEY_LIMIT.as_secs()
            ),
        )),
        Ok(Ok(exit)) if exit.success() => Ok(exit.stdout.into()),
        // The kernel ended it with the container, or the container was gone when it was to begin.
        Ok(Ok(exit)) if exit.signal == Some(9) || ground.ends().await? => Err(ground.lost()),
        Ok(Ok(exit)) => Err(Unable::new(
            Code::ImageUnsuitable,
            format!(
                "a script failed in the image {}: {}, {}",
                ground.image,
                exit.describe(),
                exit.last_words()
            ),
        )),
        Ok(Err(unable)) => Err(unable),
    }
}

/// A directory that is removed with all that is in it.
struct Scratch(PathBuf);

impl Scratch {
    fn make(base: &Path, name: &str, account: &Account) -> Result<Self, Unable> {
        let base = &std::path::absolute(base).map_err(|error| lease::trouble(base, &error))?;
        let path = base.join(name);
        // The account must be able to pass through a base that is not there yet.
        let made = DirBuilder::new().mode(0o711).recursive(true).create(base);
        made.and_then(|()| DirBuilder::new().mode(0o700).create(&path))
            .and_then(|()| {
                if account.switch { chown(&path, Some(account.uid), Some(account.gid)) } else { Ok(()) }
            })
            .map_err(|error| lease::trouble(&path, &error))?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
        // A base in which there is nothing else goes too, as with a workspace.
        let _ = self.0.parent().map(fs::remove_dir);
    }
}

#[async_trait]
impl Runtime for DockerRuntime {
    fn name(&self) -> &'static str {
        "docker"
    }

    async fn majors(&self) -> Result<Vec<Major>, Unable> {
        let images = self.images(self.engine().await?).await?;
        Ok(images.into_iter().map(|(major, _)| major).collect())
    }

    fn owner(&self) -> Result<Option<Owner>, Unable> {
        self.account().map(Account::owner)
    }

    async fn open(&self, need: &Need) -> Result<Box<dyn Place>, Unable> {
        let engine = self.engine().await?;
        for name in [&need.run_id, &need.server] {
            if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)) {
                return Err(Unable::bug(format!("'{name}' cannot name a run or a server of a container")));
            }
        }
        let image = match image::find(engine, &self.template, need.major).await? {
            Some(image) => image,
            None if !image::MAJORS.contains(&need.major.0) => {
                let there: Vec<String> = self.majors().await?.iter().map(ToString::to_string).collect();
                let message = format!(
                    "there is no image of PostgreSQL {}; there are images of {}",
                    need.major,
                    if there.is_empty() { "no major".to_owned() } else { there.join(", ") }
                );
                return Err(Unable::new(Code::PostgresMissing, message));
            }
            None => image::find_or_pull(engine, &self.template, need.major).await?,
        };
        let account = self.account()?;
        for path in need.writable.iter().chain(&need.readable) {
            lease::make_needed(path, account)?;
        }
        let wanted = Wanted {
            run_id: &need.run_id,
            server: &need.server,
            major: Some(need.major),
            workspace: &need.workspace,
            writable: &need.writable,
            readable: &need.readable,
        };
        Ok(Box::new(self.place(engine, &image, &wanted).await?))
    }

    async fn strays(&self) -> Result<Vec<Stray>, Unable> {
        strays::find(self.engine().await?).await
    }

    async fn reap(&self, stray: &Stray) -> Result<(), Unable> {
        strays::reap(self.engine().await?, stray).await
    }
}
