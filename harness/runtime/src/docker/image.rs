//! Images: which one a major runs in, whether the engine has it, and what of PostgreSQL is in it.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use pgdrill_model::code::Code;
use pgdrill_model::finding::Unable;
use pgdrill_model::units::Major;
use testcontainers::bollard::errors::Error;
use testcontainers::runners::AsyncRunner;
use testcontainers::{ContainerRequest, GenericImage};

use super::engine::{self, Engine};
use crate::program::DEFAULT_PATH;

/// Where the major belongs in a template.
const MAJOR: &str = "{major}";

/// What is looked for where the user names no image: the one that `ci/images/build` makes, then the public one, which
/// is also the one that is pulled.
const USUAL: [&str; 2] = ["pgdrill/postgres:{major}", "postgres:{major}"];

/// Majors that images are looked for of.
pub(super) const MAJORS: std::ops::RangeInclusive<u16> = Major::OLDEST.0..=18;

/// A large image over a slow line.
const PULL_LIMIT: Duration = Duration::from_secs(900);

/// Which image is taken for a major.
#[derive(Clone, Debug)]
pub(super) struct Template(Option<String>);

impl Template {
    pub(super) fn new(named: Option<&str>) -> Self {
        Self(named.map(str::to_owned))
    }

    /// Whether it is one and the same image for every major.
    pub(super) fn fixed(&self) -> bool {
        self.0.as_ref().is_some_and(|named| !named.contains(MAJOR))
    }

    /// The references to look for, the best first; the last is the one to pull.
    fn references(&self, major: Major) -> Vec<String> {
        let fill = |template: &str| template.replace(MAJOR, &major.to_string());
        match &self.0 {
            Some(named) => vec![fill(named)],
            None => USUAL.map(fill).to_vec(),
        }
    }
}

/// An image that the engine has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// As it is asked for, with the tag.
    pub reference: String,
    /// Its digest in a registry, or else its id: `sha256:...`.
    pub digest: String,
    /// Its id, without the name of the hash.
    pub(super) id: String,
    /// Its own search path for programs.
    pub(super) path: String,
    /// Where it wants volumes, which nobody needs here.
    pub(super) volumes: Vec<String>,
}

impl Found {
    /// A container to be, of exactly this image, whatever its name comes to mean.
    pub(super) fn generic(&self) -> GenericImage {
        GenericImage::new("sha256", &self.id)
    }
}

