//! Carrying out a step of the restore runbook: what it finds, who types its commands, and what is looked at afterwards.

pub mod bench;
pub mod look;
pub mod service;
pub mod shell;
