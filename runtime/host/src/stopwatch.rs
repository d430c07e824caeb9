//! Measures where the time of a call goes: into the guest's memory, in the guest, out of its memory, on state.
//!
//! wasmtime tells of each crossing between host and guest, and the host's functions tell what they do. Time in the guest is what is
//! left of a call. A clock is read at each crossing, which is dear where calls are short; so a short call is measured now and then,
//! and [`wasmill_core::status::CallStages`] takes the calls between to be alike.

use std::{
    future::poll_fn,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use wasmill_core::status::Crossing;
use wasmtime::CallHook;

use crate::guest::Phase;

/// What reading the clock may cost: one part in so many of a call's time.
const SHARE: u64 = 200;

/// What reading the clock once costs, nanoseconds; on most machines it is less.
const READ_NS: u64 = 50;

/// The most calls from one that is measured to the next, about.
const MOST_SKIPPED: u64 = 64;

/// The time of one instance's calls.
pub(crate) struct Stopwatch {
    clock: fn() -> Instant,
    /// Whether the call in progress is measured.
    measuring: bool,
    stage: Stage,
    /// When the stage began.
    since: Instant,
    /// When the call began.
    begun: Instant,
    /// How often the clock was read in this call.
    reads: u64,
    /// How often the guest was entered in this call: to make room for each list of its arguments, then for the call itself.
    entries: u32,
    /// Which of those is the call itself.
    call: u32,
    in_host: bool,
    /// Nanoseconds in which calls were suspended; counted by [`Away`].
    away: Away,
    /// Those that were there when the stage began.
    away_since: u64,
    crossing: Crossing,
    /// By [`kind`] of call: how many come until one is measured.
    skip: [u64; 2],
    dice: u64,
    kind: usize,
}

/// What the time goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Lower,
    Guest,
    /// The host was called; if nobody says what for, it was to serve the guest.
    Called,
    Lift,
    State,
}

/// Calls of one kind take about as long as each other.
fn kind(phase: Phase) -> usize {
    usize::from(phase != Phase::Process)
}

/// How many lists the arguments of a call are lowered into, each with an entry of its own. More than 16 plain values take one too.
fn lists(phase: Phase) -> u32 {
    match phase {
        Phase::Process => 8 + 1,
        Phase::OnTimers => 4,
        _ => 0,
    }
}

impl Stopwatch {
    pub(crate) fn new(clock: fn() -> Instant) -> Stopwatch {
        let now = clock();
        Stopwatch {
            clock,
            measuring: false,
            stage: Stage::Guest,
            since: now,
            begun: now,
            reads: 0,
            entries: 0,
            call: 0,
            in_host: false,
            away: Away::default(),
            away_since: 0,
            crossing: Crossing::default(),
            skip: [0; 2],
            dice: 0,
            kind: 0,
        }
    }

    /// A call begins, with its arguments still outside.
    pub(crate) fn begin(&mut self, phase: Phase) {
        self.kind = kind(phase);
        self.measuring = self.skip[self.kind] == 0;
        if !self.measuring {
            self.skip[self.kind] -= 1;
            return;
        }
        (self.reads, self.entries, self.call, self.in_host) = (1, 0, lists(phase) + 1, false);
        self.begun = (self.clock)();
        (self.stage, self.since, self.away_since) = (Stage::Lower, self.begun, self.away.nanoseconds());
        let suspended_ns = self.crossing.suspended_ns;
        self.crossing = Crossing { suspended_ns, ..Crossing::default() };
    }

    /// wasmtime crosses between host and guest.
    pub(crate) fn cross(&mut self, hook: CallHook) {
        if !self.measuring {
            return;
        }
        match hook {
            CallHook::CallingWasm if !self.in_host => {
                self.entries += 1;
                if self.entries == self.call {
                    self.enter(Stage::Guest);
                }
            }
            CallHook::CallingHost if self.entries == self.call => {
                self.in_host = true;
                self.enter(Stage::Called);
            }
            CallHook::ReturningFromHost if self.in_host => {
                self.in_host = false;
                self.enter(Stage::Guest);
            }
            _ => {}
        }
    }

