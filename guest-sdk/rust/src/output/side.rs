//! Outputs beside the main one.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Output, OutputKind, Passed, Port};
use crate::codec::{Codec, CodecError};

/// Emits rows to an output of its own: late records, refused ones, another kind of result. Declared with
/// [`Setup::side_output`](crate::Setup::side_output) and kept as a field; a job file takes it as `"operator.name"`.
///
/// ```
/// use wasmill_sdk::{prelude::*, testing::Harness};
///
/// /// Passes on numbers, those below zero to an output of their own.
/// struct Signs {
///     negative: SideOutput<(), i64>,
/// }
///
/// #[operator]
/// impl RecordOperator for Signs {
///     type Key = ();
///     type Value = i64;
///     type Output = Output<(), i64>;
///
///     fn open(setup: &mut Setup) -> Result<Self> {
///         Ok(Signs { negative: setup.side_output("negative") })
///     }
///
///     fn process(&mut self, record: Record<'_, (), i64>, _: &mut Call<'_>, out: &mut Self::Output) -> Result<()> {
///         match record.value {
///             ..0 => self.negative.emit_at(record.timestamp().unwrap_or(0), (), record.value),
///             _ => out.emit((), record.value),
///         }
///         Ok(())
///     }
/// }
///
/// let mut harness = Harness::<Signs>::open("{}").unwrap();
/// for number in [1, -2, 3] {
///     harness.push((), number, 7).unwrap();
/// }
/// assert_eq!(harness.side_output::<(), i64>("negative"), [((), -2, Some(7))]);
/// assert_eq!(harness.output(), [((), 1, Some(7)), ((), 3, Some(7))]);
/// ```
///
/// Rows are handed over at the end of the call, or before when there are many; a call that fails drops them. Between outputs there is
/// no order.
pub struct SideOutput<K: Codec, V: Codec> {
    rows: Arc<Mutex<Output<K, V>>>,
}

impl<K: Codec, V: Codec> SideOutput<K, V> {
    pub(crate) fn new(port: Port) -> Self {
        SideOutput { rows: Arc::new(Mutex::new(Output::new(port))) }
    }

    /// What ends its calls.
    pub(crate) fn side(&self) -> Side {
        Side(self.rows.clone())
    }

    /// Emits a row with a time, milliseconds since the Unix epoch.
    pub fn emit_at(&mut self, timestamp: i64, key: K::View<'_>, value: V::View<'_>) {
        lock(&*self.rows).emit_at(timestamp, key, value);
    }
}

/// A side output of any type, as what runs an operator knows it.
pub(crate) struct Side(Arc<Mutex<dyn Rows>>);

impl Side {
    /// The call is done: hands over what is left.
    ///
    /// # Errors
    /// What has no encoding.
    pub(crate) fn end(&self) -> Result<(), CodecError> {
        lock(&*self.0).end_call()
    }

    /// The call failed: drops what is left.
    pub(crate) fn discard(&self) {
        lock(&*self.0).discard_call();
    }
}

trait Rows: Send {
    fn end_call(&mut self) -> Result<(), CodecError>;
    fn discard_call(&mut self);
}

impl<K: Codec, V: Codec> Rows for Output<K, V> {
    fn end_call(&mut self) -> Result<(), CodecError> {
        self.end_row()?;
        self.end(Passed::default());
        Ok(())
    }

    fn discard_call(&mut self) {
        self.discard();
    }
}

fn lock<T: ?Sized>(rows: &Mutex<T>) -> MutexGuard<'_, T> {
    rows.lock().unwrap_or_else(PoisonError::into_inner)
}
