//! `pgdrill trading-app`: the application of drills as a process of its own, which ends with whoever holds its standard
//! input.

use std::io::{self, Read};

use anyhow::Context;
use pgdrill_trading_app::{Role, Settings};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::args::TradingApp;
use crate::exit::Exit;
use crate::printer;

pub(super) fn run(role: &TradingApp) -> anyhow::Result<Exit> {
    let role = match role {
        TradingApp::Api => Role::Api(Settings::from_environment(|name| std::env::var(name).ok())?),
        TradingApp::Web { api } => Role::Web { api: *api },
    };
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    tokio.block_on(async {
        let left = left_alone();
        let mut terminate = signal(SignalKind::terminate()).context("cannot listen for signals")?;
        let end = async move {
            tokio::select! {
                () = left.cancelled() => {}
                _ = terminate.recv() => {}
            }
        };
        let listening =
            |address| printer::out(&format!("listening on {address}\n")).map_err(io::Error::other);
        pgdrill_trading_app::run(role, listening, end).await.context("cannot serve on 127.0.0.1")
    })?;
    Ok(Exit::Proven)
}

/// Cancelled when standard input ends. Its thread is not one of tokio's, which would be waited for at the end.
fn left_alone() -> CancellationToken {
    let token = CancellationToken::new();
    let left = token.clone();
    std::thread::spawn(move || {
        let mut stdin = io::stdin().lock();
        let mut ignored = [0; 256];
        loop {
            match stdin.read(&mut ignored) {
                Ok(0) => break,
                Err(error) if error.kind() != io::ErrorKind::Interrupted => break,
                _ => {}
            }
        }
        left.cancel();
    });
    token
}
