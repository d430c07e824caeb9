//! Builds the columns that an operator emits.

mod keep;
mod map_values;
mod passed;
mod side;

use std::{marker::PhantomData, sync::Arc};

pub use keep::Keep;
pub use map_values::MapValues;
pub(crate) use passed::Passed;
pub(crate) use side::Side;
pub use side::SideOutput;

use crate::{
    backend::Emit,
    batch::{Batch, KEY_ABSENT, NO_TIME, VALUE_ABSENT},
    codec::{Codec, CodecError},
};

/// Emitted rows are handed over when their columns reach this size, in bytes, and at the end of the call.
pub const BATCH_BYTES: usize = 256 * 1024;

/// Where an output's batches go.
#[derive(Clone)]
pub struct Port {
    pub(crate) index: u32,
    pub(crate) emit: Arc<dyn Emit>,
}

/// How an operator emits: [`Output`] for any number of rows, [`MapValues`] for the same rows with other values, [`Keep`] for some of
/// them as they are.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a way to emit",
    label = "not an output",
    note = "use `Output<Key, Value>` to emit rows, `MapValues<Value>` to give each row another value, or `Keep` to filter"
)]
pub trait OutputKind: Sized + 'static {
    /// The codec of the keys that are emitted where those of the input have codec `K`.
    type Key<K: Codec>: Codec;
    /// The codec of the values that are emitted where those of the input have codec `V`.
    type Value<V: Codec>: Codec;
    /// Whether keys and headers of the input are passed on.
    #[doc(hidden)]
    const PASSES: bool;

    #[doc(hidden)]
    fn new(port: Port) -> Self;

    /// A row or timer with this time begins.
    #[doc(hidden)]
    fn begin_row(&mut self, timestamp: i64);

    /// The row or timer is done.
    #[doc(hidden)]
    fn end_row(&mut self) -> Result<(), CodecError>;

    /// The call is done: hands over what is left.
    #[doc(hidden)]
    fn end(&mut self, input: Passed);

    /// The call failed: drops what is left.
    #[doc(hidden)]
    fn discard(&mut self);
}

/// Emits any number of rows. A codec `()` writes no column.
///
/// Rows keep the order in which they are emitted. Columns are built without an allocation a row, handed over whenever they
/// reach [`BATCH_BYTES`], and at the end of the call: `finish` may emit more than fits in memory.
pub struct Output<K: Codec, V: Codec> {
    port: Port,
    timestamp: i64,
    timestamps: Vec<i64>,
    keys: Builder<K>,
    values: Builder<V>,
    flags: Vec<u8>,
    failure: Option<CodecError>,
}

impl<K: Codec, V: Codec> Output<K, V> {
    /// Emits a row with the time of the record or timer that is being processed.
    #[inline]
    pub fn emit(&mut self, key: K::View<'_>, value: V::View<'_>) {
        self.push(self.timestamp, key, value);
    }

    /// Emits a row with a time of its own, milliseconds since the Unix epoch.
    #[inline]
    pub fn emit_at(&mut self, timestamp: i64, key: K::View<'_>, value: V::View<'_>) {
        self.push(timestamp, key, value);
    }

    #[inline]
    fn push(&mut self, timestamp: i64, key: K::View<'_>, value: V::View<'_>) {
        match (self.keys.push(key), self.values.push(value)) {
            (Ok(key), Ok(value)) => {
                self.timestamps.push(timestamp);
                if !(key && value && self.flags.is_empty()) {
                    self.flag(key, value);
                }
            }
            (Err(error), _) | (_, Err(error)) => self.fail(error),
        }
        if self.timestamps.len() * 16 + self.keys.bytes.len() + self.values.bytes.len() >= BATCH_BYTES {
            self.flush();
        }
    }

    #[cold]
    fn flag(&mut self, key: bool, value: bool) {
        self.flags.resize(self.timestamps.len() - 1, 0);
        self.flags.push(if key { 0 } else { KEY_ABSENT } | if value { 0 } else { VALUE_ABSENT });
    }

