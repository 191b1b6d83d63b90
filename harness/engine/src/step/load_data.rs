//! `load-data`: the trading schema and its deterministic data. A cluster that was copied from a template has them; one that
//! is to become a template is kept as such when it has.

use std::time::Duration;

use pgdrill_model::code::Code;
use pgdrill_model::evidence::Evidence;
use pgdrill_model::finding::{Finding, Unable};
use pgdrill_model::plan::Server as Name;
use pgdrill_model::scenario::Data;

use super::create_cluster::serve;
use crate::baseline::Written;
use crate::data::load;
use crate::drill::{Drill, Template, disk_full};
use crate::session::describe;
use crate::template;

pub(super) async fn run(drill: &mut Drill<'_>, data: Data) -> Result<Vec<Finding>, Unable> {
    if let Template::Copied(load) = &drill.made.template {
        drill.recorder.measured(Evidence::Load(load.clone()));
        drill.settle(Name::Primary, Written::Unrecorded).await;
        return Ok(Vec::new());
    }
    let socket = drill.server(Name::Primary)?.socket.clone();
    let before = drill.clock.elapsed();
    let loaded = load::load(&socket, drill.seed, data.orders, &drill.made.tablespaces, drill.recorder).await;
    match loaded {
        Ok(mut evidence) => {
            evidence.took_us = drill.clock.elapsed().saturating_sub(before).as_micros() as u64;
            drill.recorder.measured(Evidence::Load(evidence.clone()));
            if let Template::Wanted(key) = std::mem::replace(&mut drill.made.template, Template::Kept) {
                template::keep(drill, key, evidence).await?;
                serve(drill).await?;
            }
            drill.settle(Name::Primary, Written::Unrecorded).await;
            Ok(Vec::new())
        }
        Err(error) => {
            let words = describe(&error);
            let server = drill.server(Name::Primary)?;
            // A server that is being ended says so a moment before it is gone.
            let _ = server.gone(Duration::from_millis(200)).await;
            let words = if server.running() {
                words
            } else {
                format!("{words}; the server said: {}", server.last_words())
            };
            let code = if disk_full(&words) { Code::DiskFull } else { Code::LoadFailed };
            Err(Unable::new(code, format!("the trading data could not be loaded: {words}")))
        }
    }
}
