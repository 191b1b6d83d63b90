//! Where PostgreSQL stops when it recovers to a target, told from the WAL alone (`recoveryStopsBefore`,
//! `recoveryStopsAfter`, `PerformWalRecovery` and `CheckRecoveryConsistency` in
//! `src/backend/access/transam/xlogrecovery.c`; `xlog.c` in 13 and 14, with the same rules).

pub use super::setting::Target;

use super::chronicle::{Chronicle, Event, Last, What};
use super::clock::{self, SetBack};

/// The resource manager of transactions: after a record of any other kind, recovery to consistency does not look whether
/// it is reached, but only before the next record.
const TRANSACTION: u8 = pgdrill_ondisk::wal::rmgr::TRANSACTION;

/// What makes a backup consistent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consistent {
    /// The record that says that the backup which began at `start` has ended: a backup from a primary. `start` is the
    /// position in its label.
    AtBackupEnd {
        /// Where the backup began.
        start: u64,
    },
    /// A position: the `minRecoveryPoint` in the control file of a backup from a standby.
    At(u64),
}

/// What recovery to a target does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// It stops there.
    At(Stopped),
    /// It would stop there, and refuses, because the backup is not consistent yet: `requested recovery stop point is
    /// before consistent recovery point`.
    TooEarly {
        /// Where it would stop.
        stopped: Stopped,
        /// From where on the backup is consistent; none when the WAL does not reach that.
        consistent: Option<u64>,
    },
    /// The target does not come: `recovery ended before configured recovery target was reached`. Of [`Target::Latest`] it
    /// is said when the backup never becomes consistent: `WAL ends before end of online backup`.
    NeverReached(Reach),
}

/// Where recovery stops.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// The end of the last record that is replayed: what `pg_last_wal_replay_lsn()` gives, and where a new timeline leaves.
    pub replayed_to: u64,
    /// Whether `replayed_to` is exact. It is not for a position that was not looked at closely when the chronicle was read:
    /// then it is that position, which lies in the last record that is replayed or beside it. Which events are replayed is
    /// exact always.
    pub exact: bool,
    /// Position of the record at which it stops; none when it is not known, or the WAL just ends.
    pub record: Option<u64>,
    /// Whether that record is replayed.
    pub after: bool,
    /// The timeline of the last record that is replayed.
    pub timeline: u32,
    /// How many events of the chronicle are replayed: these and no others.
    pub events: usize,
    /// How many of them are commits.
    pub commits: u64,
    /// The last of these commits.
    pub last_commit: Option<Committed>,
    /// Positions of further restore points of the name, at which it does not stop.
    pub same_name: Vec<u64>,
    /// Of a time: where a clock that was set back makes more than one point of it.
    pub set_back: Option<SetBack>,
}

/// A commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The transaction.
    pub xid: u32,
    /// Position of the record.
    pub start: u64,
    /// Its end.
    pub end: u64,
    /// When, in microseconds since 1970.
    pub time: i64,
    /// Its timeline.
    pub timeline: u32,
}

/// How far the WAL reaches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reach {
    /// The end of its last record.
    pub reached: u64,
    /// The timeline there.
    pub timeline: u32,
    /// From where on the backup is consistent; none when the WAL does not reach that.
    pub consistent: Option<u64>,
    /// How many commits it holds.
    pub commits: u64,
    /// The last of them, in the order of the WAL.
    pub last_commit: Option<Committed>,
    /// The latest time of a commit or abort, which need not be that of the last one.
    pub latest_time: Option<i64>,
    /// Whether the clock was set back, and has not come to that time again.
    pub set_back: bool,
    /// The restore points that do exist: name and position.
    pub restore_points: Vec<(String, u64)>,
}

