//! Decides which entries make room where the cache is over its bound.

use super::{ColumnCost, Directory, Slot, States, cache::each};
use crate::{call::Call, error::Result};

/// How many keys are dropped at a time.
const AT_ONCE: usize = 256;

/// The hand of a clock: it goes round over the slots, and drops those that were not used since it came by last. Until the
/// cache was over its bound once, it does not look at what is used.
#[derive(Debug, Default)]
pub(super) struct Hand {
    at: usize,
    is_needed: bool,
    used: Vec<bool>,
}

impl Hand {
    /// Notes that the keys at `slots` are used.
    #[inline]
    pub(super) fn touch(&mut self, slots: &[Slot]) {
        if self.is_needed {
            for slot in slots {
                let at = slot.0 as usize;
                if at >= self.used.len() {
                    self.used.resize(at + 1, false);
                }
                self.used[at] = true;
            }
        }
    }

    /// Drops keys until the cache takes at most `bound` bytes; whether there were any.
    pub(super) fn evict(
        &mut self,
        directory: &mut Directory,
        call: &mut Call<'_>,
        states: &mut dyn States,
        bound: usize,
    ) -> Result<bool> {
        let mut dropped = Vec::new();
        while directory.len() > 0 {
            let mut cost = ColumnCost { slot: 1, beside: directory.bytes() };
            states.visit(&mut |state| {
                let column = state.cost();
                cost = ColumnCost { slot: cost.slot + column.slot, beside: cost.beside + column.beside };
            });
            let bytes = cost.slot * directory.len() + cost.beside;
            if bytes <= bound {
                break;
            }
            // Not more than is needed, going by the average.
            let each = bytes / directory.len() + 1;
            let wanted = (bytes - bound).div_ceil(each).clamp(1, AT_ONCE).min(directory.len());
            dropped.clear();
            self.choose(directory, wanted, &mut dropped);
            each_evicted(directory, call, states, &dropped)?;
            self.is_needed = true;
        }
        if !dropped.is_empty() {
            directory.tidy();
        }
        Ok(!dropped.is_empty())
    }

    fn choose(&mut self, directory: &Directory, wanted: usize, chosen: &mut Vec<u32>) {
        self.used.resize(directory.slots(), false);
        // Twice round at most: the first time takes the mark off.
        let mut visits = 2 * directory.slots() + 1;
        while chosen.len() < wanted && visits > 0 {
            visits -= 1;
            self.at = if self.at + 1 >= directory.slots() { 0 } else { self.at + 1 };
            let slot = self.at as u32;
            if chosen.first() == Some(&slot) {
                break;
            }
            if !std::mem::take(&mut self.used[self.at]) && directory.is_held(slot) {
                chosen.push(slot);
            }
        }
    }
}

fn each_evicted(directory: &mut Directory, call: &mut Call<'_>, states: &mut dyn States, slots: &[u32]) -> Result {
    each(states, |state| state.evict(call, directory, slots))?;
    slots.iter().for_each(|&slot| directory.remove(slot));
    Ok(())
}
