//! `pgdrill doctor`: what of the machine pgdrill can use, what is missing, and in one line each how to mend it.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use pgdrill_engine::{template, workspace};
use pgdrill_model::code::Code;
use pgdrill_model::finding::Unable;
use pgdrill_model::units::{Major, show_bytes};
use pgdrill_model::world::Runtime;
use pgdrill_runtime::docker::DockerRuntime;

use crate::args::Doctor;
use crate::exit::Exit;
use crate::runtimes::Where;
use crate::{files, place, printer};

/// What a small drill needs on disk.
const SMALL_DRILL: u64 = 1 << 30;

/// One thing that was looked at.
struct Line {
    /// Whether it is as it should be; none when it only limits what can be done.
    good: Option<bool>,
    name: &'static str,
    what: String,
    /// How to mend it.
    mend: Option<String>,
}

pub(super) fn run(args: &Doctor) -> anyhow::Result<Exit> {
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let base = args.workspace.workspace.clone().unwrap_or_else(files::default_base);
    let want = args.place.runtime;
    let mut lines = Vec::new();
    let mut containers = false;
    if want != Where::Local {
        let docker = place::docker_runtime(args.place.image.as_deref(), args.place.limits());
        lines = tokio.block_on(engine(&docker, &base, want));
        containers = lines.iter().all(|line| line.good == Some(true));
    }
    if want != Where::Docker {
        let local = place::local_runtime();
        // Where containers will do, nothing of this host is missing.
        lines.extend(tokio.block_on(postgres(&local)).into_iter().map(|line| line.wanted(!containers)));
        lines.push(account(&local).wanted(!containers));
        let programs = ["tar", "cp", "dd", "sync", "ipcrm", "sh"];
        lines.extend(programs.map(|name| program(name).wanted(!containers)));
        lines.extend(["gzip", "lz4", "zstd"].map(unpacker));
        lines.push(pool());
    }
    lines.push(directory("workspace", &base, "--workspace DIR"));
    lines.push(directory("evidence", &args.evidence, "--evidence DIR"));
    lines.push(left_behind(&base));
    lines.push(templates(&base));
    let mut text = String::new();
    for line in &lines {
        let mark = match line.good {
            Some(true) => "ok",
            Some(false) => "MISSING",
            None => "note",
        };
        let _ = writeln!(text, "{mark:<8} {:<12} {}", line.name, line.what);
        if let Some(mend) = &line.mend {
            let _ = writeln!(text, "{:<8} {:<12} hint: {mend}", "", "");
        }
    }
    let ready = lines.iter().all(|line| line.good != Some(false));
    text.push_str(if ready {
        "\npgdrill can run drills here\n"
    } else {
        "\npgdrill cannot run drills here yet\n"
    });
    printer::out(&text)?;
    Ok(if ready { Exit::Proven } else { Exit::Unverified })
}

impl Line {
    /// The same line as a note, where what it misses is not wanted.
    fn wanted(self, wanted: bool) -> Self {
        Self { good: self.good.filter(|good| *good || wanted), ..self }
    }
}

/// The container engine. Unless containers are asked for, none is no fault of the machine.
async fn engine(runtime: &DockerRuntime, base: &Path, want: Where) -> Vec<Line> {
    let survey = runtime.survey().await;
    let fault = |unable: Unable| Line {
        good: (want == Where::Docker).then_some(false),
        name: "docker",
        what: unable.message,
        mend: unable.hint,
    };
    let good = |name, what: String| Line { good: Some(true), name, what, mend: None };
    let mut lines: Vec<Line> =
        survey.engine.iter().map(|version| good("docker", format!("engine {version}"))).collect();
    lines.extend(survey.images.iter().map(|(major, image)| {
        good("image", format!("PostgreSQL {major} in {}, {}", image.reference, image.digest))
    }));
    let none = survey.problems.is_empty() && survey.images.is_empty();
    lines.extend(survey.problems.into_iter().map(fault));
    if none {
        let unable = Unable::new(Code::ImageMissing, "the engine has no image of PostgreSQL");
        lines.push(fault(unable.hint("ci/images/build 17 makes one; docker pull postgres:17 fetches one")));
    } else if !survey.images.is_empty() {
        match runtime.probe(base).await {
            Ok(()) => lines
                .push(good("containers", "can write files and sockets that this host can use".to_owned())),
            Err(unable) => lines.push(fault(unable)),
        }
    }
    lines
}

