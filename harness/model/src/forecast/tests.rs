//! Tests of forecasts: on recoveries that grow as they should, on others, and on what allows none.

use proptest::prelude::*;
use rstest::rstest;

use super::*;

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// A recovery at 200 MiB of files and 50 MiB of WAL in a second, with a second for the rest, `off` parts of a thousand slower.
fn sample(size: u64, wal: u64, off: i64) -> Sample {
    let phase = |name: &str, us: u64| (name.to_owned(), us.saturating_add_signed(us as i64 * off / 1_000));
    Sample {
        size,
        wal,
        phases: vec![
            phase("detect", 100_000),
            phase("unpack", size * 1_000_000 / (200 * MIB) + 300_000),
            phase("replay", wal * 1_000_000 / (50 * MIB)),
            phase("promote", 600_000),
        ],
    }
}

fn sizes(sizes: &[u64], wal: u64) -> Vec<Sample> {
    sizes.iter().flat_map(|size| [-20, 0, 30].map(|off| sample(*size, wal, off))).collect()
}

const TWO_TIB: Wanted = Wanted { size: Some(2_048 * GIB), wal: None };

#[test]
fn a_line_is_carried_on_and_the_binding_phase_is_named() {
    let forecast = forecast(&sizes(&[100 * MIB, 400 * MIB, GIB], 64 * MIB), TWO_TIB).unwrap();
    // 2 048 GiB at 200 MiB/s.
    let expected = 10_485_760_000_u64;
    assert!(forecast.us.abs_diff(expected) < expected / 20, "{forecast:?}");
    assert!(forecast.from_us < expected && expected < forecast.to_us, "{forecast:?}");
    assert!(forecast.to_us - forecast.from_us < expected / 2, "{forecast:?}");
    let binding = forecast.binding().unwrap();
    assert_eq!((binding.name.as_str(), binding.grows_with), ("unpack", GrowsWith::Size));
    let rate = binding.bytes_per_second.unwrap() / MIB as f64;
    assert!((190.0..210.0).contains(&rate), "{rate}");
    assert!((1.9..2.2).contains(&forecast.to_halve().unwrap()), "{forecast:?}");
    assert_eq!((forecast.measured, forecast.beyond()), (9, 2_048));
    assert!(forecast.trial.error_percent() <= 5, "{:?}", forecast.trial);
    assert_eq!(forecast.wal, 64 * MIB, "as was measured");
}

#[test]
fn size_and_wal_are_apart() {
    let mut samples = sizes(&[100 * MIB, 400 * MIB, GIB], 64 * MIB);
    samples.extend(sizes(&[100 * MIB], 256 * MIB));
    samples.extend(sizes(&[100 * MIB], 512 * MIB));
    let wanted = Wanted { size: Some(10 * GIB), wal: Some(50 * GIB) };
    let forecast = forecast(&samples, wanted).unwrap();
    let expected = (10_240 / 200 + 51_200 / 50 + 1) * 1_000_000_u64;
    assert!(forecast.us.abs_diff(expected) < expected / 20, "{forecast:?}");
    assert_eq!(forecast.binding().unwrap().name, "replay");
}

#[test]
fn where_no_single_phase_can_halve_it_none_is_said_to() {
    let forecast =
        forecast(&sizes(&[100 * MIB, 400 * MIB, GIB], 50 * MIB), Wanted { size: Some(100 * MIB), wal: None });
    assert_eq!(forecast.unwrap().to_halve(), None);
}

#[rstest]
#[case::none(&[], Wanted::default())]
#[case::two(&[100 * MIB, GIB], TWO_TIB)]
#[case::three_that_are_about_the_same(&[100 * MIB, 105 * MIB, 109 * MIB], TWO_TIB)]
#[case::too_close(&[100 * MIB, 200 * MIB, 300 * MIB], TWO_TIB)]
fn too_few_sizes_are_refused(#[case] of: &[u64], #[case] wanted: Wanted) {
    let refused = forecast(&sizes(of, 64 * MIB), wanted).unwrap_err();
    assert!(matches!(refused, Refused::Sizes { of: GrowsWith::Size, .. }), "{refused}");
    assert!(refused.to_string().contains("pgdrill run --scale"), "{refused}");
}

#[test]
fn wal_that_was_never_varied_is_not_carried_on() {
    let wanted = Wanted { size: None, wal: Some(50 * GIB) };
    let refused = forecast(&sizes(&[100 * MIB, 400 * MIB, GIB], 64 * MIB), wanted).unwrap_err();
    assert!(matches!(refused, Refused::Sizes { of: GrowsWith::Wal, .. }), "{refused}");
    assert!(
        refused.to_string().contains("64.0 MiB") && refused.to_string().contains("run --wal"),
        "{refused}"
    );
}

#[test]
fn what_does_not_grow_as_a_line_is_refused() {
    let bent: Vec<Sample> = [100 * MIB, 400 * MIB, 1_600 * MIB]
        .iter()
        .map(|size| {
            // A cache that is too small from some size on.
            let slower = if *size > GIB { 3 } else { 1 };
            Sample { size: *size, wal: MIB, phases: vec![("unpack".to_owned(), size / 200 * slower)] }
        })
        .collect();
    let Err(Refused::Poor(trial)) = forecast(&bent, TWO_TIB) else { panic!("it must be refused") };
    assert!(trial.error_percent() > 60, "{trial:?}");
    assert!(Refused::Poor(trial).to_string().contains("% off"), "{trial:?}");
}

proptest! {
    /// Whatever was measured, a forecast is a number within its interval, and its phases add up.
    #[test]
    fn a_forecast_adds_up(
        samples in prop::collection::vec((1_u64..1 << 34, 1_u64..1 << 30, -300_i64..300), 0..12),
        size in 1_u64..1 << 45,
        wal in prop::option::of(1_u64..1 << 40),
    ) {
        let samples: Vec<Sample> = samples.into_iter().map(|(size, wal, off)| sample(size, wal, off)).collect();
        if let Ok(forecast) = forecast(&samples, Wanted { size: Some(size), wal }) {
            prop_assert!(forecast.from_us <= forecast.us && forecast.us <= forecast.to_us);
            let sum: u64 = forecast.phases.iter().map(|phase| phase.us).sum();
            prop_assert!(sum.abs_diff(forecast.us) <= forecast.phases.len() as u64);
            prop_assert!(forecast.trial.error_percent() <= MOST_ERROR);
        }
    }
}
