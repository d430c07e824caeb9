//! Decides by a seed when each attempt ends, and how many subtasks it has.

use std::time::Duration;

use wasmill_engine::CrashPoint;

use crate::crash::Crash;

/// How attempts end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// At a point of a checkpoint.
    EveryBarrier,
    /// By a signal, at any time.
    Kill,
}

/// An attempt ends at one of the first so many checkpoints that it takes.
const BARRIERS: u64 = 2;

/// When an attempt is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kill {
    pub(super) after: Duration,
    /// Counted since the job runs, not since the process was started.
    pub(super) running: bool,
}

/// How long the undisturbed run took.
#[derive(Debug, Clone, Copy)]
pub(super) struct Took {
    /// Until the job ran.
    pub(super) startup: Duration,
    /// From then on.
    pub(super) running: Duration,
}

/// What is decided, in turn.
pub(super) struct Schedule {
    random: u64,
    /// Points that are still to come before all come again, the next one last.
    points: Vec<CrashPoint>,
    undisturbed: Took,
}

impl Schedule {
    /// Decisions for a job that takes so long where nothing disturbs it.
    pub(super) fn new(seed: u64, undisturbed: Took) -> Schedule {
        Schedule { random: seed, points: Vec::new(), undisturbed }
    }

    /// Where the next attempt crashes. Of eight in a row each has another point.
    pub(super) fn crash(&mut self, parallelism: u32) -> Crash {
        if self.points.is_empty() {
            self.points = CrashPoint::ALL.into();
            // Fisher and Yates.
            for i in (1..self.points.len()).rev() {
                let j = self.below(i as u64 + 1) as usize;
                self.points.swap(i, j);
            }
        }
        let point = self.points.pop().unwrap_or(CrashPoint::Triggered);
        let barrier = 1 + self.below(BARRIERS) as u32;
        Crash { point, barrier, occurrence: 1 + self.below(parallelism.max(1).into()) as u32 }
    }

    /// When the next attempt is killed: one in four while it starts, the others in the first quarter of what the job takes, so
    /// that several are before it is through.
    pub(super) fn kill(&mut self) -> Kill {
        let running = self.below(4) > 0;
        let most = if running { self.undisturbed.running / 4 } else { self.undisturbed.startup };
        let most = u64::try_from(most.as_micros()).unwrap_or(u64::MAX).max(1000);
        Kill { after: Duration::from_micros(self.below(most) + 1), running }
    }

    /// A parallelism from 1 to `most` other than the last, where there is one.
    pub(super) fn another(&mut self, last: u32, most: u32) -> u32 {
        if last == 0 || last > most {
            return 1 + self.below(most.max(1).into()) as u32;
        }
        match most {
            0 | 1 => 1,
            _ => 1 + (last - 1 + 1 + self.below(u64::from(most) - 1) as u32) % most,
        }
    }

    /// A number below `bound`, which is not 0; SplitMix64 of Steele, Lea and Flood, whose bias is of no matter here.
    fn below(&mut self, bound: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn schedule(seed: u64) -> Schedule {
        let (startup, running) = (Duration::from_millis(60), Duration::from_millis(400));
        Schedule::new(seed, Took { startup, running })
    }

    #[test]
    fn every_point_comes_before_any_comes_again() {
        let mut schedule = schedule(1);
        let mut orders = BTreeSet::new();
        for _ in 0..4 {
            let crashes: Vec<Crash> = (0..8).map(|_| schedule.crash(2)).collect();
            let points: BTreeSet<CrashPoint> = crashes.iter().map(|crash| crash.point).collect();
            assert_eq!(points, CrashPoint::ALL.into());
            assert!(
                crashes.iter().all(|crash| (1..=2).contains(&crash.barrier) && (1..=2).contains(&crash.occurrence))
            );
            orders.insert(crashes.iter().map(|crash| crash.point).collect::<Vec<_>>());
        }
        assert!(orders.len() > 1, "the order is another each time");
    }

    #[test]
    fn the_seed_decides() {
        let crashes = |seed| {
            let mut schedule = schedule(seed);
            (0..16).map(|_| schedule.crash(3).to_string()).collect::<Vec<_>>()
        };
        assert_eq!(crashes(7), crashes(7));
        assert_ne!(crashes(7), crashes(8));
        let kills = |seed| {
            let mut schedule = schedule(seed);
            (0..100).map(|_| schedule.kill()).collect::<Vec<_>>()
        };
        assert_eq!(kills(7), kills(7));
        assert_ne!(kills(7), kills(8));
        let (running, starting): (Vec<Kill>, Vec<Kill>) = kills(7).into_iter().partition(|kill| kill.running);
        assert!(running.iter().all(|kill| kill.after <= Duration::from_millis(100)));
        assert!(starting.iter().all(|kill| kill.after <= Duration::from_millis(60)));
        assert!(running.len() > starting.len() && !starting.is_empty());
        assert!(running.iter().any(|kill| kill.after < Duration::from_millis(20)), "early ones too");
    }

    #[test]
    fn a_rescaled_attempt_has_another_parallelism() {
        let mut schedule = schedule(3);
        let mut last = 0;
        let mut seen = BTreeSet::new();
        for _ in 0..50 {
            let next = schedule.another(last, 3);
            assert_ne!(next, last);
            assert!((1..=3).contains(&next));
            (last, _) = (next, seen.insert(next));
        }
        assert_eq!(seen.len(), 3);
        assert_eq!(schedule.another(1, 1), 1, "there is no other");
        assert!((1..=2).contains(&schedule.another(7, 2)));
    }
}
