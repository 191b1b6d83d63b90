//! What `ondisk` does for every byte of a backup: checksums of files and pages, the manifest, the records of the WAL.
#![allow(missing_docs, reason = "criterion's macros make undocumented items")]

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use pgdrill_backup::wal::Chronicle;
use pgdrill_backup::wal::timelines::Place;
use pgdrill_benches::manifest::{self, File};
use pgdrill_benches::relation;
use pgdrill_benches::wal::Made;
use pgdrill_ondisk::control::Control;
use pgdrill_ondisk::manifest::{Algorithm, Manifest};
use pgdrill_ondisk::page;
use pgdrill_ondisk::wal::{Lineage, Walker};

/// What one thread reads at once.
const BUFFER: usize = 256 << 10;

fn checksums(criterion: &mut Criterion) {
    let bytes = relation::pages(BUFFER / relation::PAGE, 0);
    let mut group = criterion.benchmark_group("checksum");
    group.throughput(Throughput::Bytes(bytes.len() as u64));
    for algorithm in [Algorithm::Crc32c, Algorithm::Sha256, Algorithm::Sha512] {
        group.bench_function(BenchmarkId::from_parameter(algorithm.name()), |bencher| {
            bencher.iter(|| {
                let mut hasher = algorithm.hasher();
                hasher.update(black_box(&bytes));
                hasher.finish()
            });
        });
    }
    group.finish();
}

fn pages(criterion: &mut Criterion) {
    let bytes = relation::pages(BUFFER / relation::PAGE, 0);
    let mut group = criterion.benchmark_group("page");
    group.throughput(Throughput::Bytes(bytes.len() as u64));
    group.bench_function("verify", |bencher| {
        bencher.iter(|| {
            let pages = black_box(&bytes).chunks_exact(relation::PAGE);
            pages.zip(0..).filter(|(page, block)| page::verify(page, *block).is_err()).count()
        });
    });
    group.finish();
}

/// Of a cluster with very many tables.
fn manifests(criterion: &mut Criterion) {
    let forks = ["", "_fsm", "_vm", ".1"];
    let text = manifest::text((0..300_000_usize).map(|file| File {
        path: format!("base/{}/{file}{}", 16_384 + file % 7, forks[file % 4]),
        size: file as u64 % 1000 * 8192,
        sha256: format!("{file:064x}"),
    }));
    let mut group = criterion.benchmark_group("manifest");
    group.sample_size(10).throughput(Throughput::Bytes(text.len() as u64));
    group.bench_function("read", |bencher| {
        bencher
            .iter(|| Manifest::read(black_box(text.as_bytes())).map_or(0, |manifest| manifest.files.len()));
    });
    group.finish();
}

fn controls(criterion: &mut Criterion) {
    const CONTROL: &[u8] = include_bytes!("../../fixtures/ondisk/pg_control-17");
    criterion.bench_function("control", |bencher| {
        bencher.iter(|| Control::read(black_box(CONTROL)).is_ok());
    });
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

criterion_group!(benches, checksums, pages, manifests, controls, wal);
criterion_main!(benches);