    /// The host was called to take rows: what led here moved them out of the guest, and so does what follows.
    pub(crate) fn takes(&mut self) {
        if self.stage == Stage::Called {
            self.stage = Stage::Lift;
        }
    }

    /// The host was called for state, and begins to work on it: what led here moved what it was given out of the guest.
    pub(crate) fn state_begins(&mut self) -> StateCall {
        self.takes();
        if self.measuring {
            self.enter(Stage::State);
        }
        StateCall { away: self.away.nanoseconds() }
    }

    /// The answer is there, and is moved into the guest.
    pub(crate) fn state_answers(&mut self, call: StateCall) {
        self.state_ends(call);
        if self.measuring {
            self.enter(Stage::Lower);
        }
    }

    /// All is done, and there is no answer.
    pub(crate) fn state_ends(&mut self, call: StateCall) {
        self.crossing.suspended_ns += self.away.nanoseconds() - call.away;
    }

    /// Ends the stage.
    fn enter(&mut self, next: Stage) {
        let (now, away) = ((self.clock)(), self.away.nanoseconds());
        self.reads += 1;
        let spent = nanoseconds(self.since, now).saturating_sub(away - self.away_since);
        match self.stage {
            Stage::Lower => self.crossing.lower_ns += spent,
            Stage::Lift => self.crossing.lift_ns += spent,
            Stage::State => self.crossing.state_ns += spent,
            Stage::Guest | Stage::Called => {}
        }
        (self.stage, self.since, self.away_since) = (next, now, away);
    }

    /// The call has ended; what is known of it, if it was measured. Decides which call is measured next.
    pub(crate) fn end(&mut self) -> Option<Crossing> {
        if !std::mem::take(&mut self.measuring) {
            return None;
        }
        let took = nanoseconds(self.begun, (self.clock)());
        let skip = ((self.reads + 1) * READ_NS * SHARE / took.max(1)).min(MOST_SKIPPED);
        // Not a fixed number: it could go with the pattern of the inputs. Knuth's constants.
        self.dice = self.dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.skip[self.kind] = (self.dice >> 33) % (2 * skip + 1);
        Some(std::mem::take(&mut self.crossing))
    }

    /// What counts the time in which calls are suspended.
    pub(crate) fn away(&self) -> Away {
        self.away.clone()
    }
}

fn nanoseconds(since: Instant, now: Instant) -> u64 {
    now.saturating_duration_since(since).as_nanos() as u64
}

/// A call on state.
pub(crate) struct StateCall {
    /// Time suspended before it, nanoseconds.
    away: u64,
}

/// Counts the time in which calls are suspended: others run, or nobody does.
#[derive(Debug, Clone, Default)]
pub(crate) struct Away(Arc<AtomicU64>);

