//! What `backup` does with whole backups, on all cores: unpacking, verifying, restoring, and surveying an archive of WAL.
//! 128 MB, in the system's directory for temporary files; how it compares with other programs is for `verify-vs-tools`.
#![allow(missing_docs, reason = "criterion's macros make undocumented items")]
#![allow(clippy::print_stderr, reason = "a bench that measures nothing says so")]

use std::fs;
use std::hint::black_box;
use std::thread;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use pgdrill_backup::restore::{self, Place};
use pgdrill_backup::verify::{self, Options, Progress, Report, Source};
use pgdrill_backup::wal::survey;
use pgdrill_benches::backup::{Backups, Form};
use pgdrill_benches::wal::Made;
use pgdrill_model::verdict::Verdict;

fn options() -> Options {
    // These backups have no WAL.
    Options { wal: false, jobs: thread::available_parallelism().map_or(1, usize::from), ..Options::default() }
}

/// A bench of what was refused would measure nothing.
fn assert_good(report: &Report) {
    assert!(report.verdict == Verdict::Proven, "{:?}", report.findings);
}

fn backups(criterion: &mut Criterion) {
    let Ok(backups) = Backups::make(8) else {
        eprintln!(
            "backups: nothing is measured, there is no room for them in the directory for temporary files"
        );
        return;
    };
    let source = |form| Source::Directory(backups.path(form));
    let mut group = criterion.benchmark_group("backup");
    group.sample_size(10).throughput(Throughput::Bytes(backups.bytes));
    for form in Form::ALL {
        // Names and sizes only: what is left is reading, unpacking and the members of the tar.
        let unpacking = Options { checksums: false, ..options() };
        for (what, options) in [("unpack", unpacking), ("verify", options())] {
            group.bench_function(BenchmarkId::new(what, form.name()), |bencher| {
                bencher.iter(|| {
                    let report = verify::verify(source(form), &options, &Progress::default());
                    assert_good(&report);
                    black_box(report)
                });
            });
        }
        let place = Place {
            into: backups.target(),
            tablespaces: Vec::new(),
            owner: None,
            settings: None,
            sync: false,
            accept_damage: false,
        };
        group.bench_function(BenchmarkId::new("restore", form.name()), |bencher| {
            bencher.iter_batched(
                || _ = fs::remove_dir_all(&place.into),
                |()| {
                    let restored = restore::restore(source(form), &options(), &place, &Progress::default());
                    assert!(restored.is_ok_and(|restored| restored.complete));
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

fn surveys(criterion: &mut Criterion) {
    let directory = std::env::temp_dir().join(format!("pgdrill-bench-wal-{}", std::process::id()));
    let mut group = criterion.benchmark_group("survey");
    group.sample_size(10);
    for (name, rows_only) in [("rows-and-images", false), ("rows", true)] {
        let made = Made::new(8, rows_only);
        if fs::create_dir_all(&directory).and_then(|()| made.write(&directory)).is_err() {
            eprintln!("survey: nothing is measured, WAL cannot be written to {}", directory.display());
            break;
        }
        group.throughput(Throughput::Bytes(made.bytes()));
        group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
            bencher.iter(|| survey(&[&directory], None, options().jobs, &|_| {}).is_ok());
        });
    }
    group.finish();
    let _ = fs::remove_dir_all(&directory);
}

criterion_group!(benches, backups, surveys);
criterion_main!(benches);
