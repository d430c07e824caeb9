//! Decides which windows a row is in, when they come out, and how long rows are needed.

use serde::{Deserialize, Serialize};

use crate::{
    backend::TimeDomain,
    error::{Error, Result},
    ordered::rows::Head,
    window::{Grid, Kind, Window, Windows},
};

/// What is kept of the windows of a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Opened {
    pub(super) head: Head,
    /// Windows whose last millisecond is up to this one have come out.
    pub(super) fired: i64,
    /// Sessions that are not over, by start: start and end.
    sessions: Vec<(i64, i64)>,
}

impl Default for Opened {
    fn default() -> Opened {
        Opened { head: Head::default(), fired: i64::MIN, sessions: Vec::new() }
    }
}

impl Opened {
    /// Sessions in order.
    pub(super) fn sessions(&self) -> impl Iterator<Item = Window> {
        self.sessions.iter().map(|&(start, end)| Window { start, end })
    }

    /// Forgets a session.
    pub(super) fn close(&mut self, window: Window) {
        self.sessions.retain(|&session| session != (window.start, window.end));
    }
}

/// How a row is taken.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Assigned {
    /// It is late for all of its windows.
    Late,
    /// It is in a gap between windows.
    Between,
    /// It is in windows. At `due` something is to be done; those of `again` have come out before.
    In { due: i64, again: Vec<Window> },
}

/// Which windows there are.
pub(super) struct Frame {
    shape: Shape,
    lateness: i64,
}

enum Shape {
    Aligned(Box<Grid>),
    Sessions { gap: i64 },
}

impl Frame {
    /// # Errors
    /// The job's, when they are not of event time and tumbling, sliding or sessions.
    pub(super) fn of(windows: &Windows) -> Result<Frame> {
        windows.check()?;
        let shape = match (windows.kind, Grid::of(windows)?) {
            _ if windows.domain != TimeDomain::EventTime || windows.trigger.is_some() => None,
            (_, Some(grid)) => Some(Shape::Aligned(Box::new(grid))),
            (Kind::Session { gap }, None) => Some(Shape::Sessions { gap }),
            _ => None,
        };
        let refused = "the windows of a join are tumbling, sliding or sessions, of event time, without a trigger";
        let shape = shape.ok_or_else(|| Error::job(refused))?;
        Ok(Frame { shape, lateness: windows.allowed_lateness })
    }

    pub(super) fn are_sessions(&self) -> bool {
        matches!(self.shape, Shape::Sessions { .. })
    }

    /// The grid.
    fn grid(&mut self) -> &mut Grid {
        match &mut self.shape {
            Shape::Aligned(grid) => grid,
            Shape::Sessions { .. } => unreachable!("sessions are not on a grid"),
        }
    }

    /// When a window is over: late rows for it are not taken any more.
    fn end_of(&self, window: Window) -> i64 {
        window.last().saturating_add(self.lateness)
    }

    pub(super) fn is_over(&self, window: Window, now: i64) -> bool {
        self.end_of(window) <= now
    }

    /// The windows of a row, where those up to [`Opened::fired`] have come out; of sessions, it becomes part of one.
    ///
    /// # Errors
    /// The record's, when it has no time.
    pub(super) fn assign(&mut self, time: i64, opened: &mut Opened) -> Result<Assigned> {
        match &mut self.shape {
            Shape::Aligned(_) => self.assign_aligned(time, opened.fired),
            Shape::Sessions { gap } => {
                let window = Window { start: time, end: time.saturating_add(*gap) };
                Ok(self.assign_session(window, opened))
            }
        }
    }

    fn assign_aligned(&mut self, time: i64, fired: i64) -> Result<Assigned> {
        let lateness = self.lateness;
        let grid = self.grid();
        let pane = grid.event_pane(time)?;
        let numbers = grid.windows_of(pane);
        let last = *numbers.end();
        if numbers.is_empty() {
            return Ok(Assigned::Between);
        }
        let end = grid.window(last).last().saturating_add(lateness);
        if end <= fired {
            return Ok(Assigned::Late);
        }
        let unfired = first_where(numbers.clone(), |number| grid.window(number).last() > fired);
        let live = first_where(numbers, |number| grid.window(number).last().saturating_add(lateness) > fired);
        let due = if unfired <= last { grid.window(unfired).last() } else { end };
        Ok(Assigned::In { due, again: (live..unfired).map(|number| grid.window(number)).collect() })
    }

    fn assign_session(&mut self, window: Window, opened: &mut Opened) -> Assigned {
        let is_near = |&(start, end): &(i64, i64)| start <= window.end && window.start <= end;
        let merged = opened
            .sessions
            .iter()
            .filter(|session| is_near(session))
            .fold(window, |merged, &(start, end)| merged.cover(Window { start, end }));
        if self.is_over(merged, opened.fired) {
            return Assigned::Late;
        }
        opened.sessions.retain(|session| !is_near(session));
        let at = opened.sessions.partition_point(|&(start, _)| start < merged.start);
        opened.sessions.insert(at, (merged.start, merged.end));
        match merged.last() <= opened.fired {
            true => Assigned::In { due: self.end_of(merged), again: vec![merged] },
            false => Assigned::In { due: merged.last(), again: Vec::new() },
        }
    }

    /// When something is to be done about sessions next.
    pub(super) fn next_session(&self, opened: &Opened) -> Option<i64> {
        let due = |window: Window| if window.last() > opened.fired { window.last() } else { self.end_of(window) };
        opened.sessions().map(due).min()
    }

    /// The number of the first window that ends after `time`; `None` at the end of time.
    pub(super) fn first_after(&mut self, time: i64) -> Option<i64> {
        let grid = self.grid();
        let pane = grid.event_pane(time.checked_add(1)?).ok()?;
        Some(*grid.windows_of(pane).start())
    }

    /// The number of the first window that the row at `time` is in.
    ///
    /// # Errors
    /// The record's, when it has no time.
    pub(super) fn first_of(&mut self, time: i64) -> Result<i64> {
        let grid = self.grid();
        let pane = grid.event_pane(time)?;
        Ok(*grid.windows_of(pane).start())
    }

    pub(super) fn window(&mut self, number: i64) -> Window {
        self.grid().window(number)
    }

    /// When all windows of the row at `time` are over.
    ///
    /// # Errors
    /// The record's, when it has no time.
    pub(super) fn over_at(&mut self, time: i64) -> Result<i64> {
        let grid = self.grid();
        let pane = grid.event_pane(time)?;
        let last = *grid.windows_of(pane).end();
        let window = grid.window(last);
        Ok(self.end_of(window))
    }

    /// The windows of rows of before this time are all over at `now`.
    pub(super) fn over_before(&mut self, now: i64) -> i64 {
        if now == i64::MAX {
            return i64::MIN;
        }
        match self.first_after(now.saturating_sub(self.lateness)) {
            Some(number) => self.window(number).start,
            None => i64::MIN,
        }
    }
}

/// The first number of which `is` says so, as of all that follow it; the one after the last where it does not.
fn first_where(numbers: std::ops::RangeInclusive<i64>, mut is: impl FnMut(i64) -> bool) -> i64 {
    let (mut low, mut high) = (*numbers.start(), numbers.end().saturating_add(1));
    while low < high {
        // Towards the lower one: `midpoint` rounds towards zero.
        let middle = low + high.saturating_sub(low) / 2;
        if is(middle) { high = middle } else { low = middle.saturating_add(1) }
    }
    low
}
