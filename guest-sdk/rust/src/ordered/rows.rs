//! Holds rows of a key in state until the watermark has passed them, sorted by time, and those of one time by their bytes.

use serde::{Deserialize, Serialize};

use crate::{
    batch::NO_TIME,
    call::KeyedCall,
    codec::{Bytes, Codec, Postcard},
    error::{Error, Result},
    record::Record,
    setup::Setup,
    state::{Cursor, MapState, Slot, State, StateColumn, ValueState},
};

/// The tag of the timer that a key has for its rows.
pub(crate) const ROWS_TIMER: u64 = u64::MAX;

/// Bytes of a map that are read at a time.
pub(crate) const PAGE_BYTES: u32 = 64 * 1024;

/// What comes before the bytes of a value in state.
const PRESENT: u8 = 1;
/// What stands for a null.
const NULL: u8 = 0;

/// Time, marked bytes and what tells rows apart that are the same.
type Place = (i64, Bytes, u64);

/// The bytes of a value as they are kept, which tell null from empty.
pub(crate) fn mark(value: Option<&[u8]>) -> Vec<u8> {
    match value {
        Some(value) => [&[PRESENT], value].concat(),
        None => vec![NULL],
    }
}

/// The bytes of a value that was kept.
pub(crate) fn unmark(marked: &[u8]) -> Option<&[u8]> {
    match marked {
        [PRESENT, value @ ..] => Some(value),
        _ => None,
    }
}

/// Decodes the bytes of a value that was kept.
///
/// # Errors
/// The job's.
pub(crate) fn decode<V: Codec>(value: Option<&[u8]>) -> Result<V::Decoded<'_>> {
    V::decode(value)
        .map_err(|error| Error::job(format_args!("a row in state cannot be read as the codec of its values: {error}")))
}

/// The event time of a record.
///
/// # Errors
/// The record's, when it has none.
#[inline(always)]
pub(crate) fn time_of<K: Codec, V: Codec>(record: &Record<'_, K, V>) -> Result<i64> {
    if record.timestamp == NO_TIME { Err(no_time()) } else { Ok(record.timestamp) }
}

#[cold]
fn no_time() -> Error {
    Error::record("it has no event time: name the field that holds it in the source's `event-time` table")
}

/// What is known of the rows of a key; a key without rows has none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Head {
    /// How many there are.
    pub(crate) rows: u64,
    /// The number of the next one.
    pub(crate) sequence: u64,
    /// When the key's timer fires.
    pub(crate) armed: Option<i64>,
}

impl Head {
    /// Counts a row; its number.
    pub(crate) fn add(&mut self) -> u64 {
        self.rows += 1;
        self.sequence = self.sequence.wrapping_add(1);
        self.sequence
    }

    /// Has the key's timer fire at `time`, unless it does so earlier.
    pub(crate) fn arm_by(&mut self, time: i64, call: &mut KeyedCall<'_>) {
        if self.armed.is_none_or(|armed| time < armed) {
            self.arm(Some(time), call);
        }
    }

    /// Has the key's timer fire at `time`.
    pub(crate) fn arm(&mut self, time: Option<i64>, call: &mut KeyedCall<'_>) {
        if time == self.armed {
            return;
        }
        if let Some(armed) = self.armed {
            call.delete_event_timer(armed, ROWS_TIMER);
        }
        if let Some(time) = time {
            call.register_event_timer(time, ROWS_TIMER);
        }
        self.armed = time;
    }
}

/// State with a [`Head`] a key.
pub(crate) struct Heads(ValueState<Postcard<Head>>);

impl Heads {
    pub(crate) fn new(setup: &mut Setup, name: &str) -> Heads {
        Heads(setup.value_state(name))
    }

    pub(crate) fn get(&self) -> Head {
        self.0.get().copied().unwrap_or_default()
    }

    pub(crate) fn set(&mut self, head: Head) {
        match head.rows > 0 || head.armed.is_some() {
            true => self.0.set(head),
            false => self.0.clear(),
        }
    }

    #[inline(always)]
    pub(crate) fn select(&mut self, slot: Slot) {
        self.0.select(slot);
    }

    pub(crate) fn column(&mut self) -> &mut dyn StateColumn {
        self.0.column()
    }
}

/// A row that was kept.
pub(crate) struct SortedRow {
    pub(crate) time: i64,
    marked: Vec<u8>,
    sequence: u64,
}

impl SortedRow {
    /// The bytes of its value; `None` where it is null.
    pub(crate) fn value(&self) -> Option<&[u8]> {
        unmark(&self.marked)
    }
}

/// Rows, and where those that come after them begin.
pub(crate) struct SortedPage {
    pub(crate) rows: Vec<SortedRow>,
    pub(crate) next: Option<Cursor>,
}

/// State with the rows of a key.
pub(crate) struct SortedRows {
    map: MapState<Place, Bytes>,
}

impl SortedRows {
    pub(crate) fn new(setup: &mut Setup, name: &str) -> SortedRows {
        SortedRows { map: setup.map_state(name) }
    }

    /// Adds a row; `sequence` is that of no other.
    pub(crate) fn add(&mut self, time: i64, value: Option<&[u8]>, sequence: u64) {
        self.map.put((time, &mark(value), sequence), Vec::new());
    }

    pub(crate) fn remove(&mut self, row: &SortedRow) {
        self.map.remove((row.time, &row.marked, row.sequence));
    }

    /// Where the rows of `time` and later ones begin.
    pub(crate) fn at(time: i64) -> Cursor {
        Cursor::at::<Place>((time, &[], 0))
    }

    /// Some rows from `cursor` on, none of them after `last`.
    ///
    /// # Errors
    /// The job's, when what is stored cannot be read.
    pub(crate) fn page(&mut self, call: &mut KeyedCall<'_>, cursor: &Cursor, last: i64) -> Result<SortedPage> {
        let page = self.map.scan(call, cursor, PAGE_BYTES)?;
        let (mut rows, mut next) = (Vec::with_capacity(page.len()), page.next());
        for entry in page.iter() {
            let ((time, marked, sequence), _) = entry?;
            if time > last {
                next = None;
                break;
            }
            rows.push(SortedRow { time, marked, sequence });
        }
        Ok(SortedPage { rows, next })
    }

    /// The time of the first row at `time` or later.
    ///
    /// # Errors
    /// The job's, when what is stored cannot be read.
    pub(crate) fn first_from(&mut self, call: &mut KeyedCall<'_>, time: i64) -> Result<Option<i64>> {
        let page = self.map.scan(call, &Self::at(time), 1)?;
        page.iter().next().map(|entry| Ok(entry?.0.0)).transpose()
    }

    /// Removes rows from `first` to `last`; how many.
    ///
    /// # Errors
    /// The job's, when what is stored cannot be read.
    pub(crate) fn remove_range(&mut self, call: &mut KeyedCall<'_>, first: i64, last: i64) -> Result<u64> {
        let (mut removed, mut next) = (0, Some(Self::at(first)));
        while let Some(cursor) = next {
            let page = self.page(call, &cursor, last)?;
            page.rows.iter().for_each(|row| self.remove(row));
            removed += page.rows.len() as u64;
            next = page.next;
        }
        Ok(removed)
    }

    #[inline(always)]
    pub(crate) fn select(&mut self, slot: Slot) {
        self.map.select(slot);
    }

    pub(crate) fn column(&mut self) -> &mut dyn StateColumn {
        self.map.column()
    }
}
