//! A scenario of another size: with more data, or with more WAL to be replayed, and the same in all else.

use super::{Scenario, Step, WorkUntil};

/// What stands in the id between the scenario and its size: `rto/tar@5M-orders`.
const SIZED: &str = "@";

/// What follows a number of orders in it, and an amount of WAL.
const ORDERS: &str = "-orders";
const WAL: &str = "-wal";

impl Scenario {
    /// The same with so many orders.
    #[must_use]
    pub fn of_orders(mut self, orders: u64) -> Self {
        self.data.orders = orders;
        self.sized(&format!("{}{ORDERS}", short(orders, &[(1_000_000, "M"), (1_000, "k"), (1, "")])));
        self
    }

    /// The same with so many bytes of WAL written after its last backup: by the last work that is not done behind other steps.
    ///
    /// # Errors
    ///
    /// Why there is none to write it, in words.
    pub fn of_wal(mut self, bytes: u64) -> Result<Self, &'static str> {
        let backup = self.steps.iter().rposition(|step| matches!(step.what, Step::Backup(_)));
        let work =
            self.steps.iter_mut().skip(backup.map_or(0, |at| at + 1)).rev().find_map(|step| match &mut step
                .what
            {
                Step::Work(work) if !work.behind => Some(work),
                _ => None,
            });
        let work = work.ok_or(
            "after its last backup the scenario has no `work` in the foreground that could write it",
        )?;
        work.until = WorkUntil::Wal(bytes);
        self.sized(&format!("{}{WAL}", short(bytes, &[(1 << 30, "GiB"), (1 << 20, "MiB"), (1, "B")])));
        Ok(self)
    }

    /// What is of another size is another drill, and is called so.
    fn sized(&mut self, size: &str) {
        let before = if as_written(&self.id).1.is_empty() { SIZED } else { "," };
        self.id = format!("{}{before}{size}", self.id);
    }
}

/// The id of a scenario as it is written, and the flags by which `pgdrill run` gives it the size that an id names.
pub fn as_written(id: &str) -> (&str, Vec<(&'static str, &str)>) {
    let Some((written, size)) = id.rsplit_once(SIZED) else { return (id, Vec::new()) };
    let flag = |part: &str, flag: &'static str| {
        size.split(',').find_map(|size| size.strip_suffix(part)).map(|number| (flag, number))
    };
    let flags: Vec<_> = [flag(ORDERS, "--scale"), flag(WAL, "--wal")].into_iter().flatten().collect();
    // A file may have such a name, too.
    if flags.is_empty() { (id, flags) } else { (written, flags) }
}

/// A number in the largest of the units that it is a whole number of; the last unit is 1.
fn short(number: u64, units: &[(u64, &str)]) -> String {
    let unit = units.iter().find(|(unit, _)| number > 0 && number.is_multiple_of(*unit));
    let (unit, name) = unit.or(units.last()).copied().unwrap_or((1, ""));
    format!("{}{name}", number / unit)
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;
    use crate::units::parse_bytes;

    fn scenario(steps: &str) -> Scenario {
        parse("rto/a", "a.yaml", &format!("title: t\nsteps:\n{steps}")).unwrap()
    }

    const WORKS: &str = "  - backup\n  - work: { transactions: 5 }\n  - disaster: kill\n  - recover\n";

    #[test]
    fn a_size_is_in_the_data_and_in_the_name() {
        let large = scenario(WORKS).of_orders(1_000_000).of_wal(64 << 20).unwrap();
        assert_eq!(large.id, "rto/a@1M-orders,64MiB-wal");
        assert_eq!(large.data.orders, 1_000_000);
        let until = large.steps.iter().find_map(|step| match &step.what {
            Step::Work(work) => Some(work.until),
            _ => None,
        });
        assert_eq!(until, Some(WorkUntil::Wal(64 << 20)));
    }

    #[test]
    fn the_flags_of_a_size_make_it_again() {
        let large = scenario(WORKS).of_orders(2_500).of_wal(3 << 30).unwrap();
        assert_eq!(as_written(&large.id), ("rto/a", vec![("--scale", "2500"), ("--wal", "3GiB")]));
        assert_eq!(parse_bytes("3GiB"), Some(3 << 30));
        for id in ["rto/a", "me@home", "@"] {
            assert_eq!(as_written(id), (id, Vec::new()));
        }
    }

    #[test]
    fn a_number_is_written_shortly_and_exactly() {
        let orders = |orders| scenario(WORKS).of_orders(orders).id;
        assert_eq!(
            [0, 1, 2_500, 150_000].map(orders),
            ["0", "1", "2500", "150k"].map(|n| format!("rto/a@{n}-orders"))
        );
    }

    #[test]
    fn wal_that_nobody_writes_after_the_last_backup_is_refused() {
        let steps = "  - work: { transactions: 5 }\n  - backup\n  - disaster: kill\n  - recover\n";
        assert!(scenario(steps).of_wal(1 << 20).is_err());
    }
}
