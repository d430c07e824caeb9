//! Moves records to panes, and panes to the tumbling and sliding windows that fire at their end.
//!
//! Panes have the greatest length that divides size and slide. Window number `w` is panes `w * slide` to `w * slide + size - 1`,
//! with size and slide counted in panes; a tumbling window is one pane.
//!
//! A key has one timer for all its windows, that of the first one that has not fired and has any records. When it fires, the next
//! gets one. Which that is, is kept in [`Opened::armed`] as the pane from which on all windows are told of in time: a record
//! costs one comparison.

use super::{
    Window, Windows,
    calendar::Calendar,
    open::{Entry, OpenWindows, Opened, number, value, write_number, write_value},
    trigger::{SetTimer, time_of_timer},
    windows::Kind,
};
use crate::{
    backend::TimeDomain,
    batch::NO_TIME,
    call::KeyedCall,
    codec::{CodecError, StateValue},
    error::{Error, Result},
    setup::Setup,
    state::{Slot, State, StateColumn, ValueState},
};

/// What a pane has gathered.
#[derive(Debug)]
pub(crate) struct Pane<A: StateValue> {
    number: i64,
    gathered: A::Owned,
}

impl<A: StateValue> Entry for Pane<A> {
    type Accumulator = A;

    #[inline(always)]
    fn place(&self) -> i64 {
        self.number
    }

    fn gathered(&self) -> Option<&A::Owned> {
        Some(&self.gathered)
    }

    fn write(&self, out: &mut Vec<u8>) -> Result<(), CodecError> {
        write_number(out, self.number)?;
        write_value::<A>(A::borrow(&self.gathered), out)
    }

    fn read(bytes: &mut &[u8]) -> Result<Self, CodecError> {
        Ok(Pane { number: number(bytes)?, gathered: value::<A>(bytes)? })
    }
}

/// Where the watermark, or the clock, stands among panes and windows.
#[derive(Debug, Clone, Copy)]
struct Stand {
    now: i64,
    /// The first window that has not fired.
    unfired: i64,
    /// The first window that is not removed.
    live: i64,
    /// Records of panes before this one are late.
    live_pane: i64,
    /// Of panes from this one on no window has fired.
    unfired_pane: i64,
}

/// How records are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    /// They are in a window.
    Gathered,
    /// They are in a window, and some of theirs have fired before.
    Again,
    /// They are late for all of their windows.
    Late,
    /// They are in a gap between windows.
    Between,
}

/// Where windows lie on panes.
pub(crate) struct Grid {
    calendar: Calendar,
    pub(crate) domain: TimeDomain,
    /// In panes.
    size: i64,
    /// In panes.
    slide: i64,
    allowed_lateness: i64,
    stand: Stand,
}

fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

impl Grid {
    /// The grid of tumbling or sliding windows; `None` for others.
    ///
    /// # Errors
    /// The job's, when there is no such time zone.
    pub(crate) fn of(windows: &Windows) -> Result<Option<Grid>> {
        let Kind::Aligned { size, slide } = windows.kind else { return Ok(None) };
        let length = gcd(size, slide);
        let calendar = Calendar::new(length, windows.offset.rem_euclid(slide), windows.zone.as_deref())?;
        let stand =
            Stand { now: i64::MIN, unfired: i64::MIN, live: i64::MIN, live_pane: i64::MIN, unfired_pane: i64::MIN };
        Ok(Some(Grid {
            calendar,
            domain: windows.domain,
            size: size / length,
            slide: slide / length,
            allowed_lateness: windows.allowed_lateness,
            stand,
        }))
    }

    /// The pane of a record, whose event time is `timestamp`.
    ///
    /// # Errors
    /// The record's, when it has no time.
    #[inline(always)]
    pub(crate) fn pane(&mut self, timestamp: i64, call: &KeyedCall<'_>) -> Result<i64> {
        match self.domain {
            TimeDomain::EventTime => self.event_pane(timestamp),
            TimeDomain::ProcessingTime => Ok(self.calendar.pane(call.processing_time())),
        }
    }

    /// The same in event time.
    ///
    /// # Errors
    /// The record's, when it has no time.
    #[inline(always)]
    pub(crate) fn event_pane(&mut self, timestamp: i64) -> Result<i64> {
        if timestamp == NO_TIME { Err(no_time()) } else { Ok(self.calendar.pane(timestamp)) }
    }

