//! Places orders on a server that is there already, and prints how many a second: one side of `work-vs-pgbench`.
//!
//!     work SOCKET_DIRECTORY WRITERS SECONDS SEED LEDGER

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use pgdrill_engine::Socket;
use pgdrill_engine::clock::SystemClock;
use pgdrill_engine::workload::{Book, Mix, Spec, Until, start};

#[tokio::main]
#[allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for a script")]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match work(&arguments).await {
        Ok(words) => {
            println!("{words}");
            ExitCode::SUCCESS
        }
        Err(words) => {
            eprintln!("work: {words}");
            ExitCode::FAILURE
        }
    }
}

async fn work(arguments: &[String]) -> Result<String, String> {
    let [socket, writers, seconds, seed, ledger] = arguments else {
        return Err("SOCKET_DIRECTORY WRITERS SECONDS SEED LEDGER".to_owned());
    };
    let number = |text: &String| text.parse::<u64>().map_err(|error| format!("{text}: {error}"));
    let seed = number(seed)?;
    // Each run has its own id, so that its orders are new.
    let book =
        Book::create(Path::new(ledger), &format!("bench-{seed}"), seed).map_err(|error| error.to_string())?;
    let spec = Spec {
        writers: number(writers)?.clamp(1, 1_000) as u16,
        until: Until::For(Duration::from_secs(number(seconds)?)),
        mix: Mix { place: 1, amend: 0, roll_back: 0, savepoint: 0, large: 0 },
        ..Spec::default()
    };
    let clock = Arc::new(SystemClock::start());
    let running = start(&Socket::of_ours(socket.into()), &book, seed, &spec, clock)
        .await
        .map_err(|error| error.to_string())?;
    let summary = running.finish().await;
    book.close(0).map_err(|error| error.to_string())?;
    if summary.ledger.is_some() || !summary.lost.is_empty() || !summary.failed.is_empty() {
        return Err(format!("{summary:?}"));
    }
    let bytes = std::fs::metadata(ledger).map_or(0, |file| file.len());
    let each = bytes / summary.acknowledged.max(1);
    Ok(format!("{:.1} {each}", summary.acknowledged as f64 / summary.took.as_secs_f64()))
}