    #[cold]
    fn fail(&mut self, error: CodecError) {
        self.failure.get_or_insert(error);
    }

    /// Hands over the rows so far. After a failure they stay, to be discarded: the columns no longer fit together.
    #[inline(never)]
    fn flush(&mut self) {
        let rows = self.timestamps.len();
        if rows == 0 || self.failure.is_some() {
            return;
        }
        let timestamps = take(&mut self.timestamps);
        let (key_ends, keys) = self.keys.take(rows);
        let (value_ends, values) = self.values.take(rows);
        let flags = std::mem::take(&mut self.flags);
        let batch = Batch { timestamps, key_ends, keys, value_ends, values, flags, ..Batch::default() };
        self.port.emit.emit(self.port.index, batch);
    }
}

impl<K: Codec, V: Codec> OutputKind for Output<K, V> {
    type Key<Input: Codec> = K;
    type Value<Input: Codec> = V;
    const PASSES: bool = false;

    fn new(port: Port) -> Self {
        Output {
            port,
            timestamp: NO_TIME,
            timestamps: Vec::new(),
            keys: Builder::default(),
            values: Builder::default(),
            flags: Vec::new(),
            failure: None,
        }
    }

    #[inline(always)]
    fn begin_row(&mut self, timestamp: i64) {
        self.timestamp = timestamp;
    }

    #[inline(always)]
    fn end_row(&mut self) -> Result<(), CodecError> {
        if K::FALLIBLE || V::FALLIBLE || COLUMNS_MAY_OVERFLOW {
            return self.failure.take().map_or(Ok(()), Err);
        }
        Ok(())
    }

    fn end(&mut self, _: Passed) {
        self.flush();
        self.timestamp = NO_TIME;
    }

    fn discard(&mut self) {
        self.timestamps.clear();
        self.keys.clear();
        self.values.clear();
        self.flags.clear();
        self.failure = None;
    }
}

/// One column that is being built. Ends of a fixed width are made when the column is taken.
struct Builder<C> {
    bytes: Vec<u8>,
    ends: Vec<u32>,
    codec: PhantomData<fn() -> C>,
}

impl<C> Default for Builder<C> {
    fn default() -> Self {
        Builder { bytes: Vec::new(), ends: Vec::new(), codec: PhantomData }
    }
}

impl<C: Codec> Builder<C> {
    /// Adds an entry; false for a null. A column that is not written has no nulls either.
    #[inline(always)]
    fn push(&mut self, view: C::View<'_>) -> Result<bool, CodecError> {
        if !C::COLUMN {
            return Ok(true);
        }
        let present = C::encode(view, &mut self.bytes)?;
        self.end()?;
        Ok(present)
    }

    /// Ends the entry whose bytes were appended.
    #[inline(always)]
    fn end(&mut self) -> Result<(), CodecError> {
        if C::WIDTH == 0 {
            let end = u32::try_from(self.bytes.len()).map_err(|_| too_long())?;
            self.ends.push(end);
        }
        Ok(())
    }

    fn take(&mut self, rows: usize) -> (Vec<u32>, Vec<u8>) {
        if !C::COLUMN {
            return Default::default();
        }
        if C::WIDTH == 0 {
            return (take(&mut self.ends), take(&mut self.bytes));
        }
        ((1..=rows).map(|row| (row * C::WIDTH) as u32).collect(), take(&mut self.bytes))
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }
}

/// Whether a column can be longer than its ends can say: natively only, as a 32-bit memory holds none.
const COLUMNS_MAY_OVERFLOW: bool = usize::BITS > u32::BITS;

#[cold]
fn too_long() -> CodecError {
    CodecError::new("a column would be longer than 4 GiB")
}

/// The vector, and room in its place for about as much again.
fn take<T>(vector: &mut Vec<T>) -> Vec<T> {
    let room = vector.len() + vector.len() / 8;
    std::mem::replace(vector, Vec::with_capacity(room))
}
