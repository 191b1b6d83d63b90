//! When each drill of a command begins: drills with a recovery time objective by themselves, the others side by side, as
//! many as were asked for and as the machine has processors and memory for.

use std::path::Path;

use pgdrill_model::plan::{Act, Plan};
use pgdrill_model::scenario::Setting;
use pgdrill_model::units::show_bytes;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::memory::Memory;

const MIB: u64 = 1 << 20;

/// Drills wait for their servers more than they compute; with more than these on a processor each only takes longer.
const PER_PROCESSOR: usize = 2;

/// What a server has of shared memory where nothing else is said (`shared_buffers`).
const SHARED_BUFFERS: u64 = 128 * MIB;

/// What a server that a sweep moves has of it: an eighth of the machine's memory, within these bounds.
const OF_SWEEP: (u64, u64) = (128 * MIB, 1024 * MIB);

/// What a drill takes beside that: measured, some 40 MB of the processes' own and 30 MB of programs; the rest is for the
/// containers, and for what shared memory holds beside the buffers.
const OF_EVERY_DRILL: u64 = 128 * MIB;

/// The sorts that build the keys of the trading data, on two connections: measured, 84 bytes an order, and no more than
/// they may take.
const PER_ORDER: u64 = 100;
const OF_SORTS: u64 = 512 * MIB;

/// When each drill of a command begins.
pub struct Schedule {
    turns: Vec<Turn>,
    /// How many drills run side by side.
    side_by_side: usize,
    /// A permit for each of them.
    places: Semaphore,
    /// A permit for each megabyte that they may take together.
    megabytes: Semaphore,
    /// Why drills have less company than was asked for.
    why: Option<String>,
}

/// How a drill takes its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// Nothing runs beside it.
    Alone,
    /// Beside others, with so many megabytes of memory.
    Beside(u32),
}

/// The turn of a drill, for as long as it runs.
pub struct Taken<'a> {
    _place: Option<SemaphorePermit<'a>>,
    _megabytes: Option<SemaphorePermit<'a>>,
}

/// What the machine has for drills.
#[derive(Clone, Copy, Debug)]
pub struct Machine {
    /// Logical processors.
    pub processors: usize,
    /// Its memory.
    pub memory: Memory,
    /// Whether files of drills are in memory, too.
    pub files_in_memory: bool,
}

impl Schedule {
    /// The schedule of drills, of which `asked` are to run at the same time. A drill that cannot be run has no plan.
    pub fn new<'p>(
        plans: impl IntoIterator<Item = Option<&'p Plan>>,
        asked: usize,
        machine: Machine,
    ) -> Self {
        let needs: Vec<Option<u64>> = plans
            .into_iter()
            .map(|plan| match plan {
                Some(plan) if plan.rto.is_some() || plan.outage.is_some() => None,
                Some(plan) => Some(need(plan, machine)),
                None => Some(0),
            })
            .collect();
        let company: Vec<u64> = needs.iter().flatten().copied().collect();
        let available = machine.memory.available.unwrap_or(u64::MAX);
        let (side_by_side, why) = limit(asked, &company, available, machine.processors);
        // More than every drill needs is never asked for.
        let most = (available.min(company.iter().sum()) / MIB).clamp(1, u64::from(u32::MAX)) as u32;
        let turns = needs
            .into_iter()
            .map(|need| match need {
                None => Turn::Alone,
                // One that needs more than there is has all of it.
                Some(need) => Turn::Beside((need / MIB).min(u64::from(most)) as u32),
            })
            .collect();
        Self {
            turns,
            side_by_side,
            places: Semaphore::new(side_by_side),
            megabytes: Semaphore::new(most as usize),
            why,
        }
    }

    /// Why fewer drills run at the same time than was asked for, where it is so.
    pub fn why(&self) -> Option<&str> {
        self.why.as_deref()
    }

    /// Whether any drills run side by side.
    pub fn shares(&self) -> bool {
        self.side_by_side > 1
    }

    /// How many drills share the machine while drill `number` runs.
    pub fn jobs(&self, number: usize) -> usize {
        match self.turns.get(number) {
            Some(Turn::Beside(_)) => self.side_by_side,
            Some(Turn::Alone) | None => 1,
        }
    }

    /// The drills in the order in which they begin: where some run side by side, those come before the ones that run
    /// alone, which would else make the others wait again and again.
    pub fn order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.turns.len()).collect();
        if self.shares() {
            order.sort_by_key(|number| self.turns.get(*number) == Some(&Turn::Alone));
        }
        order
    }

    /// Waits for the turn of drill `number`. Who came first is first.
    pub async fn turn(&self, number: usize) -> Taken<'_> {
        let (places, megabytes) = match self.turns.get(number) {
            Some(Turn::Beside(megabytes)) => (1, *megabytes),
            Some(Turn::Alone) | None => (self.side_by_side as u32, 0),
        };
        // Nobody closes them, so the answer is always a permit.
        let place = self.places.acquire_many(places).await.ok();
        let megabytes = self.megabytes.acquire_many(megabytes).await.ok();
        Taken { _place: place, _megabytes: megabytes }
    }
}

