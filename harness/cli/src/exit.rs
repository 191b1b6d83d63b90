//! The exit codes: part of the interface, the same for every command.

use std::process::ExitCode;

use pgdrill_model::code::Weight;
use pgdrill_model::run::Run;
use pgdrill_model::verdict::Verdict;

/// How pgdrill ends, in ascending order of what outranks what when there are several drills.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// 0: proven, or the command did what it says.
    Proven,
    /// 2: could not verify.
    Unverified,
    /// 1: disproven.
    Disproven,
    /// 64: usage, or a mistake in a scenario file (`EX_USAGE`).
    Usage,
    /// 70: a bug in pgdrill (`EX_SOFTWARE`).
    Bug,
    /// 130: interrupted.
    Interrupted,
}

impl Exit {
    /// The number that the shell sees.
    pub fn code(self) -> u8 {
        match self {
            Self::Proven => 0,
            Self::Disproven => 1,
            Self::Unverified => 2,
            Self::Usage => 64,
            Self::Bug => 70,
            Self::Interrupted => 130,
        }
    }

    /// What one drill ends in.
    pub fn of(run: &Run) -> Self {
        if run.interrupted {
            return Self::Interrupted;
        }
        if run.findings.iter().any(|finding| finding.weight == Weight::Bug) {
            return Self::Bug;
        }
        match run.verdict {
            Verdict::Proven => Self::Proven,
            Verdict::Disproven => Self::Disproven,
            Verdict::Unverified => Self::Unverified,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pgdrill_model::judge::fold;
    use pgdrill_testkit::sample;
    use pgdrill_testkit::worse::worse;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn worse_evidence_never_gives_a_better_exit(
            from_proven in any::<bool>(),
            degradations in prop::collection::vec(worse(), 1..8),
        ) {
            let story = if from_proven { sample::proven_story() } else { sample::disproven_story() };
            let mut events = story.events();
            let mut before = Exit::of(&fold(&events).unwrap());
            for worse in degradations {
                worse.apply(&mut events);
                let exit = Exit::of(&fold(&events).unwrap());
                prop_assert!(before == Exit::Proven || exit != Exit::Proven, "{worse:?}");
                // A check that failed and did not say why is a bug of ours, until it is told why.
                let explained = before == Exit::Bug && worse.adds().is_some();
                prop_assert!(
                    worse.takes_away() || explained || exit >= before,
                    "{worse:?}: {before:?}, then {exit:?}"
                );
                before = exit;
            }
        }
    }

    #[test]
    fn the_worst_of_several_drills_wins() {
        let worst = |exits: &[Exit]| exits.iter().max().unwrap().code();
        assert_eq!(worst(&[Exit::Proven, Exit::Unverified]), 2);
        assert_eq!(worst(&[Exit::Unverified, Exit::Disproven, Exit::Proven]), 1);
        assert_eq!(worst(&[Exit::Disproven, Exit::Bug]), 70);
        assert_eq!(worst(&[Exit::Bug, Exit::Interrupted]), 130);
    }
}
