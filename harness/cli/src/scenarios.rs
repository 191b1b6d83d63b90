//! Finds scenario files and reads them, all of them, before anything is run.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use pgdrill_model::scenario::{Mistakes, Scenario, parse};

/// Where scenarios are looked for when no path is given.
const DEFAULT: &str = "scenarios";

/// A file much larger than this is no scenario.
const LARGEST: u64 = 1 << 20;

/// What was read: scenarios, or every mistake in every file.
pub enum Found {
    /// Every file is good.
    Good(Vec<Scenario>),
    /// Some are not.
    Bad(Vec<Mistakes>),
}

/// Reads the scenarios at `paths`: files, or directories with all files below them.
///
/// # Errors
///
/// A path that is not there or cannot be read; a directory without a scenario.
pub fn find(paths: &[PathBuf]) -> anyhow::Result<Found> {
    let default = [PathBuf::from(DEFAULT)];
    if paths.is_empty() && !default[0].is_dir() {
        bail!("there is no directory '{DEFAULT}' here; name a scenario file or a directory of them");
    }
    let mut good = Vec::new();
    let mut bad = Vec::new();
    for path in if paths.is_empty() { &default } else { paths } {
        let metadata = fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?;
        let files = if metadata.is_dir() { below(path)? } else { vec![path.clone()] };
        if files.is_empty() {
            bail!("there is no scenario (*.yaml) in {}", path.display());
        }
        for file in files {
            match read(&file)? {
                Ok(scenario) => good.push(scenario),
                Err(mistakes) => bad.push(mistakes),
            }
        }
    }
    Ok(if bad.is_empty() { Found::Good(good) } else { Found::Bad(bad) })
}

/// The file among those at `paths` that the scenario `id` was read from.
pub fn file_of(paths: &[PathBuf], id_of: &str) -> Option<PathBuf> {
    let files = paths
        .iter()
        .flat_map(|path| if path.is_dir() { below(path).unwrap_or_default() } else { vec![path.clone()] });
    files.into_iter().find(|file| id(file) == id_of)
}

fn read(file: &Path) -> anyhow::Result<Result<Scenario, Mistakes>> {
    let shown = file.display().to_string();
    let length = fs::metadata(file).with_context(|| format!("cannot read {shown}"))?.len();
    if length > LARGEST {
        bail!("{shown} has {length} bytes; a scenario has at most {LARGEST}");
    }
    let bytes = fs::read(file).with_context(|| format!("cannot read {shown}"))?;
    Ok(match String::from_utf8(bytes) {
        Ok(text) => parse(&id(file), &shown, &text),
        Err(_) => Err(Mistakes::not_utf8(&shown)),
    })
}

/// A scenario's id: its path below the directory `scenarios`, where there is one, without the ending.
fn id(file: &Path) -> String {
    let plain = file.with_extension("");
    let parts: Vec<String> = plain
        .components()
        .filter_map(|part| match part {
            std::path::Component::Normal(name) => Some(name.to_string_lossy().into_owned()),
            _ => None,
        })
        .collect();
    let from =
        parts.iter().rposition(|part| part == DEFAULT).map_or(parts.len().saturating_sub(1), |at| at + 1);
    parts[from.min(parts.len().saturating_sub(1))..].join("/")
}

fn below(directory: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut directories = vec![directory.to_owned()];
    while let Some(directory) = directories.pop() {
        let entries =
            fs::read_dir(&directory).with_context(|| format!("cannot read {}", directory.display()))?;
        for entry in entries {
            let entry = entry.with_context(|| format!("cannot read {}", directory.display()))?;
            let path = entry.path();
            let ending = path.extension().and_then(|ending| ending.to_str());
            // Links are not followed into directories: they may lead round in a circle.
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                directories.push(path);
            } else if matches!(ending, Some("yaml" | "yml")) {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("scenarios/smoke/a.yaml", "smoke/a")]
    #[case("/srv/repo/scenarios/restore/b.yml", "restore/b")]
    #[case("my/drills/c.yaml", "c")]
    #[case("./d.yaml", "d")]
    fn the_path_is_the_id(#[case] file: &str, #[case] expected: &str) {
        assert_eq!(id(Path::new(file)), expected);
    }
}
