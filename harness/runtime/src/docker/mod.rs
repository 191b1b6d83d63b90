//! The docker runtime: one container per server, without network, and everything that runs in it under a lease.

mod container;
mod engine;
mod exec;
mod holder;
mod image;
mod lease;
mod place;
mod probe;
mod process;
mod runtime;
mod settings;
mod strays;

pub use image::Found;
pub use runtime::{DockerRuntime, Survey};
pub use settings::DockerSettings;