/// The image of a major that the engine has, if it has one.
pub(super) async fn find(
    engine: &Engine,
    template: &Template,
    major: Major,
) -> Result<Option<Found>, Unable> {
    for reference in template.references(major) {
        if let Some(found) = inspect(engine, &reference).await? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// The same, pulled where the engine has none.
pub(super) async fn find_or_pull(
    engine: &Engine,
    template: &Template,
    major: Major,
) -> Result<Found, Unable> {
    if let Some(found) = find(engine, template, major).await? {
        return Ok(found);
    }
    let references = template.references(major);
    let reference = references.last().map(String::as_str).unwrap_or_default();
    let missing = |why: &str| {
        let unable = Unable::new(
            Code::ImageMissing,
            format!(
                "the container engine has no image {}, and pulling {reference} failed: {why}",
                references.join(" or ")
            ),
        );
        unable.hint(if template.0.is_none() {
            format!("Run `docker pull {reference}`, or without a registry `ci/images/build {major}`.")
        } else {
            format!("Run `docker pull {reference}`, or name another image with --image or PGDRILL_IMAGE.")
        })
    };
    let (name, tag) = split(reference);
    tracing::info!(reference, "pulling an image");
    match tokio::time::timeout(PULL_LIMIT, GenericImage::new(name, tag).pull_image()).await {
        Err(_) => return Err(missing(&format!("it took longer than {} s", PULL_LIMIT.as_secs()))),
        Ok(Err(error)) => {
            let said = engine::cause(&error).and_then(engine::said);
            let unable = engine.unable_by("pull an image", &error);
            // What the engine itself refuses is about the image; what it does not answer is about the engine.
            return Err(match said {
                Some(words) if unable.code == Code::EngineUnusable => missing(&engine::bounded(words)),
                _ => unable,
            });
        }
        Ok(Ok(ContainerRequest { .. })) => {}
    }
    inspect(engine, reference).await?.ok_or_else(|| missing("it was pulled and is not there"))
}

/// An image by its reference, if the engine has it.
async fn inspect(engine: &Engine, reference: &str) -> Result<Option<Found>, Unable> {
    let found = match engine.docker.inspect_image(reference).await {
        Ok(found) => found,
        Err(Error::DockerResponseServerError { status_code: 404, .. }) => return Ok(None),
        Err(error) => return Err(engine.unable(&format!("look for the image {reference}"), &error)),
    };
    let id = found.id.unwrap_or_default();
    let digest = found.repo_digests.unwrap_or_default().into_iter().find_map(|named| {
        // An image can have names of several repositories.
        let (repository, digest) = named.split_once('@')?;
        (repository == split(reference).0.split('@').next()?).then(|| digest.to_owned())
    });
    let config = found.config.unwrap_or_default();
    let path =
        config.env.unwrap_or_default().iter().find_map(|pair| Some(pair.strip_prefix("PATH=")?.to_owned()));
    Ok(Some(Found {
        reference: reference.to_owned(),
        digest: digest.unwrap_or_else(|| id.clone()),
        id: id.trim_start_matches("sha256:").to_owned(),
        path: path.filter(|path| !path.is_empty()).unwrap_or_else(|| DEFAULT_PATH.to_owned()),
        volumes: config.volumes.unwrap_or_default(),
    }))
}

/// Name and tag of a reference. What follows the last colon is a tag, or the rest of a digest, unless it is the port
/// of a registry.
fn split(reference: &str) -> (&str, &str) {
    match reference.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, tag),
        _ => (reference, "latest"),
    }
}

/// The PostgreSQL of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    /// What `postgres --version` prints.
    pub(super) version: String,
    pub(super) bin_dir: PathBuf,
}

/// What is in one directory of an image.
#[derive(Debug, Default)]
struct Installed {
    dir: String,
    version: String,
    missing: Vec<String>,
}

/// Reads what `survey.sh` found.
fn installed(found: &str) -> Vec<Installed> {
    let mut all: Vec<Installed> = Vec::new();
    for line in found.lines() {
        match (line.split_once(' ').unwrap_or((line, "")), all.last_mut()) {
            (("dir", dir), _) => all.push(Installed { dir: dir.to_owned(), ..Installed::default() }),
            (("version", version), Some(last)) => version.clone_into(&mut last.version),
            (("missing", name), Some(last)) => last.missing.push(name.to_owned()),
            _ => {}
        }
    }
    all
}

/// The majors that an image holds, whole, by what `survey.sh` found.
pub(super) fn majors(found: &str) -> BTreeSet<Major> {
    let all = installed(found);
    all.iter().filter(|one| one.missing.is_empty()).filter_map(|one| major_of(&one.version)).collect()
}

/// Reads what `survey.sh` found, and picks the installation of `major`.
pub(super) fn pick(image: &Found, major: Major, found: &str) -> Result<Layout, Unable> {
    let unsuitable =
        |what: String| Unable::new(Code::ImageUnsuitable, format!("the image {} {what}", image.reference));
    if let Some(lacked) = found.lines().find_map(|line| line.strip_prefix("lacks ")) {
        return Err(unsuitable(format!(
            "has no program `{lacked}`, without which nothing can be started in it"
        )));
    }
    let all = installed(found);
    let mut right = all.iter().filter(|one| major_of(&one.version) == Some(major));
    if let Some(whole) = right.clone().find(|one| one.missing.is_empty()) {
        return Ok(Layout { version: whole.version.clone(), bin_dir: PathBuf::from(&whole.dir) });
    }
    if let Some(part) = right.next() {
        let lacks = part.missing.join(", ");
        let message = format!(
            "the image {} has {} in {}, which lacks {lacks}",
            image.reference, part.version, part.dir
        );
        return Err(Unable::new(Code::ProgramMissing, message)
            .hint("Install PostgreSQL's server, client and contrib packages in the image, or name another with --image."));
    }
    match all.first() {
        None => {
            Err(unsuitable("holds no PostgreSQL server: there is no program `postgres` in it".to_owned()))
        }
        Some(other) => Err(unsuitable(format!(
            "was asked for PostgreSQL {major}, and holds {} in {}",
            if other.version.is_empty() { "a `postgres` of unknown version" } else { &other.version },
            other.dir
        ))),
    }
}

