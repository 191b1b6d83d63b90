//! Fetches a backup by hand: `cargo run -p pgdrill-fetch --features object-store --example fetch -- s3://bucket/prefix DIR [JOBS]`.

use std::path::Path;
use std::process::ExitCode;

use pgdrill_fetch::{Options, Progress, Source, fetch};
use tokio_util::sync::CancellationToken;

#[tokio::main]
#[expect(clippy::print_stdout, clippy::print_stderr, reason = "an example speaks to whoever tries it")]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, into, jobs @ ..] = arguments.as_slice() else {
        eprintln!("usage: fetch URL DIR [JOBS]");
        return ExitCode::from(64);
    };
    let jobs = jobs.first().and_then(|jobs| jobs.parse().ok()).unwrap_or(8);
    let cancel = CancellationToken::new();
    let interrupted = cancel.clone();
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            interrupted.cancel();
        }
    });
    let tell = |at: Progress| {
        eprint!(
            "\r{} of {} files, {} of {} bytes, {} retries",
            at.files, at.files_of, at.bytes, at.bytes_of, at.retries
        );
    };
    let options = Options { jobs, ..Options::default() };
    let fetched = match Source::parse(url, std::env::vars()) {
        Ok(source) => fetch(&source, Path::new(into), &options, &tell, &cancel).await,
        Err(trouble) => Err(trouble),
    };
    eprintln!();
    match fetched {
        Ok(fetched) => {
            for file in &fetched.files {
                println!("{}  {}", file.sha256, file.name);
            }
            eprintln!(
                "{} files, {} bytes, sha256 {}, {} received, {} resumed, {} retries, begun anew: {:?}, in {:.3} s",
                fetched.files.len(),
                fetched.bytes,
                fetched.sha256,
                fetched.received_bytes,
                fetched.resumed_bytes,
                fetched.retries,
                fetched.begun_anew,
                fetched.took.as_secs_f64()
            );
            ExitCode::SUCCESS
        }
        Err(trouble) => {
            eprintln!("{:?} ({}): {trouble}\n  hint: {}", trouble.kind, trouble.kind.code(), trouble.hint);
            ExitCode::from(2)
        }
    }
}
