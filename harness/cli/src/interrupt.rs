//! Ctrl-C and its relatives: the first ends the drill in good order, the second ends pgdrill at once.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::exit::Exit;
use crate::printer;

/// Begins to listen; the token is cancelled by the first signal. Call within a runtime.
pub fn listen() -> std::io::Result<CancellationToken> {
    let token = CancellationToken::new();
    let cancelled = token.clone();
    let mut signals = Signals {
        interrupt: signal(SignalKind::interrupt())?,
        terminate: signal(SignalKind::terminate())?,
        hangup: signal(SignalKind::hangup())?,
    };
    tokio::spawn(async move {
        signals.next().await;
        cancelled.cancel();
        printer::say("pgdrill: interrupted, tearing down (once more to leave at once)");
        signals.next().await;
        // Leases and guardians end and remove what is left: that is what they are for.
        #[expect(clippy::exit, reason = "a second Ctrl-C must not wait for anything")]
        std::process::exit(i32::from(Exit::Interrupted.code()));
    });
    Ok(token)
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hangup.recv() => {}
        }
    }
}
