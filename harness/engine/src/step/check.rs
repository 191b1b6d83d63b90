//! `check`: compares the recovered server with what was there.

use pgdrill_model::check::Check;
use pgdrill_model::finding::{Finding, Unable};
use pgdrill_model::plan::Server;

use crate::check;
use crate::drill::Drill;

pub(super) async fn run(drill: &mut Drill<'_>, checks: &[Check], of: Server) -> Result<Vec<Finding>, Unable> {
    // What the checks find is taken down one by one, so none of it is left for the step.
    check::run(drill, checks, of).await.map(|()| Vec::new())
}