async fn postgres(runtime: &pgdrill_runtime::local::LocalRuntime) -> Vec<Line> {
    let survey = runtime.survey().await;
    let mut lines: Vec<Line> = survey
        .installations
        .iter()
        .map(|found| {
            let usable = found.missing.is_empty() && found.major >= Major::OLDEST;
            let why = if found.major < Major::OLDEST {
                Some(format!("pgdrill knows PostgreSQL {} and later", Major::OLDEST))
            } else {
                (!usable).then(|| format!("install what is missing: {}", found.missing.join(", ")))
            };
            Line {
                good: if usable { Some(true) } else { None },
                name: "postgresql",
                what: format!("{} in {}", found.version, found.bin_dir.display()),
                mend: why,
            }
        })
        .collect();
    if !lines.iter().any(|line| line.good == Some(true)) {
        let mend = "apt-get install postgresql, or name its bin directory in PGDRILL_PG_BIN";
        lines.push(Line {
            good: Some(false),
            name: "postgresql",
            what: "none found".to_owned(),
            mend: Some(mend.to_owned()),
        });
    }
    lines
}

fn account(runtime: &dyn Runtime) -> Line {
    let line = |good, what: String, mend| Line { good: Some(good), name: "account", what, mend };
    match runtime.owner() {
        Ok(Some(owner)) => {
            line(true, format!("pgdrill is root; servers run as {} ({})", owner.name, owner.uid), None)
        }
        Ok(None) => line(true, "servers run as the account that runs pgdrill".to_owned(), None),
        Err(unable) => line(false, unable.message, unable.hint),
    }
}

/// A program by its name, in PATH or in one of some more directories.
fn look_for(name: &str, beside: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let directories = std::env::split_paths(&path).chain(beside.iter().map(PathBuf::from));
    directories.map(|directory| directory.join(name)).find(|path| path.is_file())
}

/// The pool, which only drills with an application need. Debian puts it where the PATH of an ordinary account does not
/// look, and a drill looks nowhere else.
fn pool() -> Line {
    let name = "pgbouncer";
    let Some(path) = look_for(name, &[]) else {
        let mend = match look_for(name, &["/usr/sbin", "/usr/local/sbin"]).as_deref().and_then(Path::parent) {
            Some(directory) => format!("add {} to PATH", directory.display()),
            None => "apt-get install pgbouncer, and stop the service that it brings; drills need the program alone"
                .to_owned(),
        };
        return Line {
            good: None,
            name,
            what: "not in PATH; drills with an application cannot run on this host".to_owned(),
            mend: Some(mend),
        };
    };
    let said = Command::new(&path).arg("--version").output();
    let version = said.ok().filter(|said| said.status.success()).and_then(|said| {
        String::from_utf8_lossy(&said.stdout).lines().next().map(|line| format!("{line}, {}", path.display()))
    });
    let broken = || format!("{} does not tell its version", path.display());
    let mend = version.is_none().then(|| format!("run {} --version, and see why", path.display()));
    Line { good: version.as_ref().map(|_| true), name, what: version.unwrap_or_else(broken), mend }
}

fn program(name: &'static str) -> Line {
    let found = look_for(name, &[]);
    Line {
        good: Some(found.is_some()),
        name,
        what: found.as_ref().map_or("not in PATH".to_owned(), |path| path.display().to_string()),
        mend: found.is_none().then(|| format!("install the package that holds {name}")),
    }
}

/// A program that only backups compressed by it need.
fn unpacker(name: &'static str) -> Line {
    let line = program(name);
    let only = format!("not in PATH; backups compressed by {name} cannot be unpacked");
    match line.good {
        Some(false) => Line { good: None, what: only, ..line },
        _ => line,
    }
}

fn directory(name: &'static str, path: &Path, flag: &str) -> Line {
    let shown = path.display();
    let there = path.ancestors().find(|part| part.is_dir()).unwrap_or(Path::new("."));
    let writable = rustix::fs::access(there, rustix::fs::Access::WRITE_OK).is_ok();
    let free = rustix::fs::statvfs(there).map_or(0, |fs| fs.f_bavail * fs.f_frsize);
    if !writable {
        let mend = Some(format!("name another directory: {flag}"));
        return Line { good: Some(false), name, what: format!("{shown} cannot be written"), mend };
    }
    let what = format!("{shown}, {} free", show_bytes(free));
    let small =
        (free < SMALL_DRILL).then(|| format!("a small drill needs about {}", show_bytes(SMALL_DRILL)));
    Line { good: if small.is_none() { Some(true) } else { None }, name, what, mend: small }
}

/// What is kept of clusters. It goes by itself where a drill needs the space.
fn templates(base: &Path) -> Line {
    let (count, bytes) = template::taken(base);
    let what = match count {
        0 => "no cluster is kept".to_owned(),
        1 => format!("1 cluster is kept, which takes {}; pgdrill clean removes it", show_bytes(bytes)),
        _ => {
            format!("{count} clusters are kept, which take {}; pgdrill clean removes them", show_bytes(bytes))
        }
    };
    Line { good: Some(true), name: "templates", what, mend: None }
}

fn left_behind(base: &Path) -> Line {
    let count = workspace::leftovers(base).len();
    let (what, mend) = match count {
        0 => ("nothing of earlier drills".to_owned(), None),
        _ => (format!("{count} workspaces of earlier drills"), Some("pgdrill clean".to_owned())),
    };
    Line { good: if count == 0 { Some(true) } else { None }, name: "leftovers", what, mend }
}