/// Where recovery of a backup stops that becomes consistent as `consistent` says, on the lineage that was read.
pub fn stop(chronicle: &Chronicle, target: &Target, consistent: Consistent) -> Stop {
    let consistent_at = consistent_at(chronicle, consistent);
    let found = match target {
        Target::Immediate => immediate(chronicle, consistent, consistent_at),
        Target::Name(name) => restore_point(chronicle, name),
        Target::Time { micros, inclusive } => {
            let beyond = |event: &Event<'_>| {
                event.time.is_some_and(|time| if *inclusive { time > *micros } else { time >= *micros })
            };
            first_end(chronicle, |event, _| beyond(event)).map(|(number, event)| before(number, &event))
        }
        Target::Xid { xid, inclusive } => {
            let end = first_end(chronicle, |_, ended| ended == *xid);
            end.map(|(number, event)| if *inclusive { after(number, &event) } else { before(number, &event) })
        }
        Target::Lsn { position, inclusive } => at_position(chronicle, *position, *inclusive),
        Target::Latest => consistent_at.map(|_| Found {
            replayed_to: chronicle.reached(),
            exact: true,
            record: None,
            after: true,
            events: chronicle.len(),
        }),
    };
    let Some(found) = found else { return Stop::NeverReached(reach(chronicle, consistent_at)) };
    let same_name = match target {
        Target::Name(name) => {
            let mut points = restore_points(chronicle).filter(|(of, _, _)| of == name);
            points.next();
            points.map(|(_, _, event)| event.start).collect()
        }
        _ => Vec::new(),
    };
    let stopped = found.stopped(chronicle, target, same_name);
    // A record that makes the backup consistent is an event, so it is known even where `replayed_to` is not.
    match consistent_at {
        Some(at) if at <= stopped.replayed_to => Stop::At(stopped),
        consistent => Stop::TooEarly { stopped, consistent },
    }
}

/// A place at which recovery stops.
struct Found {
    replayed_to: u64,
    exact: bool,
    record: Option<u64>,
    after: bool,
    /// Events that are replayed.
    events: usize,
}

impl Found {
    fn stopped(self, chronicle: &Chronicle, target: &Target, same_name: Vec<u64>) -> Stopped {
        let (commits, last_commit) = commits(chronicle, self.events);
        let set_back = match target {
            Target::Time { micros, .. } => clock::set_back(chronicle, self.events, *micros),
            _ => None,
        };
        let last_event = self.events.checked_sub(1).and_then(|number| chronicle.get(number));
        Stopped {
            replayed_to: self.replayed_to,
            exact: self.exact,
            record: self.record,
            after: self.after,
            timeline: last_event.map_or(chronicle.begin().timeline, |event| event.timeline),
            events: self.events,
            commits,
            last_commit,
            same_name,
            set_back,
        }
    }
}

fn before(number: usize, event: &Event<'_>) -> Found {
    Found {
        replayed_to: event.replayed_before,
        exact: true,
        record: Some(event.start),
        after: false,
        events: number,
    }
}

fn after(number: usize, event: &Event<'_>) -> Found {
    Found { replayed_to: event.end, exact: true, record: Some(event.start), after: true, events: number + 1 }
}

