//! What a drill does for every row, page or byte: making rows, verifying pages, reading a manifest, hashing an
//! archive, reading a scenario.
#![allow(missing_docs, reason = "criterion's macros make undocumented items")]

use std::fmt::Write as _;
use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use pgdrill_backup::archive;
use pgdrill_backup::wal::Chronicle;
use pgdrill_backup::wal::timelines::Place;
use pgdrill_benches::wal::Made;
use pgdrill_engine::data::copy::{Stream, TABLES};
use pgdrill_model::scenario::parse;
use pgdrill_ondisk::manifest::{Algorithm, Manifest};
use pgdrill_ondisk::page;
use pgdrill_ondisk::wal::{Lineage, Walker};

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

fn pages(criterion: &mut Criterion) {
    let page: Vec<u8> = (0..8192_u32).map(|byte| (byte % 251) as u8).collect();
    let mut group = criterion.benchmark_group("page");
    group.throughput(Throughput::Bytes(page.len() as u64));
    group.bench_function("checksum", |bencher| bencher.iter(|| page::checksum(black_box(&page), 7)));
    group.finish();
}

/// A manifest as a server writes it, of a cluster with very many tables.
fn manifest(files: u32) -> String {
    let mut text =
        "{ \"PostgreSQL-Backup-Manifest-Version\": 2,\n\"System-Identifier\": 7,\n\"Files\": [\n".to_owned();
    for file in 0..files {
        let (comma, fork) =
            (if file == 0 { "" } else { ",\n" }, ["", "_fsm", "_vm", ".1"][file as usize % 4]);
        let _ = write!(
            text,
            "{comma}{{ \"Path\": \"base/{}/{file}{fork}\", \"Size\": {}, \"Last-Modified\": \"2026-01-01 00:00:00 \
             GMT\", \"Checksum-Algorithm\": \"SHA256\", \"Checksum\": \"{file:064x}\" }}",
            16_384 + file % 7,
            file % 1000 * 8192,
        );
    }
    text.push_str("\n],\n\"WAL-Ranges\": [\n],\n");
    let mut hasher = Algorithm::Sha256.hasher();
    hasher.update(text.as_bytes());
    let sum: String = hasher.finish().iter().map(|byte| format!("{byte:02x}")).collect();
    text + &format!("\"Manifest-Checksum\": \"{sum}\"}}\n")
}

fn manifests(criterion: &mut Criterion) {
    let text = manifest(300_000);
    let mut group = criterion.benchmark_group("manifest");
    group.sample_size(10).throughput(Throughput::Bytes(text.len() as u64));
    group.bench_function("read", |bencher| {
        bencher
            .iter(|| Manifest::read(black_box(text.as_bytes())).map_or(0, |manifest| manifest.files.len()));
    });
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

/// Records per second matter as much as bytes: with rows only there is one for every 130 bytes.
fn wal(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("wal");
    group.sample_size(10);
    for (name, rows_only) in [("rows-and-images", false), ("rows", true)] {
        let made = Made::new(8, rows_only);
        group.throughput(Throughput::Bytes(made.bytes()));
        group.bench_function(BenchmarkId::new("walk", name), |bencher| {
            bencher.iter(|| {
                let mut walker = Walker::new(made.clone(), Lineage::single(1), 0);
                let mut records = 0_u64;
                while walker.next().is_ok() {
                    records += 1;
                }
                records
            });
        });
        let begin = Place { timeline: 1, position: 0 };
        group.bench_function(BenchmarkId::new("chronicle", name), |bencher| {
            bencher.iter(|| Chronicle::read(made.clone(), begin, Lineage::single(1), &[]).len());
        });
    }
    group.finish();
}

fn scenarios(criterion: &mut Criterion) {
    criterion.bench_function("parse-scenario", |bencher| {
        bencher.iter(|| parse("smoke", "smoke.yaml", black_box(SCENARIO)).is_ok());
    });
}

criterion_group!(benches, rows, pages, manifests, archives, wal, scenarios);
criterion_main!(benches);
