//! What a drill does for every row, file or scenario: making rows, hashing an archive, reading a scenario.
#![allow(missing_docs, reason = "criterion's macros make undocumented items")]

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use pgdrill_backup::archive;
use pgdrill_engine::data::copy::{Stream, TABLES};
use pgdrill_model::scenario::parse;

const SCENARIO: &str = include_str!("../../scenarios/smoke/restore-tar-gzip.yaml");

fn rows(criterion: &mut Criterion) {
    const ORDERS: u64 = 10_000;
    let mut group = criterion.benchmark_group("copy-stream");
    group.sample_size(20);
    for table in TABLES {
        let all = |chunk: &mut Vec<u8>| {
            let mut stream = Stream::new(table, 42, ORDERS);
            chunk.clear();
            while stream.next_chunk(chunk) {}
            chunk.len()
        };
        let mut chunk = Vec::new();
        group.throughput(Throughput::Bytes(all(&mut chunk) as u64));
        group.bench_function(BenchmarkId::from_parameter(table.name()), |bencher| {
            bencher.iter(|| black_box(all(&mut chunk)));
        });
    }
    group.finish();
}

fn archives(criterion: &mut Criterion) {
    let directory = std::env::temp_dir().join(format!("pgdrill-bench-{}", std::process::id()));
    let written = std::fs::create_dir_all(&directory).and_then(|()| {
        (0..4).try_for_each(|n| std::fs::write(directory.join(n.to_string()), vec![n; 16 << 20]))
    });
    if written.is_ok() {
        let mut group = criterion.benchmark_group("archive");
        group.sample_size(20).throughput(Throughput::Bytes(64 << 20));
        group.bench_function("snapshot", |bencher| {
            bencher.iter(|| archive::snapshot(black_box(&directory), &archive::Snapshot::new()).is_ok());
        });
        group.finish();
    }
    let _ = std::fs::remove_dir_all(&directory);
}

fn scenarios(criterion: &mut Criterion) {
    criterion.bench_function("parse-scenario", |bencher| {
        bencher.iter(|| parse("smoke", "smoke.yaml", black_box(SCENARIO)).is_ok());
    });
}

criterion_group!(benches, rows, archives, scenarios);
criterion_main!(benches);
