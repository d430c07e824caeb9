//! Holds the versions of a key of a table, and finds the one that was valid at a time.

use std::collections::VecDeque;

use crate::{
    call::KeyedCall,
    codec::Bytes,
    error::Result,
    ordered::rows::{PAGE_BYTES, mark, unmark},
    setup::Setup,
    state::{Cursor, MapState, Slot, State, StateColumn},
};

/// Bytes of a map that are read first: few versions are kept of most keys.
const FIRST_BYTES: u32 = 1024;

/// State with the versions of a key, by the time from which each is valid.
pub(super) struct Versions {
    map: MapState<i64, Bytes>,
}

/// Goes over the versions of a key in the order of time.
pub(super) struct Walk {
    /// The last version that was passed, its value marked.
    passed: Option<(i64, Vec<u8>)>,
    read: VecDeque<(i64, Vec<u8>)>,
    next: Option<Cursor>,
    bytes: u32,
}

impl Walk {
    /// The version that is valid: its time and the bytes of its value. `None` where the last one was ended by a null.
    pub(super) fn valid(&self) -> Option<(i64, Option<&[u8]>)> {
        let (time, marked) = self.passed.as_ref()?;
        unmark(marked).map(|value| (*time, Some(value)))
    }
}

impl Versions {
    pub(super) fn new(setup: &mut Setup, name: &str) -> Versions {
        Versions { map: setup.map_state(name) }
    }

    /// Adds a version, in place of one of the same time.
    pub(super) fn put(&mut self, time: i64, value: Option<&[u8]>) {
        self.map.put(time, mark(value));
    }

    /// Begins before the first version.
    pub(super) fn walk(&self) -> Walk {
        Walk { passed: None, read: VecDeque::new(), next: Some(Cursor::first()), bytes: FIRST_BYTES }
    }

    /// Passes the versions up to `time`.
    ///
    /// # Errors
    /// The job's, when what is stored cannot be read.
    pub(super) fn go_to(&mut self, time: i64, walk: &mut Walk, call: &mut KeyedCall<'_>) -> Result {
        loop {
            while walk.read.front().is_some_and(|(version, _)| *version <= time) {
                walk.passed = walk.read.pop_front();
            }
            let Some(cursor) = walk.next.take_if(|_| walk.read.is_empty()) else { return Ok(()) };
            let page = self.map.scan(call, &cursor, walk.bytes)?;
            for entry in page.iter() {
                let (version, marked) = entry?;
                walk.read.push_back((version, marked.to_vec()));
            }
            walk.next = page.next();
            walk.bytes = walk.bytes.saturating_mul(2).min(PAGE_BYTES);
        }
    }

    /// Removes versions that ended before the watermark: all up to it but the last. When that is to be done again.
    ///
    /// # Errors
    /// The job's, when what is stored cannot be read.
    pub(super) fn clean(&mut self, call: &mut KeyedCall<'_>) -> Result<Option<i64>> {
        let (watermark, mut before) = (call.watermark(), None);
        let (mut next, mut bytes) = (Some(Cursor::first()), FIRST_BYTES);
        while let Some(cursor) = next {
            let page = self.map.scan(call, &cursor, bytes)?;
            for entry in page.iter() {
                let (time, _) = entry?;
                if time > watermark {
                    return Ok(Some(time));
                }
                if let Some(before) = before.replace(time) {
                    self.map.remove(before);
                }
            }
            next = page.next();
            bytes = bytes.saturating_mul(2).min(PAGE_BYTES);
        }
        Ok(None)
    }

    #[inline(always)]
    pub(super) fn select(&mut self, slot: Slot) {
        self.map.select(slot);
    }

    pub(super) fn column(&mut self) -> &mut dyn StateColumn {
        self.map.column()
    }
}
