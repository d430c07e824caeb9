//! Decides on which pane a time falls, and from when until when a pane is.
//!
//! Panes are numbered: pane 0 begins at the epoch, or at the offset after it, by the clock of the time zone if there is one.

#[cfg(feature = "time-zones")]
use super::zone::Zone;
use crate::error::Result;

/// Where panes of one length lie.
pub(crate) struct Calendar {
    length: i64,
    /// Not negative.
    offset: i64,
    #[cfg(feature = "time-zones")]
    zone: Option<Zone>,
    /// The pane that was asked for last: its first and last millisecond, and its number.
    last: (i64, i64, i64),
}

impl Calendar {
    /// Panes of `length` milliseconds, the first of which begins at `offset`; `length` is at least 1, `offset` at least 0.
    ///
    /// # Errors
    /// The job's, when there is no such time zone.
    pub(crate) fn new(length: i64, offset: i64, zone: Option<&str>) -> Result<Calendar> {
        #[cfg(feature = "time-zones")]
        let zone = zone.map(Zone::new).transpose()?;
        #[cfg(not(feature = "time-zones"))]
        let _ = zone;
        Ok(Calendar {
            length,
            offset,
            #[cfg(feature = "time-zones")]
            zone,
            last: (i64::MAX, i64::MIN, 0),
        })
    }

    /// The number of the pane that `time` is in.
    #[inline(always)]
    pub(crate) fn pane(&mut self, time: i64) -> i64 {
        let (first, last, pane) = self.last;
        if first <= time && time <= last { pane } else { self.find(time) }
    }

    #[inline(never)]
    fn find(&mut self, time: i64) -> i64 {
        #[cfg(feature = "time-zones")]
        let pane = match &mut self.zone {
            Some(zone) => {
                let local = zone.local(time);
                let mut pane = self.floor(local);
                // Where clocks go back, the hour that comes twice belongs to the pane that it began in the first time.
                while self.start(pane + 1) <= time && self.start(pane + 1) < i64::MAX {
                    pane += 1;
                }
                pane
            }
            None => self.floor(time),
        };
        #[cfg(not(feature = "time-zones"))]
        let pane = self.floor(time);
        let last = match self.start(pane.saturating_add(1)) {
            i64::MAX => i64::MAX,
            next => next - 1,
        };
        self.last = (self.start(pane), last, pane);
        pane
    }

    /// Neither number is that of no pane: those at the ends of `i64` are left free.
    #[inline]
    fn floor(&self, time: i64) -> i64 {
        let pane = match time.checked_sub(self.offset) {
            Some(after) => after.div_euclid(self.length),
            None => i64::MIN.div_euclid(self.length).saturating_sub(self.offset / self.length).saturating_sub(1),
        };
        pane.clamp(-i64::MAX, i64::MAX - 1)
    }

    /// When pane number `pane` begins, which is when the one before it ends; at the bounds of `i64` what lies beyond them.
    pub(crate) fn start(&self, pane: i64) -> i64 {
        let start = i128::from(pane) * i128::from(self.length) + i128::from(self.offset);
        let start = start.clamp(i64::MIN.into(), i64::MAX.into()) as i64;
        #[cfg(feature = "time-zones")]
        if let Some(zone) = &self.zone {
            return zone.instant(start);
        }
        start
    }
}