    #[inline(always)]
    fn stand(&mut self, call: &KeyedCall<'_>) -> Stand {
        let now = match self.domain {
            TimeDomain::EventTime => call.watermark(),
            // As long as the clock shows the last millisecond of a window, it has not fired.
            TimeDomain::ProcessingTime => call.processing_time().saturating_sub(1),
        };
        if now != self.stand.now { self.look(now) } else { self.stand }
    }

    #[cold]
    fn look(&mut self, now: i64) -> Stand {
        let unfired = self.first_after(now);
        let live = match now {
            i64::MAX => i64::MAX,
            _ => self.first_after(now.saturating_sub(self.allowed_lateness)),
        };
        let live_pane = live.saturating_mul(self.slide);
        self.stand = Stand { now, unfired, live, live_pane, unfired_pane: self.threshold(unfired) };
        self.stand
    }

    /// The first window whose last millisecond is after `now`.
    fn first_after(&mut self, now: i64) -> i64 {
        if now == i64::MAX {
            return i64::MAX;
        }
        let pane = self.calendar.pane(now + 1);
        pane.saturating_sub(self.size).div_euclid(self.slide) + 1
    }

    /// The first pane all of whose windows are `window` or later ones.
    fn threshold(&self, window: i64) -> i64 {
        window.saturating_sub(1).saturating_mul(self.slide).saturating_add(self.size)
    }

    fn first_window(&self, pane: i64) -> i64 {
        pane.saturating_sub(self.size).saturating_add(self.slide).div_euclid(self.slide)
    }

    fn last_window(&self, pane: i64) -> i64 {
        pane.div_euclid(self.slide)
    }

    fn first_pane(&self, window: i64) -> i64 {
        window.saturating_mul(self.slide)
    }

    /// The numbers of the windows that a pane is in.
    pub(crate) fn windows_of(&self, pane: i64) -> std::ops::RangeInclusive<i64> {
        self.first_window(pane)..=self.last_window(pane)
    }

    /// Where window number `window` is.
    pub(crate) fn window(&self, window: i64) -> Window {
        let first = self.first_pane(window);
        Window { start: self.calendar.start(first), end: self.calendar.start(first.saturating_add(self.size)) }
    }

    /// Whether the pane belongs to no window.
    #[inline(always)]
    pub(crate) fn is_between(&self, pane: i64) -> bool {
        self.slide > self.size && pane.rem_euclid(self.slide) >= self.size
    }

    /// The panes of a window that are held, in order.
    fn panes_of<'a, A: StateValue>(
        &self,
        window: i64,
        opened: &'a Opened<Pane<A>>,
    ) -> impl Iterator<Item = &'a A::Owned> {
        let first = self.first_pane(window);
        opened.range(first..first.saturating_add(self.size)).map(|pane| &pane.gathered)
    }

    fn removal(&self, window: Window) -> i64 {
        window.last().saturating_add(self.allowed_lateness)
    }
}

#[cold]
pub(super) fn no_time() -> Error {
    Error::record("it has no event time, which windows of event time need: let the source take it from the record")
}

/// Tumbling or sliding windows.
pub(crate) struct Panes<A: StateValue> {
    state: ValueState<OpenWindows<Pane<A>>>,
    pub(crate) grid: Grid,
}

impl<A: StateValue<Owned: Default>> Panes<A> {
    pub(crate) fn new(setup: &mut Setup, grid: Grid) -> Panes<A> {
        match grid.domain {
            TimeDomain::EventTime => setup.event_timers(),
            TimeDomain::ProcessingTime => setup.processing_timers(),
        }
        Panes { state: setup.value_state("windows"), grid }
    }

    pub(crate) fn column(&mut self) -> &mut dyn StateColumn {
        self.state.column()
    }

    #[inline(always)]
    pub(crate) fn select(&mut self, slot: Slot) {
        self.state.select(slot);
    }

