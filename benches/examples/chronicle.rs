//! How long it takes to read WAL, and how much memory what is kept of it takes: that of an archive directory, from its
//! first segment of the first timeline on, or made WAL of as many million transactions as the argument says. The time
//! of made WAL includes its making.
#![allow(clippy::print_stdout, reason = "a program that measures")]

use std::path::Path;
use std::time::Instant;

use pgdrill_backup::wal::target::{self, Consistent, Stop, Target};
use pgdrill_backup::wal::timelines::Place;
use pgdrill_backup::wal::{Chronicle, Store};
use pgdrill_benches::wal::Endless;
use pgdrill_ondisk::wal::{Lineage, Segments, Walker};

fn main() {
    let argument = std::env::args().nth(1).unwrap_or_else(|| "10".to_owned());
    let lineage = Lineage::single(1);
    let started = Instant::now();
    let (chronicle, begin) = if let Ok(millions) = argument.parse::<u32>() {
        let wal = Endless::new(true, millions * 1_000_000);
        (Chronicle::read(wal, Place { timeline: 1, position: 0 }, lineage, &[]), 0)
    } else {
        let Ok(store) = Store::open(&[Path::new(&argument)]) else { return println!("no archive") };
        let first = store.segments().ok().and_then(|segments| segments.first().copied());
        let begin = first.map_or(0, |(_, number)| number) * u64::from(store.segment_size());
        let found = Walker::find(store.clone(), lineage.clone(), begin).map(|walker| walker.position());
        let position = found.unwrap_or(begin);
        (Chronicle::read(store, Place { timeline: 1, position }, lineage, &[]), begin)
    };
    let seconds = started.elapsed().as_secs_f64();
    let bytes = chronicle.reached() - begin;
    let rate = bytes as f64 / seconds / 1e9;
    println!("{} events of {bytes} bytes in {seconds:.2} s, {rate:.2} GB/s", chronicle.len());
    println!("{}", chronicle.end());
    let started = Instant::now();
    if let Stop::At(stopped) = target::stop(&chronicle, &Target::Latest, Consistent::At(0)) {
        println!("{} commits, counted in {:.2} s", stopped.commits, started.elapsed().as_secs_f64());
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    println!("{}", status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default());
}