/// The major in `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`.
pub(super) fn major_of(version: &str) -> Option<Major> {
    let digits = version.split_once("(PostgreSQL) ")?.1;
    digits.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok().map(Major)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image() -> Found {
        Found {
            reference: "here:15".to_owned(),
            digest: String::new(),
            id: String::new(),
            path: String::new(),
            volumes: Vec::new(),
        }
    }

    #[test]
    fn a_template_is_filled_with_the_major() {
        let default = Template::new(None);
        assert_eq!(default.references(Major(17)), ["pgdrill/postgres:17", "postgres:17"]);
        assert!(!default.fixed());
        assert_eq!(Template::new(Some("r/pg{major}:x")).references(Major(13)), ["r/pg13:x"]);
        assert!(Template::new(Some("mine:1")).fixed());
    }

    #[test]
    fn a_reference_is_split_where_the_tag_begins() {
        assert_eq!(split("postgres:15"), ("postgres", "15"));
        assert_eq!(split("postgres"), ("postgres", "latest"));
        assert_eq!(split("registry:5000/postgres"), ("registry:5000/postgres", "latest"));
        assert_eq!(split("registry:5000/postgres:15"), ("registry:5000/postgres", "15"));
        assert_eq!(split("postgres@sha256:ab"), ("postgres@sha256", "ab"));
    }

    #[test]
    fn the_whole_installation_of_the_right_major_is_taken() {
        let found = "dir /a\nversion postgres (PostgreSQL) 17.1\ndir /b\nversion postgres (PostgreSQL) 15.3\n\
                     missing initdb\ndir /c\nversion postgres (PostgreSQL) 15.4 (Debian)\n";
        let layout = pick(&image(), Major(15), found).unwrap();
        assert_eq!(
            layout,
            Layout { version: "postgres (PostgreSQL) 15.4 (Debian)".to_owned(), bin_dir: "/c".into() }
        );
        assert_eq!(majors(found), [Major(15), Major(17)].into());
        let unable = pick(&image(), Major(16), found).unwrap_err();
        assert_eq!(unable.code, Code::ImageUnsuitable);
        assert_eq!(
            unable.message,
            "the image here:15 was asked for PostgreSQL 16, and holds postgres (PostgreSQL) 17.1 in /a"
        );
    }

    #[test]
    fn what_is_missing_is_named() {
        let found = "dir /b\nversion postgres (PostgreSQL) 15.3\nmissing initdb\nmissing pg_waldump\n";
        let unable = pick(&image(), Major(15), found).unwrap_err();
        assert_eq!(unable.code, Code::ProgramMissing);
        assert!(unable.message.ends_with("in /b, which lacks initdb, pg_waldump"), "{unable}");
        let unable = pick(&image(), Major(15), "").unwrap_err();
        assert_eq!(unable.code, Code::ImageUnsuitable);
        let broken = "dir /b\nversion /b/postgres: error while loading shared libraries: libx.so\n";
        let unable = pick(&image(), Major(15), broken).unwrap_err();
        assert!(unable.message.contains("libx.so"), "{unable}");
        let unable = pick(&image(), Major(15), "lacks env\n").unwrap_err();
        assert!(unable.message.contains("no program `env`"), "{unable}");
    }
}