    /// Takes a record of `pane`, whose event time is `timestamp`: `add` adds it to what the pane has gathered. Where the answer is
    /// [`Taken::Again`] the windows that have fired are to be emitted anew.
    ///
    /// # Errors
    /// Those of `add`.
    #[inline(always)]
    pub(crate) fn take(
        &mut self,
        pane: i64,
        timestamp: i64,
        call: &mut KeyedCall<'_>,
        add: impl FnOnce(&mut A::Owned) -> Result,
    ) -> Result<Taken> {
        let Panes { state, grid } = self;
        let stand = grid.stand(call);
        if grid.is_between(pane) {
            let late = timestamp.saturating_add(grid.allowed_lateness) <= call.watermark();
            return Ok(if late && grid.domain == TimeDomain::EventTime { Taken::Late } else { Taken::Between });
        }
        if pane < stand.live_pane {
            return Ok(Taken::Late);
        }
        // What most records need: nothing moves, and nothing is weighed.
        if !Opened::<Pane<A>>::IS_WEIGHED
            && pane >= stand.unfired_pane
            && let Some(opened) = state.changed_mut()
            && pane >= opened.armed
            && let Some(held) = opened.recent(pane)
        {
            add(&mut held.gathered)?;
            return Ok(Taken::Gathered);
        }
        state.update(|opened| {
            if pane < opened.armed {
                grid.arm(&stand, pane, opened, call);
            }
            let gathered = &mut opened.at(pane, || Pane { number: pane, gathered: A::Owned::default() }).gathered;
            if !Opened::<Pane<A>>::IS_WEIGHED {
                return add(gathered);
            }
            let before = A::weight(gathered);
            add(gathered)?;
            let after = A::weight(gathered);
            opened.weigh_change(before, after);
            Ok(())
        })?;
        Ok(if pane < stand.unfired_pane { Taken::Again } else { Taken::Gathered })
    }

    /// Emits the windows of `pane` that have fired before.
    ///
    /// # Errors
    /// Those of `emit`.
    #[cold]
    pub(crate) fn fire_again(
        &self,
        pane: i64,
        mut emit: impl FnMut(Window, &mut dyn Iterator<Item = &A::Owned>) -> Result,
    ) -> Result {
        let Panes { state, grid } = self;
        let (Some(opened), stand) = (state.get(), grid.stand) else { return Ok(()) };
        let fired =
            grid.first_window(pane).max(stand.live)..stand.unfired.min(grid.last_window(pane).saturating_add(1));
        for window in fired {
            emit(grid.window(window), &mut grid.panes_of(window, opened))?;
        }
        Ok(())
    }

    /// Takes a timer that is due.
    ///
    /// # Errors
    /// Those of `emit`.
    pub(crate) fn on_timer(
        &mut self,
        time: i64,
        tag: u64,
        call: &mut KeyedCall<'_>,
        mut emit: impl FnMut(Window, &mut dyn Iterator<Item = &A::Owned>) -> Result,
    ) -> Result {
        let Panes { state, grid } = self;
        let Some(opened) = state.get() else { return Ok(()) };
        let (number, time) = (tag.cast_signed(), time_of_timer(grid.domain, time));
        let window = grid.window(number);
        let (fires, is_removed) = (time == window.last(), time == grid.removal(window));
        if fires && grid.panes_of(number, opened).next().is_some() {
            emit(window, &mut grid.panes_of(number, opened))?;
        }
        let is_empty = state.update(|opened| {
            if is_removed {
                opened.drop_before(grid.first_pane(number.saturating_add(1)));
            } else {
                grid.register(grid.removal(window), number, call);
            }
            if fires {
                grid.arm_after(number, opened, call);
            }
            opened.is_empty()
        });
        if is_empty {
            state.clear();
        }
        Ok(())
    }
}

impl Grid {
    /// A record comes to `pane` whose windows may not have a timer.
    #[cold]
    fn arm<A: StateValue>(&self, stand: &Stand, pane: i64, opened: &mut Opened<Pane<A>>, call: &mut KeyedCall<'_>) {
        let (first, last) = (self.first_window(pane).max(stand.unfired), self.last_window(pane));
        if first > last {
            // All have fired: only their removal is left.
            self.register(self.removal(self.window(last)), last, call);
        } else if self.threshold(first) < opened.armed {
            self.set_timer(first, opened, call);
        }
    }

    /// The window has fired: the next one that has any records gets a timer.
    fn arm_after<A: StateValue>(&self, window: i64, opened: &mut Opened<Pane<A>>, call: &mut KeyedCall<'_>) {
        let next = window.saturating_add(1);
        let pane = opened.range(self.first_pane(next)..i64::MAX).map(|pane| pane.number).next();
        opened.armed = i64::MAX;
        if let Some(pane) = pane {
            self.set_timer(self.first_window(pane).max(next), opened, call);
        }
    }

    fn set_timer<A: StateValue>(&self, window: i64, opened: &mut Opened<Pane<A>>, call: &mut KeyedCall<'_>) {
        opened.armed = self.threshold(window);
        self.register(self.window(window).last(), window, call);
    }

    fn register(&self, time: i64, window: i64, call: &mut KeyedCall<'_>) {
        call.set_timer(self.domain, time, window.cast_unsigned(), true);
    }
}