/// How many drills with these needs run side by side where `asked` were to, and why not as many.
fn limit(asked: usize, needs: &[u64], available: u64, processors: usize) -> (usize, Option<String>) {
    let wanted = asked.min(needs.len()).max(1);
    let of_processors = (processors * PER_PROCESSOR).max(1);
    let mut sorted = needs.to_vec();
    sorted.sort_unstable();
    let mut together = 0_u64;
    let of_memory = sorted
        .iter()
        .take_while(|need| {
            together = together.saturating_add(**need);
            together <= available
        })
        .count()
        .max(1);
    let heaviest = sorted.iter().rev().take(wanted).fold(0_u64, |sum, need| sum.saturating_add(*need));
    let side_by_side = wanted.min(of_processors).min(of_memory);
    let of_these = || {
        let largest = sorted.last().copied().unwrap_or(0);
        format!(
            "{} of memory is available, and one needs up to {}",
            show_bytes(available),
            show_bytes(largest)
        )
    };
    let fewer = match side_by_side {
        1 => format!("one drill runs at a time, and not {wanted}"),
        _ => format!("at most {side_by_side} drills run at the same time, and not {wanted}"),
    };
    let why = if side_by_side < wanted && of_memory < of_processors {
        Some(format!("{fewer}: {}", of_these()))
    } else if side_by_side < wanted {
        let ending = if processors == 1 { "" } else { "s" };
        Some(format!("{fewer}: the machine has {processors} processor{ending}"))
    } else if heaviest > available {
        Some(format!("not always {wanted} drills run at the same time: {}", of_these()))
    } else {
        None
    };
    (side_by_side, why)
}

/// About how many bytes of memory a drill needs.
fn need(plan: &Plan, machine: Machine) -> u64 {
    let orders = plan.steps.iter().map(|step| match &step.act {
        Act::LoadData(data) => data.orders,
        _ => 0,
    });
    let sorts = (orders.sum::<u64>() * PER_ORDER).min(OF_SORTS);
    let files = if machine.files_in_memory { pgdrill_engine::execute::space(plan) } else { 0 };
    OF_EVERY_DRILL + shared(plan, machine.memory.total).max(sorts + SHARED_BUFFERS) + files
}

/// The most that a drill's servers have of shared memory at one time.
fn shared(plan: &Plan, memory: u64) -> u64 {
    let (mut own, mut there, mut most) = (SHARED_BUFFERS, 0, 0);
    for step in &plan.steps {
        let mut passing = 0;
        match &step.act {
            Act::CreateCluster(cluster) => {
                own = cluster
                    .settings
                    .iter()
                    .find(|(name, _)| name.eq_ignore_ascii_case("shared_buffers"))
                    .and_then(|(_, Setting { value, .. })| buffers(value))
                    .unwrap_or(SHARED_BUFFERS);
                there += own;
            }
            Act::CreateStandby { .. } => there += own,
            Act::Failover { .. } => there -= own.min(there),
            Act::Disaster { disaster, .. } if disaster.loses_the_server() => there = 0,
            // A restored server does not have the scenario's settings.
            Act::Recover(_) => there += SHARED_BUFFERS,
            Act::Sweep { .. } => passing = (memory / 8).clamp(OF_SWEEP.0, OF_SWEEP.1),
            _ => {}
        }
        most = most.max(there + passing);
    }
    most
}