impl Away {
    fn nanoseconds(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Drives a call, and counts the time from when it is suspended to when it goes on.
    pub(crate) async fn watch<T>(&self, call: impl Future<Output = T>) -> T {
        let (mut call, mut left) = (pin!(call), None);
        poll_fn(|context| {
            if let Some(left) = left.take() {
                self.0.fetch_add(nanoseconds(left, Instant::now()), Ordering::Relaxed);
            }
            let polled = call.as_mut().poll(context);
            if polled.is_pending() {
                left = Some(Instant::now());
            }
            polled
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, time::Duration};

    use super::{CallHook::*, *};

    thread_local! {
        static NOW: Cell<(Option<Instant>, u64)> = const { Cell::new((None, 0)) };
    }

    fn clock() -> Instant {
        let (start, passed) = NOW.get();
        let start = start.unwrap_or_else(Instant::now);
        NOW.set((Some(start), passed));
        start + Duration::from_nanos(passed)
    }

    fn pass(nanoseconds: u64) {
        let (start, passed) = NOW.get();
        NOW.set((start, passed + nanoseconds));
    }

    /// Makes room for a list, which takes 10 ns.
    fn room(watch: &mut Stopwatch) {
        watch.cross(CallingWasm);
        pass(10);
        watch.cross(ReturningFromWasm);
    }

    /// A call as wasmtime makes it: 1,000,000 ns in the guest beside what is measured.
    fn process(watch: &mut Stopwatch) {
        watch.begin(Phase::Process);
        (0..9).for_each(|_| room(watch));
        watch.cross(CallingWasm);
        pass(500_000);
        // Reads state: 20 ns out, 300 ns, 10 ns and 3 back in.
        watch.cross(CallingHost);
        pass(20);
        let call = watch.state_begins();
        pass(300);
        watch.state_answers(call);
        room(watch);
        pass(3);
        watch.cross(ReturningFromHost);
        pass(400_000);
        // Grows its memory.
        watch.cross(CallingHost);
        pass(100_000);
        watch.cross(ReturningFromHost);
        // Writes: 40 ns out, 500 ns. Emits: 70 ns.
        watch.cross(CallingHost);
        pass(40);
        let call = watch.state_begins();
        pass(500);
        watch.state_ends(call);
        watch.cross(ReturningFromHost);
        watch.cross(CallingHost);
        watch.takes();
        pass(70);
        watch.cross(ReturningFromHost);
        watch.cross(ReturningFromWasm);
        // Frees what it returned.
        room(watch);
    }

    #[test]
    fn each_part_of_a_call_has_its_stage() {
        let mut watch = Stopwatch::new(clock);
        process(&mut watch);
        let expected = Crossing { lower_ns: 90 + 13, lift_ns: 20 + 40 + 70, state_ns: 800, suspended_ns: 0 };
        assert_eq!(watch.end(), Some(expected));
        assert_eq!(watch.end(), None, "told once");
        process(&mut watch);
        assert_eq!(watch.end(), Some(expected), "a long call is always measured, and from nothing");
    }

    #[test]
    fn suspended_is_neither_in_the_guest_nor_at_work() {
        let mut watch = Stopwatch::new(clock);
        watch.begin(Phase::Finish);
        watch.cross(CallingWasm);
        let suspend = |watch: &Stopwatch| {
            pass(1_000_000);
            watch.away.0.fetch_add(1_000_000, Ordering::Relaxed);
        };
        watch.cross(CallingHost);
        let call = watch.state_begins();
        pass(7);
        suspend(&watch);
        watch.state_answers(call);
        watch.cross(ReturningFromHost);
        watch.cross(CallingHost);
        watch.takes();
        suspend(&watch);
        pass(5);
        watch.cross(ReturningFromHost);
        let expected = Crossing { lower_ns: 0, lift_ns: 5, state_ns: 7, suspended_ns: 1_000_000 };
        assert_eq!(watch.end(), Some(expected));
    }

    #[test]
    fn short_calls_are_measured_as_often_as_they_can_afford() {
        let mut watch = Stopwatch::new(clock);
        let (mut measured, mut gaps, mut gap) = (0u64, std::collections::BTreeSet::new(), 0);
        for _ in 0..10_000 {
            watch.begin(Phase::OnTimers);
            (0..4).for_each(|_| room(&mut watch));
            watch.cross(CallingWasm);
            pass(1_960);
            match watch.end() {
                Some(crossing) => {
                    assert_eq!(crossing.lower_ns, 40);
                    (measured, gap) = (measured + 1, 0);
                }
                None => gap += 1,
            }
            gaps.insert(gap);
        }
        // Three reads of 50 ns are a 200th of 30,000 ns, which are 15 calls of 2,000.
        assert!((10_000 / 18..10_000 / 14).contains(&measured), "{measured}");
        assert!(gaps.len() > 20, "at no fixed distance: {gaps:?}");
        watch.begin(Phase::Process);
        assert!(watch.measuring, "calls of another kind are counted apart");
    }
}
