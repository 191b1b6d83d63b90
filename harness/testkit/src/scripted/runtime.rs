//! A runtime that stands before another and follows a script.

use std::io::Write;
use std::sync::Arc;

use async_trait::async_trait;
use pgdrill_model::code::Code;
use pgdrill_model::evidence::PlaceFacts;
use pgdrill_model::finding::{Finding, Stage, Unable};
use pgdrill_model::units::Major;
use pgdrill_model::world::{Command, Exit, Need, Output, Owner, Place, Process, Runtime, Signal, Stray};

use super::call::What;
use super::fault::Fault;
use super::script::Script;

/// The number of a process that does not exist: more than any system gives (`PID_MAX_LIMIT` of Linux is 2^22).
const NOBODY: u32 = 1 << 30;

/// A runtime that passes everything through to another, but for the calls that its script has a fault for.
pub struct Scripted {
    inner: Arc<dyn Runtime>,
    script: Arc<Script>,
}

impl Scripted {
    /// Stands before `inner`.
    pub fn new(inner: Arc<dyn Runtime>, script: Arc<Script>) -> Self {
        Self { inner, script }
    }
}

fn unable(code: Code) -> Unable {
    Unable::new(code, "the script says that it cannot be done")
}

#[async_trait]
impl Runtime for Scripted {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    async fn majors(&self) -> Result<Vec<Major>, Unable> {
        self.inner.majors().await
    }

    fn owner(&self) -> Result<Option<Owner>, Unable> {
        match self.script.call("runtime", What::Owner) {
            Some(Fault::Unable(code)) => Err(unable(code)),
            _ => self.inner.owner(),
        }
    }

    async fn open(&self, need: &Need) -> Result<Box<dyn Place>, Unable> {
        match self.script.call(&need.server, What::Open) {
            Some(Fault::Unable(code)) => return Err(unable(code)),
            Some(Fault::Hangs) => return self.script.hang().await,
            _ => {}
        }
        let inner = self.inner.open(need).await?;
        self.script.opened(&need.server);
        Ok(Box::new(ScriptedPlace { inner, server: need.server.clone(), script: Arc::clone(&self.script) }))
    }

    async fn strays(&self) -> Result<Vec<Stray>, Unable> {
        self.inner.strays().await
    }

    async fn reap(&self, stray: &Stray) -> Result<(), Unable> {
        self.inner.reap(stray).await
    }
}

struct ScriptedPlace {
    inner: Box<dyn Place>,
    server: String,
    script: Arc<Script>,
}

impl ScriptedPlace {
    fn process(&self, program: &'static str, inner: Started) -> Box<dyn Process> {
        let (server, script) = (self.server.clone(), Arc::clone(&self.script));
        Box::new(ScriptedProcess { inner, program, server, script, asked: false })
    }
}

#[async_trait]
impl Place for ScriptedPlace {
    fn facts(&self) -> &PlaceFacts {
        self.inner.facts()
    }

    async fn run(&self, command: &Command) -> Result<Exit, Unable> {
        let name = command.program.name();
        match self.script.call(&self.server, What::Run(name.to_owned())) {
            Some(Fault::Unable(code)) => Err(unable(code)),
            Some(Fault::Exits(code, words)) => {
                Ok(Exit { code: Some(code), stderr: format!("{name}: {words}\n"), ..Exit::default() })
            }
            Some(Fault::Killed) => Ok(Exit { signal: Some(9), ..Exit::default() }),
            Some(Fault::Hangs) => self.script.hang().await,
            Some(Fault::Lies) => Ok(Exit { code: Some(0), ..Exit::default() }),
            Some(Fault::Then(then)) => {
                let exit = self.inner.run(command).await?;
                then(command);
                Ok(exit)
            }
            _ => self.inner.run(command).await,
        }
    }

    async fn spawn(&self, command: &Command) -> Result<Box<dyn Process>, Unable> {
        let program = command.program.name();
        match self.script.call(&self.server, What::Spawn(program.to_owned())) {
            Some(Fault::Unable(code)) => Err(unable(code)),
            Some(Fault::Hangs) => self.script.hang().await,
            Some(Fault::Lies) => Ok(self.process(program, Started::Never { running: true })),
            Some(Fault::Dies(words)) => {
                if let (Output::File(path), false) = (&command.output, words.is_empty()) {
                    let log = std::fs::OpenOptions::new().create(true).append(true).open(path);
                    log.and_then(|mut log| writeln!(log, "{words}"))
                        .map_err(|error| Unable::bug(format!("the script cannot write: {error}")))?;
                }
                Ok(self.process(program, Started::Never { running: false }))
            }
            _ => {
                let process = self.inner.spawn(command).await?;
                self.script.started(&self.server, process.pid());
                Ok(self.process(program, Started::Really(process)))
            }
        }
    }

    async fn signal(&self, pid: u32, signal: Signal) -> Result<(), Unable> {
        match self.script.call(&self.server, What::Signal(signal)) {
            Some(Fault::Unable(code)) => Err(unable(code)),
            Some(Fault::Hangs) => self.script.hang().await,
            Some(Fault::Lies) => {
                // Nobody who is waited for will end: the wait must.
                self.script.stuck();
                Ok(())
            }
            _ if pid == NOBODY => Ok(()),
            _ => self.inner.signal(pid, signal).await,
        }
    }

    async fn close(self: Box<Self>) -> Vec<Finding> {
        let fault = self.script.call(&self.server, What::Close);
        self.script.closes(&self.server);
        if let Some(Fault::Hangs) = fault {
            return self.script.hang().await;
        }
        let mut findings = self.inner.close().await;
        if let Some(Fault::Remains) = fault {
            let message = format!("the script says that a process of the {} would not end", self.server);
            findings.push(Finding::new(Code::CleanupFailed, Stage::Teardown, message));
        }
        findings
    }
}

/// What was started.
enum Started {
    Really(Box<dyn Process>),
    /// Nothing; whether it says that it runs.
    Never {
        running: bool,
    },
}

struct ScriptedProcess {
    inner: Started,
    program: &'static str,
    server: String,
    script: Arc<Script>,
    asked: bool,
}

#[async_trait]
impl Process for ScriptedProcess {
    fn pid(&self) -> u32 {
        match &self.inner {
            Started::Really(process) => process.pid(),
            Started::Never { .. } => NOBODY,
        }
    }

    fn running(&mut self) -> bool {
        if !self.asked {
            self.asked = true;
            let fault = self.script.call(&self.server, What::Running(self.program.to_owned()));
            match (&self.inner, fault) {
                (Started::Really(_), Some(Fault::Perishes)) => self.script.kill(&self.server),
                // Whoever asks waits for what this server will never do.
                (Started::Never { running: true }, _) => self.script.stuck(),
                _ => {}
            }
        }
        match &mut self.inner {
            Started::Really(process) => process.running(),
            Started::Never { running } => *running,
        }
    }

    async fn wait(&mut self) -> Result<Exit, Unable> {
        match self.script.call(&self.server, What::Wait(self.program.to_owned())) {
            Some(Fault::Unable(code)) => return Err(unable(code)),
            Some(Fault::Hangs) => return self.script.hang().await,
            _ => {}
        }
        match &mut self.inner {
            Started::Really(process) => process.wait().await,
            Started::Never { running: false } => Ok(Exit { code: Some(1), ..Exit::default() }),
            Started::Never { running: true } => self.script.hang().await,
        }
    }
}