/// The first commit or abort, of a prepared transaction too, for which `stops` holds. A preparation is none.
fn first_end(chronicle: &Chronicle, stops: impl Fn(&Event<'_>, u32) -> bool) -> Option<(usize, Event<'_>)> {
    chronicle.events().enumerate().find(|(_, event)| match &event.what {
        What::Commit(finished) | What::Abort(finished) => stops(event, finished.xid),
        _ => false,
    })
}

fn restore_points(chronicle: &Chronicle) -> impl Iterator<Item = (&str, usize, Event<'_>)> {
    chronicle.events().enumerate().filter_map(|(number, event)| match event.what {
        What::RestorePoint { name } => Some((name, number, event)),
        _ => None,
    })
}

fn restore_point(chronicle: &Chronicle, name: &str) -> Option<Found> {
    let (_, number, event) = restore_points(chronicle).find(|(of, _, _)| *of == name)?;
    Some(after(number, &event))
}

/// From where on the backup is consistent: the end of a record.
fn consistent_at(chronicle: &Chronicle, consistent: Consistent) -> Option<u64> {
    match consistent {
        Consistent::AtBackupEnd { start: wanted } => {
            let mut ends = chronicle.events();
            let end =
                ends.find(|event| matches!(event.what, What::BackupEnd { start } if start == wanted))?;
            Some(end.end)
        }
        Consistent::At(position) if position <= chronicle.begin().position => {
            Some(chronicle.begin().position)
        }
        Consistent::At(position) if chronicle.reached() < position => None,
        Consistent::At(position) => Some(match chronicle.near(position) {
            // The first record whose end is not before the position.
            Some(near) => match (near.before, near.from) {
                (Some((_, end)), _) if end >= position => end,
                (_, Some((_, end))) => end,
                _ => position,
            },
            None => position,
        }),
    }
}

/// Consistency is looked for before each record, and after those of transactions. So a record must follow the one that
/// made the backup consistent, unless that is of a transaction.
fn immediate(chronicle: &Chronicle, consistent: Consistent, at: Option<u64>) -> Option<Found> {
    let at = at?;
    let Last { rmgr, .. } = chronicle.last()?;
    let followed = chronicle.reached() > at;
    if !followed && rmgr != TRANSACTION {
        return None;
    }
    // Known exactly from the record that ends there, or because the position was looked at.
    let exact = match consistent {
        Consistent::AtBackupEnd { .. } => true,
        Consistent::At(position) => chronicle.near(position).is_some() || !followed,
    };
    Some(Found { replayed_to: at, exact, record: None, after: true, events: chronicle.first_from(at) })
}

/// The first record that starts at the position or behind it is the one that counts, whatever its kind.
fn at_position(chronicle: &Chronicle, position: u64, inclusive: bool) -> Option<Found> {
    let last = chronicle.last()?;
    if last.start < position {
        return None;
    }
    let number = chronicle.first_from(position);
    let event = chronicle.get(number);
    // An event is the first record from the position on when the one before it starts before the position.
    if let Some(event) = event.filter(|event| event.previous < position) {
        return Some(if inclusive { after(number, &event) } else { before(number, &event) });
    }
    let Some((near, (start, end))) = chronicle.near(position).and_then(|near| Some((near, near.from?)))
    else {
        // At least to the end of an event within which it lies: that one is replayed whole.
        let event_before = number.checked_sub(1).and_then(|number| chronicle.get(number));
        return Some(Found {
            replayed_to: event_before.map_or(position, |event| event.end.max(position)),
            exact: false,
            record: None,
            after: inclusive,
            events: number,
        });
    };
    let is_event = event.is_some_and(|event| event.start == start);
    let before = near.before.map_or(chronicle.begin().position, |(_, end)| end);
    Some(Found {
        replayed_to: if inclusive { end } else { before },
        exact: true,
        record: Some(start),
        after: inclusive,
        events: number + usize::from(inclusive && is_event),
    })
}

/// How many of the first `events` are commits, and the last of these.
fn commits(chronicle: &Chronicle, events: usize) -> (u64, Option<Committed>) {
    let mut count = 0;
    let mut last = None;
    for event in chronicle.events().take(events) {
        if let What::Commit(finished) = event.what {
            count += 1;
            last = Some(Committed {
                xid: finished.xid,
                start: event.start,
                end: event.end,
                time: event.time.unwrap_or_default(),
                timeline: event.timeline,
            });
        }
    }
    (count, last)
}

/// How far the WAL reaches. `consistent`: from where on the backup is consistent.
fn reach(chronicle: &Chronicle, consistent: Option<u64>) -> Reach {
    let (commits, last_commit) = commits(chronicle, chronicle.len());
    let ends = chronicle.events().filter(|event| matches!(event.what, What::Commit(_) | What::Abort(_)));
    Reach {
        reached: chronicle.reached(),
        timeline: chronicle.last().map_or(chronicle.begin().timeline, |last| last.timeline),
        consistent,
        commits,
        last_commit,
        latest_time: ends.filter_map(|event| event.time).max(),
        set_back: clock::set_back(chronicle, chronicle.len(), i64::MAX).is_some(),
        restore_points: restore_points(chronicle)
            .map(|(name, _, event)| (name.to_owned(), event.start))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::chronicle::Sketch;
    use super::*;
    use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};
    use rstest::rstest;

    const END: Consistent = Consistent::AtBackupEnd { start: 0x40 };

    /// Times go back, two are the same, numbers are not in the order of commits, an abort lies between.
    fn chronicle() -> Chronicle {
        Chronicle::sketch(&[
            (0x100, 7, 50, Sketch::Commit),
            (0x200, 0, i64::MIN, Sketch::BackupEnd(0x30)),
            (0x300, 0, i64::MIN, Sketch::BackupEnd(0x40)),
            (0x400, 10, 100, Sketch::Commit),
            (0x500, 12, 300, Sketch::Prepare),
            (0x600, 13, 120, Sketch::Commit),
            (0x700, 11, 110, Sketch::Commit),
            (0x800, 14, 120, Sketch::Abort),
            (0x900, 0, 125, Sketch::Point("here")),
            (0xA00, 12, 130, Sketch::CommitPrepared),
            (0xB00, 15, 125, Sketch::AbortPrepared),
            (0xC00, 0, 1, Sketch::Point("here")),
            (0xD00, 16, 140, Sketch::Commit),
        ])
    }

    fn at(target: &Target) -> (u64, bool, u64) {
        match stop(&chronicle(), target, END) {
            Stop::At(stopped) => (stopped.replayed_to, stopped.after, stopped.commits),
            other => panic!("{other:?}"),
        }
    }

    #[rstest]
    // The first end with a later time counts, although ends with earlier times follow: 11 is not replayed.
    #[case(115, true, 0x600, 2)]
    #[case(115, false, 0x600, 2)]
    // Both with time 120 are replayed, or neither of them.
    #[case(120, true, 0xA00, 4)]
    #[case(120, false, 0x600, 2)]
    #[case(119, true, 0x600, 2)]
    // A prepared transaction counts with its commit, not with its preparation at 300; a restore point's time does not count.
    #[case(129, true, 0xA00, 4)]
    #[case(130, true, 0xD00, 5)]
    #[case(130, false, 0xA00, 4)]
    #[case(139, true, 0xD00, 5)]
    #[case(140, false, 0xD00, 5)]
    fn time_stops_before_the_first_end_that_is_later(
        #[case] micros: i64,
        #[case] inclusive: bool,
        #[case] replayed_to: u64,
        #[case] commits: u64,
    ) {
        assert_eq!(at(&Target::Time { micros, inclusive }), (replayed_to, false, commits));
    }

    #[test]
    fn a_time_that_no_end_exceeds_is_never_reached() {
        let never = |micros, inclusive| {
            matches!(stop(&chronicle(), &Target::Time { micros, inclusive }, END), Stop::NeverReached(_))
        };
        assert!(never(140, true) && !never(140, false) && never(141, false));
    }

    #[test]
    fn an_abort_is_a_place_to_stop_for_a_time() {
        let chronicle = Chronicle::sketch(&[
            (0x300, 0, i64::MIN, Sketch::BackupEnd(0x40)),
            (0x400, 1, 10, Sketch::Commit),
            (0x500, 2, 20, Sketch::Abort),
            (0x600, 3, 15, Sketch::Commit),
        ]);
        let Stop::At(stopped) = stop(&chronicle, &Target::Time { micros: 17, inclusive: true }, END) else {
            panic!()
        };
        assert_eq!((stopped.replayed_to, stopped.record, stopped.commits), (0x500, Some(0x500), 1));
    }

    #[rstest]
    #[case(13, true, 0x630, true, 3)]
    #[case(13, false, 0x600, false, 2)]
    // A lower number that ended later: what ended before it is there, whatever its number.
    #[case(11, true, 0x730, true, 4)]
    #[case(14, true, 0x830, true, 4)]
    // A prepared one ends with its commit.
    #[case(12, true, 0xA30, true, 5)]
    #[case(12, false, 0xA00, false, 4)]
    #[case(15, true, 0xB30, true, 5)]
    fn a_transaction_is_found_by_its_number_alone(
        #[case] xid: u32,
        #[case] inclusive: bool,
        #[case] replayed_to: u64,
        #[case] after: bool,
        #[case] commits: u64,
    ) {
        assert_eq!(at(&Target::Xid { xid, inclusive }), (replayed_to, after, commits));
    }

    #[rstest]
    // The record that starts there is the commit of 13.
    #[case(0x600, true, 3)]
    #[case(0x600, false, 2)]
    // The first record from there on is the commit, too: one before it started earlier.
    #[case(0x5E1, true, 3)]
    #[case(0x5E1, false, 2)]
    // Another record starts there, before the commit.
    #[case(0x5E0, true, 2)]
    #[case(0x5E0, false, 2)]
    // Within the commit: it is replayed, and the first record behind it is none of ours.
    #[case(0x601, true, 3)]
    #[case(0x601, false, 3)]
    fn a_position_counts_by_the_start_of_records(
        #[case] position: u64,
        #[case] inclusive: bool,
        #[case] commits: u64,
    ) {
        let (replayed_to, _, counted) = at(&Target::Lsn { position, inclusive });
        assert_eq!(counted, commits);
        if position > 0x5E0 && position <= 0x600 {
            assert_eq!(replayed_to, if inclusive { 0x630 } else { 0x600 });
        }
    }

    #[test]
    fn a_position_at_the_very_end_is_never_reached() {
        let never = |position, inclusive| {
            matches!(stop(&chronicle(), &Target::Lsn { position, inclusive }, END), Stop::NeverReached(_))
        };
        assert!(!never(0xD00, false) && !never(0xD00, true));
        assert!(never(0xD30, false) && never(0xD30, true) && never(0xD08, false));
    }

    #[test]
    fn the_first_restore_point_of_a_name_counts_and_the_others_are_told() {
        let Stop::At(stopped) = stop(&chronicle(), &Target::Name("here".to_owned()), END) else { panic!() };
        assert_eq!((stopped.replayed_to, stopped.same_name.as_slice()), (0x930, [0xC00].as_slice()));
        let Stop::NeverReached(reach) = stop(&chronicle(), &Target::Name("there".to_owned()), END) else {
            panic!()
        };
        assert_eq!((reach.reached, reach.commits, reach.latest_time), (0xD30, 6, Some(140)));
        assert_eq!(reach.last_commit.map(|commit| commit.xid), Some(16));
    }

    #[test]
    fn only_the_end_of_the_own_backup_makes_consistent() {
        assert_eq!(at(&Target::Immediate), (0x330, true, 1));
        let early = stop(&chronicle(), &Target::Xid { xid: 7, inclusive: true }, END);
        assert!(matches!(early, Stop::TooEarly { consistent: Some(0x330), .. }), "{early:?}");
        // Exactly at the end of the backup is not too early.
        assert_eq!(at(&Target::Lsn { position: 0x300, inclusive: true }), (0x330, true, 1));
        let other = Consistent::AtBackupEnd { start: 0x50 };
        assert!(matches!(stop(&chronicle(), &Target::Immediate, other), Stop::NeverReached(_)));
    }

    /// The record that ends the backup starts before the position, so it is replayed.
    #[test]
    fn a_position_within_the_end_of_the_backup_is_not_too_early() {
        let chronicle = Chronicle::sketch(&[
            (0x100, 3, 0, Sketch::Commit),
            (0x700, 1, 0, Sketch::BackupEnd(0x40)),
            (0x800, 2, 0, Sketch::Commit),
        ]);
        for inclusive in [false, true] {
            let Stop::At(stopped) = stop(&chronicle, &Target::Lsn { position: 0x701, inclusive }, END) else {
                panic!("too early, inclusive: {inclusive}")
            };
            assert_eq!((stopped.replayed_to, stopped.events, stopped.exact), (0x730, 2, false));
        }
    }

    #[test]
    fn a_backup_of_a_standby_is_consistent_at_a_position() {
        let stopped = |target, position| stop(&chronicle(), &target, Consistent::At(position));
        let xid = |xid| Target::Xid { xid, inclusive: true };
        assert!(matches!(stopped(xid(10), 0x430), Stop::At(_)));
        assert!(matches!(stopped(xid(10), 0x431), Stop::TooEarly { .. }));
        assert!(matches!(stopped(xid(7), 0), Stop::At(_)));
        assert!(matches!(stopped(Target::Latest, 0xD31), Stop::NeverReached(_)));
        // The last record is the end of a transaction: recovery notices behind it that it is consistent.
        let Stop::At(stopped) = stopped(Target::Immediate, 0xD30) else { panic!() };
        assert_eq!((stopped.replayed_to, stopped.commits), (0xD30, 6));
    }

    /// Recovery as PostgreSQL's loop does it, record by record: how many events are replayed, and whether the backup is
    /// consistent then; none when the target is never reached.
    fn replay(events: &[(u64, u32, i64, Sketch<'_>)], target: &Target) -> Option<(usize, bool)> {
        let mut consistent = false;
        for (number, (start, xid, time, what)) in events.iter().enumerate() {
            let ends = !matches!(what, Sketch::Prepare | Sketch::Point(_) | Sketch::BackupEnd(_));
            // The record that is no event, then the event.
            for (start, is_event) in [(start - 0x20, false), (*start, true)] {
                let replayed = number + usize::from(is_event);
                let stops_before = match target {
                    Target::Immediate => consistent,
                    Target::Lsn { position, inclusive: false } => start >= *position,
                    Target::Xid { xid: wanted, inclusive: false } => is_event && ends && xid == wanted,
                    Target::Time { micros, inclusive: true } => is_event && ends && time > micros,
                    Target::Time { micros, inclusive: false } => is_event && ends && time >= micros,
                    _ => false,
                };
                if stops_before {
                    return Some((number, consistent));
                }
                consistent |= is_event && matches!(what, Sketch::BackupEnd(0x40));
                let stops_after = match target {
                    Target::Name(wanted) => is_event && matches!(what, Sketch::Point(name) if name == wanted),
                    Target::Lsn { position, inclusive: true } => start >= *position,
                    Target::Xid { xid: wanted, inclusive: true } => is_event && ends && xid == wanted,
                    _ => false,
                };
                if stops_after {
                    return Some((replayed, consistent));
                }
            }
        }
        None
    }

    fn what() -> impl Strategy<Value = Sketch<'static>> {
        prop_oneof![
            Just(Sketch::Commit),
            Just(Sketch::Abort),
            Just(Sketch::Prepare),
            Just(Sketch::CommitPrepared),
            Just(Sketch::AbortPrepared),
            Just(Sketch::Point("here")),
            Just(Sketch::BackupEnd(0x40)),
            Just(Sketch::BackupEnd(0x50)),
        ]
    }

    fn any_target() -> impl Strategy<Value = Target> {
        let position = (0..0xE00_u64, any::<bool>());
        prop_oneof![
            Just(Target::Immediate),
            Just(Target::Name("here".to_owned())),
            (0..12_i64, any::<bool>()).prop_map(|(micros, inclusive)| Target::Time { micros, inclusive }),
            (0..12_u32, any::<bool>()).prop_map(|(xid, inclusive)| Target::Xid { xid, inclusive }),
            position.prop_map(|(position, inclusive)| Target::Lsn { position, inclusive }),
        ]
    }

    proptest! {
        #[test]
        fn it_stops_where_a_replay_record_by_record_does(
            happened in proptest::collection::vec((0..12_u32, 0..12_i64, what()), 1..12),
            target in any_target(),
        ) {
            let events: Vec<_> =
                (1..).zip(happened).map(|(n, (xid, time, what))| (n * 0x100, xid, time, what)).collect();
            // Transactions end once.
            let mut ended = std::collections::HashSet::new();
            let events: Vec<_> = events.into_iter().filter(|(_, xid, _, _)| ended.insert(*xid)).collect();
            let stop = match stop(&Chronicle::sketch(&events), &target, END) {
                Stop::At(stopped) => Some((stopped.events, true)),
                Stop::TooEarly { stopped, .. } => Some((stopped.events, false)),
                Stop::NeverReached(_) => None,
            };
            assert_eq!(stop, replay(&events, &target));
        }
    }
}
