//! Which runtime the drills of a command use.

use std::path::Path;

use clap::ValueEnum;
use pgdrill_model::finding::Unable;
use pgdrill_model::units::Major;
use pgdrill_model::world::Runtime;

use crate::args;
use crate::place;

/// Where servers run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Where {
    /// In containers where an engine can run them, else as processes of this host
    Auto,
    /// In containers
    Docker,
    /// As processes of this host
    Local,
}

/// The runtime of a command.
pub struct Chosen {
    pub runtime: Box<dyn Runtime>,
    /// The majors that it has. Empty where that cannot be told: each drill will say so in its record.
    pub majors: Vec<Major>,
    /// Why it is another than one would think.
    pub why: Option<String>,
}

/// Chooses the runtime for the majors that were asked for. `probe`: ask whether containers can really be used, which
/// starts one.
pub async fn choose(place: &args::Place, asked: &[Major], base: &Path, probe: bool) -> Chosen {
    let local = place::local_runtime();
    let docker = place::docker_runtime(place.image.as_deref(), place.limits());
    let of_local = async || local.majors().await.unwrap_or_default();
    let of_docker = async || -> Result<Vec<Major>, Unable> {
        let majors = docker.majors().await?;
        if probe && !majors.is_empty() {
            docker.probe(base).await?;
        }
        Ok(majors)
    };
    match place.runtime {
        // On the host there are none, so containers are what was asked for.
        Where::Auto if !place.limits().are_none() => {
            let majors = docker.majors().await.unwrap_or_default();
            Chosen { majors, runtime: Box::new(docker), why: None }
        }
        Where::Local => Chosen { majors: of_local().await, runtime: Box::new(local), why: None },
        Where::Docker => {
            let majors = docker.majors().await.unwrap_or_default();
            Chosen { majors, runtime: Box::new(docker), why: None }
        }
        Where::Auto => {
            let (in_docker, on_host) = (of_docker().await, of_local().await);
            match decide(asked, &in_docker, &on_host) {
                Ok(()) => {
                    Chosen { majors: in_docker.unwrap_or_default(), runtime: Box::new(docker), why: None }
                }
                Err(why) => Chosen { majors: on_host, runtime: Box::new(local), why: Some(why) },
            }
        }
    }
}

/// Containers or not, and why not: they are used where they can be and all majors that were asked for are there; also
/// where this host could do no better.
fn decide(asked: &[Major], in_docker: &Result<Vec<Major>, Unable>, on_host: &[Major]) -> Result<(), String> {
    let in_docker = match in_docker {
        Ok(majors) => majors,
        Err(unable) => return Err(format!("containers cannot be used: {}", unable.message)),
    };
    let missing = |there: &[Major]| -> Vec<String> {
        asked.iter().filter(|major| !there.contains(major)).map(Major::to_string).collect()
    };
    let (not_in_docker, not_on_host) = (missing(in_docker), missing(on_host));
    if asked.is_empty() {
        let better = !in_docker.is_empty() || on_host.is_empty();
        return better
            .then_some(())
            .ok_or_else(|| "the container engine has no image of PostgreSQL".to_owned());
    }
    let better = not_in_docker.len() <= not_on_host.len();
    better.then_some(()).ok_or_else(|| {
        format!("the container engine has no image of PostgreSQL {}", not_in_docker.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use pgdrill_model::code::Code;
    use rstest::rstest;

    fn majors(numbers: &[u16]) -> Vec<Major> {
        numbers.iter().map(|number| Major(*number)).collect()
    }

    #[rstest]
    #[case::newest_in_docker(&[], &[15], &[15], None)]
    #[case::nothing_in_docker(&[], &[], &[15], Some("the container engine has no image of PostgreSQL"))]
    #[case::nothing_anywhere(&[], &[], &[], None)]
    #[case::all_in_docker(&[13, 17], &[13, 15, 17], &[15], None)]
    #[case::one_only_on_the_host(&[15], &[17], &[15], Some("the container engine has no image of PostgreSQL 15"))]
    #[case::as_many_here_as_there(&[13, 15], &[13], &[15], None)]
    #[case::more_on_the_host(&[13, 15], &[17], &[15], Some("the container engine has no image of PostgreSQL 13, 15"))]
    #[case::nowhere(&[99], &[15], &[15], None)]
    fn containers_where_they_do_no_worse(
        #[case] asked: &[u16],
        #[case] in_docker: &[u16],
        #[case] on_host: &[u16],
        #[case] why: Option<&str>,
    ) {
        let decided = decide(&majors(asked), &Ok(majors(in_docker)), &majors(on_host));
        assert_eq!(decided.err().as_deref(), why);
    }

    #[test]
    fn an_engine_that_cannot_be_used_is_named() {
        let unable = Unable::new(Code::WorkspaceUnusable, "nobody listens");
        let why = decide(&[], &Err(unable), &majors(&[15])).unwrap_err();
        assert_eq!(why, "containers cannot be used: nobody listens");
    }
}
