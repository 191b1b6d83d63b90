//! `pgdrill doctor`: what of the machine pgdrill can use, what is missing, and in one line each how to mend it.

use std::fmt::Write;
use std::path::Path;

use pgdrill_engine::workspace;
use pgdrill_model::units::{Major, show_bytes};
use pgdrill_model::world::Runtime;

use crate::args::Doctor;
use crate::exit::Exit;
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
    let runtime = place::local_runtime();
    let mut lines = tokio.block_on(postgres(&runtime));
    lines.push(account(&runtime));
    lines.extend(["tar", "cp", "dd", "sync", "ipcrm", "sh"].map(program));
    let base = args.workspace.workspace.clone().unwrap_or_else(files::default_base);
    lines.push(directory("workspace", &base, "--workspace DIR"));
    lines.push(directory("evidence", &args.evidence, "--evidence DIR"));
    lines.push(left_behind(&base));
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

fn program(name: &'static str) -> Line {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found =
        std::env::split_paths(&path).map(|directory| directory.join(name)).find(|path| path.is_file());
    Line {
        good: Some(found.is_some()),
        name,
        what: found.as_ref().map_or("not in PATH".to_owned(), |path| path.display().to_string()),
        mend: found.is_none().then(|| format!("install the package that holds {name}")),
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

fn left_behind(base: &Path) -> Line {
    let count = workspace::leftovers(base).len();
    let (what, mend) = match count {
        0 => ("nothing of earlier drills".to_owned(), None),
        _ => (format!("{count} workspaces of earlier drills"), Some("pgdrill clean".to_owned())),
    };
    Line { good: if count == 0 { Some(true) } else { None }, name: "leftovers", what, mend }
}
