//! Places where a drill's processes run, and nothing else.
//!
//! [`local::LocalRuntime`] runs them on this host, as an unprivileged account; [`docker::DockerRuntime`] runs them in
//! containers, one per server, without network. Both do it under a lease that ends them when pgdrill dies. Every runtime keeps the same promises; `pgdrill-testkit` holds them as one suite of tests.

mod account;
pub mod docker;
pub mod local;
mod program;
mod table;
mod tail;
