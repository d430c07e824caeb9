//! Holds one window that has what it gathered for itself, and what its trigger knows of it.

use super::super::{
    Window,
    open::{Entry, number, value, write_number, write_value},
};
use crate::{
    backend::TimeDomain,
    codec::{CodecError, StateValue},
};

/// A timer that a trigger has set.
pub(crate) type Pending = (TimeDomain, i64);

/// A window, as it is held in state.
#[derive(Debug)]
pub(crate) struct Held<A: StateValue> {
    pub(crate) window: Window,
    /// When the window is to be looked at next, for its own sake and not for its trigger's.
    pub(crate) timer: Option<i64>,
    /// The trigger's.
    pub(crate) number: i64,
    /// The trigger's, each once.
    pub(crate) pending: Vec<Pending>,
    /// How many records it has gathered.
    pub(crate) rows: u64,
    pub(crate) gathered: Option<A::Owned>,
}

impl<A: StateValue> Held<A> {
    pub(crate) fn new(window: Window) -> Held<A> {
        Held { window, timer: None, number: 0, pending: Vec::new(), rows: 0, gathered: None }
    }

    pub(crate) fn purge(&mut self) {
        (self.rows, self.gathered) = (0, None);
    }

    /// Whether nothing would be lost with it.
    pub(crate) fn is_idle(&self) -> bool {
        self.gathered.is_none() && self.number == 0 && self.pending.is_empty() && self.timer.is_none()
    }
}

impl<A: StateValue> Entry for Held<A> {
    type Accumulator = A;

    #[inline(always)]
    fn place(&self) -> i64 {
        self.window.start
    }

    fn gathered(&self) -> Option<&A::Owned> {
        self.gathered.as_ref()
    }

    fn write(&self, out: &mut Vec<u8>) -> Result<(), CodecError> {
        write_number(out, self.window.start)?;
        write_number(out, self.window.end)?;
        write_number(out, self.timer)?;
        write_number(out, self.number)?;
        write_number(out, self.pending.len() as u64)?;
        for &(domain, time) in &self.pending {
            write_number(out, domain == TimeDomain::EventTime)?;
            write_number(out, time)?;
        }
        write_number(out, self.rows)?;
        write_number(out, self.gathered.is_some())?;
        self.gathered.as_ref().map_or(Ok(()), |gathered| write_value::<A>(A::borrow(gathered), out))
    }

    fn read(bytes: &mut &[u8]) -> Result<Self, CodecError> {
        let window = Window { start: number(bytes)?, end: number(bytes)? };
        let (timer, of_trigger, count) = (number(bytes)?, number(bytes)?, number::<u64>(bytes)?);
        let mut pending = Vec::new();
        for _ in 0..count {
            let is_event = number::<bool>(bytes)?;
            let domain = if is_event { TimeDomain::EventTime } else { TimeDomain::ProcessingTime };
            pending.push((domain, number(bytes)?));
        }
        let rows = number(bytes)?;
        let gathered = if number::<bool>(bytes)? { Some(value::<A>(bytes)?) } else { None };
        Ok(Held { window, timer, number: of_trigger, pending, rows, gathered })
    }
}
