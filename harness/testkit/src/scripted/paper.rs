//! A runtime on paper: nothing runs in it, and a function answers each command.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use async_trait::async_trait;
use pgdrill_model::evidence::PlaceFacts;
use pgdrill_model::finding::{Finding, Unable};
use pgdrill_model::units::Major;
use pgdrill_model::world::{Command, Exit, Need, Owner, Place, Process, Runtime, Signal, Stray};
use tokio::sync::Notify;

type Answer = Arc<dyn Fn(&Need, &Command) -> Exit + Send + Sync>;

/// A runtime in which nothing runs. What it starts "runs" until a signal comes or its place is closed.
#[derive(Clone)]
pub struct Paper {
    majors: Vec<Major>,
    owner: Result<Option<Owner>, Unable>,
    answer: Answer,
}

impl Paper {
    /// A runtime that has these majors and answers every command with success.
    pub fn new(majors: impl IntoIterator<Item = Major>) -> Self {
        let success = |_: &Need, _: &Command| Exit { code: Some(0), ..Exit::default() };
        Self { majors: majors.into_iter().collect(), owner: Ok(None), answer: Arc::new(success) }
    }

    /// Has workspaces owned by somebody, or nobody to own them.
    #[must_use]
    pub fn owned(mut self, owner: Result<Option<Owner>, Unable>) -> Self {
        self.owner = owner;
        self
    }

    /// Has commands answered by a function, which may write the files that the program would.
    #[must_use]
    pub fn answering(mut self, answer: impl Fn(&Need, &Command) -> Exit + Send + Sync + 'static) -> Self {
        self.answer = Arc::new(answer);
        self
    }
}

#[async_trait]
impl Runtime for Paper {
    fn name(&self) -> &'static str {
        "paper"
    }

    async fn majors(&self) -> Result<Vec<Major>, Unable> {
        Ok(self.majors.clone())
    }

    fn owner(&self) -> Result<Option<Owner>, Unable> {
        self.owner.clone()
    }

    async fn open(&self, need: &Need) -> Result<Box<dyn Place>, Unable> {
        let facts = PlaceFacts {
            runtime: "paper".to_owned(),
            postgres: format!("postgres (PostgreSQL) {}.0", need.major),
            ..PlaceFacts::default()
        };
        let (need, answer) = (need.clone(), Arc::clone(&self.answer));
        Ok(Box::new(PaperPlace { facts, need, answer, ended: Arc::default(), started: AtomicU32::new(0) }))
    }

    async fn strays(&self) -> Result<Vec<Stray>, Unable> {
        Ok(Vec::new())
    }

    async fn reap(&self, _stray: &Stray) -> Result<(), Unable> {
        Ok(())
    }
}

struct PaperPlace {
    facts: PlaceFacts,
    need: Need,
    answer: Answer,
    ended: Arc<End>,
    started: AtomicU32,
}

/// Whether what runs in the place has ended.
#[derive(Default)]
struct End {
    came: AtomicBool,
    told: Notify,
}

impl End {
    fn come(&self) {
        self.came.store(true, Ordering::SeqCst);
        self.told.notify_waiters();
    }
}

#[async_trait]
impl Place for PaperPlace {
    fn facts(&self) -> &PlaceFacts {
        &self.facts
    }

    async fn run(&self, command: &Command) -> Result<Exit, Unable> {
        Ok((self.answer)(&self.need, command))
    }

    async fn spawn(&self, _command: &Command) -> Result<Box<dyn Process>, Unable> {
        let pid = self.started.fetch_add(1, Ordering::SeqCst) + 2;
        Ok(Box::new(PaperProcess { pid, ended: Arc::clone(&self.ended) }))
    }

    async fn signal(&self, _pid: u32, _signal: Signal) -> Result<(), Unable> {
        self.ended.come();
        Ok(())
    }

    async fn close(self: Box<Self>) -> Vec<Finding> {
        self.ended.come();
        Vec::new()
    }
}

struct PaperProcess {
    pid: u32,
    ended: Arc<End>,
}

#[async_trait]
impl Process for PaperProcess {
    fn pid(&self) -> u32 {
        self.pid
    }

    fn running(&mut self) -> bool {
        !self.ended.came.load(Ordering::SeqCst)
    }

    async fn wait(&mut self) -> Result<Exit, Unable> {
        let ended = Arc::clone(&self.ended);
        loop {
            let told = ended.told.notified();
            if !self.running() {
                return Ok(Exit { code: Some(0), ..Exit::default() });
            }
            told.await;
        }
    }
}