/// A value of `shared_buffers`: without a unit it counts pages.
fn buffers(value: &str) -> Option<u64> {
    let value = value.trim();
    let digits = value.find(|c: char| !c.is_ascii_digit()).unwrap_or(value.len());
    let (number, unit) = value.split_at(digits);
    let size = match unit.trim() {
        "" => 8 << 10,
        "B" => 1,
        "kB" => 1 << 10,
        "MB" => 1 << 20,
        "GB" => 1 << 30,
        "TB" => 1_u64 << 40,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(size)
}

/// Whether the files of a directory, or of the one in which it would be made, are in memory.
pub fn is_in_memory(directory: &Path) -> bool {
    const TMPFS: u64 = 0x0102_1994;
    let there = directory.ancestors().find(|part| part.is_dir());
    there.and_then(|there| rustix::fs::statfs(there).ok()).is_some_and(|fs| fs.f_type as u64 == TMPFS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use pgdrill_model::plan::compile;
    use pgdrill_model::scenario::parse;
    use pgdrill_model::units::Major;
    use rstest::rstest;

    const GIB: u64 = 1 << 30;

    fn plan(head: &str, steps: &str) -> Plan {
        let text = format!("title: t\n{head}steps:\n  - backup\n{steps}");
        let scenario = parse("a", "a.yaml", &text).unwrap_or_else(|mistakes| panic!("{mistakes}"));
        compile(&scenario, Major(17), "local", None).unwrap()
    }

    fn machine(available: u64) -> Machine {
        let memory = Memory { total: 16 * GIB, available: Some(available) };
        Machine { processors: 8, memory, files_in_memory: false }
    }

    const KILL: &str = "  - disaster: kill\n  - recover\n";

    #[rstest]
    #[case::one_server_at_a_time("", KILL, 128)]
    #[case::a_larger_primary("settings: { Shared_Buffers: 1GB }\n", KILL, 1024)]
    #[case::a_smaller_primary("settings: { shared_buffers: 16MB }\n", KILL, 128)]
    #[case::a_standby_as_large(
        "settings: { shared_buffers: 1GB }\n",
        "  - backup: { from: standby }\n  - disaster: kill\n  - recover\n",
        2048
    )]
    #[case::the_archive_stops("", "  - disaster: archive-stops\n  - disaster: kill\n  - recover\n", 128)]
    #[case::a_second_loss("", "  - disaster: kill\n  - recover\n  - disaster: kill\n  - recover\n", 128)]
    #[case::a_sweep(
        "",
        "  - work: { transactions: 10 }\n  - disaster: kill\n  - sweep: { targets: 5 }\n",
        1024
    )]
    fn servers_count_as_they_are_there_together(
        #[case] head: &str,
        #[case] steps: &str,
        #[case] megabytes: u64,
    ) {
        assert_eq!(shared(&plan(head, steps), 16 * GIB) / MIB, megabytes);
    }

    #[test]
    fn a_sweep_counts_by_the_memory_of_the_machine_within_bounds() {
        let plan =
            plan("", "  - work: { transactions: 10 }\n  - disaster: kill\n  - sweep: { targets: 5 }\n");
        for (total, megabytes) in [(0, 128), (4 * GIB, 512), (64 * GIB, 1024)] {
            assert_eq!(shared(&plan, total) / MIB, megabytes);
        }
    }

    #[test]
    fn sorts_and_files_in_memory_count() {
        let small = plan("data: { orders: 10 }\n", KILL);
        let large = plan("data: { orders: 10_000_000 }\n", KILL);
        let on_disk = machine(GIB);
        assert_eq!((need(&small, on_disk)) / MIB, (OF_EVERY_DRILL + SHARED_BUFFERS) / MIB);
        assert_eq!(need(&large, on_disk) / MIB, (OF_EVERY_DRILL + SHARED_BUFFERS + OF_SORTS) / MIB);
        let in_memory = need(&small, Machine { files_in_memory: true, ..on_disk });
        assert_eq!(in_memory - need(&small, on_disk), pgdrill_engine::execute::space(&small));
    }

    #[rstest]
    #[case("16384", Some(128 << 20))]
    #[case("256MB", Some(256 << 20))]
    #[case(" 1 GB", Some(1 << 30))]
    #[case("131072kB", Some(128 << 20))]
    #[case("much", None)]
    #[case("1.5GB", None)]
    fn a_size_is_read_as_the_server_reads_it(#[case] value: &str, #[case] bytes: Option<u64>) {
        assert_eq!(buffers(value), bytes);
    }

    #[rstest]
    #[case::as_asked(2, &[100, 100, 100], 1000, 8, 2, None)]
    #[case::no_more_than_there_are(9, &[100, 100], 1000, 8, 2, None)]
    #[case::none_at_all(4, &[], 1000, 8, 1, None)]
    #[case::processors(8, &[100; 8], 1000, 2, 4, Some("at most 4 drills run at the same time, and not 8: the machine has 2 processors"))]
    #[case::memory(4, &[100 << 20; 4], 250 << 20, 8, 2, Some("at most 2 drills run at the same time, and not 4: 250.0 MiB of memory is available, and one needs up to 100.0 MiB"))]
    #[case::always_one(4, &[100 << 20; 4], 50 << 20, 8, 1, Some("one drill runs at a time, and not 4: 50.0 MiB of memory is available, and one needs up to 100.0 MiB"))]
    #[case::some_are_large(2, &[1 << 20, 1 << 20, 200 << 20, 200 << 20], 250 << 20, 8, 2, Some("not always 2 drills run at the same time: 250.0 MiB of memory is available, and one needs up to 200.0 MiB"))]
    fn as_many_as_the_machine_has_room_for(
        #[case] asked: usize,
        #[case] needs: &[u64],
        #[case] available: u64,
        #[case] processors: usize,
        #[case] expected: usize,
        #[case] why: Option<&str>,
    ) {
        let (side_by_side, said) = limit(asked, needs, available, processors);
        assert_eq!((side_by_side, said.as_deref()), (expected, why));
    }

    #[test]
    fn drills_with_an_objective_come_last_and_count_for_themselves() {
        let timed = plan("objectives: { rto: 1m }\n", KILL);
        let other = plan("", KILL);
        let plans = [Some(&timed), Some(&other), None, Some(&timed), Some(&other)];
        let schedule = Schedule::new(plans, 2, machine(16 * GIB));
        assert_eq!(schedule.order(), [1, 2, 4, 0, 3]);
        assert_eq!([0, 1, 2, 3, 4].map(|number| schedule.jobs(number)), [1, 2, 2, 1, 2]);
        assert!(schedule.shares() && schedule.why().is_none());
        let one_by_one = Schedule::new(plans, 1, machine(16 * GIB));
        assert_eq!(one_by_one.order(), [0, 1, 2, 3, 4]);
        assert!(!one_by_one.shares());
        // One that would have no company has none to wait for.
        let single = Schedule::new([Some(&timed), Some(&other)], 2, machine(16 * GIB));
        assert_eq!((single.order(), single.jobs(1)), (vec![0, 1], 1));
    }

    #[tokio::test]
    async fn nobody_begins_beside_who_runs_alone_and_large_ones_wait_for_memory() {
        use futures_util::FutureExt;
        let timed = plan("objectives: { rto: 1m }\n", KILL);
        let other = plan("", KILL);
        let large = plan("settings: { shared_buffers: 2GB }\n", KILL);
        let plans = [Some(&other), Some(&other), Some(&large), Some(&timed)];
        let schedule = Schedule::new(plans, 3, machine(5 * GIB / 2));
        let first = schedule.turn(0).now_or_never().unwrap();
        let second = schedule.turn(1).now_or_never().unwrap();
        assert!(schedule.turn(2).now_or_never().is_none(), "two small ones leave too little for a large one");
        assert!(schedule.turn(3).now_or_never().is_none());
        drop(second);
        let large = schedule.turn(2).now_or_never().unwrap();
        drop(first);
        assert!(schedule.turn(3).now_or_never().is_none(), "the large one still runs");
        drop(large);
        let alone = schedule.turn(3).now_or_never().unwrap();
        assert!([0, 1, 2].iter().all(|other| schedule.turn(*other).now_or_never().is_none()));
        drop(alone);
        assert!(schedule.turn(0).now_or_never().is_some());
    }
}
