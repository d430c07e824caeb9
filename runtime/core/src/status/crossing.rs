//! Splits the time inside an operator into stages, though not every call is measured.

use super::Status;

/// What one call spent on its way over the boundary of a component, and on state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Crossing {
    /// Nanoseconds in which values moved into the component's memory.
    pub lower_ns: u64,
    /// Nanoseconds in which values moved out of it.
    pub lift_ns: u64,
    /// Nanoseconds in which state and timers were read and written.
    pub state_ns: u64,
    /// Nanoseconds in which the call was suspended until state was there; in none of the other three.
    pub suspended_ns: u64,
}

/// Adds up the calls of one operator. Reading a clock costs about as much as passing a row on, so a component measures only as many
/// of its short calls as it can afford; those between have the shares of the one that is measured next.
#[derive(Debug, Default)]
pub struct CallStages {
    /// Nanoseconds inside calls that were not measured, and are not published yet.
    unmeasured_ns: u64,
    /// The last call that was measured, and the nanoseconds inside it.
    last: (u64, Crossing),
}

impl CallStages {
    /// Takes in a call that was inside the operator for so many nanoseconds, and publishes what is known.
    pub fn add(&mut self, status: &Status, inside_ns: u64, crossing: Option<Crossing>) {
        let Some(crossing) = crossing else {
            self.unmeasured_ns += inside_ns;
            return;
        };
        status.state_ns.add(crossing.suspended_ns);
        self.last = (inside_ns, crossing);
        let all_ns = std::mem::take(&mut self.unmeasured_ns) + inside_ns;
        self.publish(status, all_ns);
    }

    /// Publishes the rest, when no more calls come.
    pub fn finish(&mut self, status: &Status) {
        let rest_ns = std::mem::take(&mut self.unmeasured_ns);
        self.publish(status, rest_ns);
    }

    /// Publishes a time in the shares of the last call that was measured.
    fn publish(&self, status: &Status, all_ns: u64) {
        let (inside_ns, crossing) = self.last;
        let mut left = all_ns;
        // Clocks that were read at different places may not add up: no more is given away than there is.
        let mut share = |ns: u64| {
            let part = u128::from(ns) * u128::from(all_ns) / u128::from(inside_ns.max(1));
            let part = u64::try_from(part).unwrap_or(u64::MAX).min(left);
            left -= part;
            part
        };
        status.lower_ns.add(share(crossing.lower_ns));
        status.lift_ns.add(share(crossing.lift_ns));
        status.state_ns.add(share(crossing.state_ns));
        status.guest_ns.add(left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crossing(lower_ns: u64, lift_ns: u64, state_ns: u64) -> Option<Crossing> {
        Some(Crossing { lower_ns, lift_ns, state_ns, suspended_ns: 0 })
    }

    fn published(status: &Status) -> [u64; 4] {
        let now = status.snapshot();
        [now.lower_ns, now.guest_ns, now.lift_ns, now.state_ns]
    }

    #[test]
    fn calls_that_are_not_measured_have_the_shares_of_the_next_that_is() {
        let (status, mut stages) = (Status::default(), CallStages::default());
        stages.add(&status, 300, None);
        assert_eq!(published(&status), [0; 4], "nothing is known yet");
        stages.add(&status, 100, crossing(10, 20, 30));
        assert_eq!(published(&status), [40, 160, 80, 120]);
        stages.add(&status, 50, None);
        stages.finish(&status);
        assert_eq!(published(&status), [45, 180, 90, 135], "at the end, those of the last");
        stages.finish(&status);
        assert_eq!(published(&status), [45, 180, 90, 135], "nothing counts twice");
    }

    #[test]
    fn a_native_operator_is_all_guest() {
        let (status, mut stages) = (Status::default(), CallStages::default());
        stages.add(&status, 70, Some(Crossing::default()));
        stages.add(&status, 0, Some(Crossing::default()));
        assert_eq!(published(&status), [0, 70, 0, 0]);
    }

    #[test]
    fn waiting_for_state_is_not_inside_the_call() {
        let (status, mut stages) = (Status::default(), CallStages::default());
        stages.add(&status, 100, Some(Crossing { suspended_ns: 1_000, state_ns: 20, ..Crossing::default() }));
        stages.add(&status, 100, None);
        stages.finish(&status);
        assert_eq!(published(&status), [0, 160, 0, 1_040], "a wait is counted, never guessed");
    }

    #[test]
    fn parts_never_exceed_the_whole() {
        let (status, mut stages) = (Status::default(), CallStages::default());
        stages.add(&status, 10, crossing(8, 8, 8));
        assert_eq!(published(&status), [8, 0, 2, 0]);
        stages.add(&status, u64::MAX / 2, None);
        stages.add(&status, 0, crossing(u64::MAX, 1, 1));
        assert_eq!(status.snapshot().lower_ns, 8 + u64::MAX / 2);
    }
}
