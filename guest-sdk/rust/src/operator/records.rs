//! Runs an operator that takes records one by one and keeps no keyed state.

use super::{BatchOperator, TypedOperator};
use crate::{
    batch::{Batch, NO_TIME},
    call::Call,
    codec::{Codec, CodecError},
    error::{Error, Result},
    output::OutputKind,
    record::Record,
    setup::Setup,
};

/// An operator that takes records one by one and keeps no keyed state.
///
/// ```
/// use serde::Deserialize;
/// use wasmill_sdk::{prelude::*, testing::Harness};
///
/// #[derive(Deserialize)]
/// #[serde(deny_unknown_fields)]
/// struct Config {
///     least: f64,
/// }
///
/// /// Keeps records of at least a value.
/// struct AtLeast(Config);
///
/// #[operator]
/// impl RecordOperator for AtLeast {
///     type Key = Text;
///     type Value = f64;
///     type Output = MapValues<f64>;
///
///     fn open(setup: &mut Setup) -> Result<Self> {
///         Ok(AtLeast(setup.config()?))
///     }
///
///     fn process(&mut self, record: Record<'_, Text, f64>, _: &mut Call<'_>, out: &mut MapValues<f64>) -> Result<()> {
///         if record.value >= self.0.least {
///             out.set(record.value);
///         }
///         Ok(())
///     }
/// }
///
/// let mut harness = Harness::<AtLeast>::open(r#"{"least": 0.5}"#).unwrap();
/// harness.push("a", 0.25, 1).unwrap();
/// harness.push("b", 0.75, 2).unwrap();
/// assert_eq!(harness.output(), [("b".to_string(), 0.75, Some(2))]);
/// ```
pub trait RecordOperator: Sized + 'static {
    /// The codec of keys; `()` does not read them.
    type Key: Codec;
    /// The codec of values; `()` does not read them.
    type Value: Codec;
    /// How it emits: [`Output`](crate::Output) or [`MapValues`](crate::MapValues).
    type Output: OutputKind;

    /// Reads the configuration and makes the operator. Called to describe it and to start it.
    ///
    /// # Errors
    /// The job's.
    fn open(setup: &mut Setup) -> Result<Self>;

    /// Takes one record.
    ///
    /// # Errors
    /// What is at fault: by default, and for any error that `?` converts, the record.
    fn process(
        &mut self,
        record: Record<'_, Self::Key, Self::Value>,
        call: &mut Call<'_>,
        out: &mut Self::Output,
    ) -> Result<()>;

    /// The input has ended: emits what is left.
    ///
    /// # Errors
    /// The batch's or the job's.
    fn finish(&mut self, call: &mut Call<'_>, out: &mut Self::Output) -> Result<()> {
        let _ = (call, out);
        Ok(())
    }
}

/// Runs a [`RecordOperator`].
pub struct Records<O: RecordOperator> {
    operator: O,
    out: O::Output,
}

impl<O: RecordOperator> Records<O> {
    #[inline(never)]
    fn each_record(&mut self, call: &mut Call<'_>, batch: &Batch) -> Result {
        let rows = batch.rows();
        let mut keys = O::Key::rows(batch.key_column(), rows);
        let mut values = O::Value::rows(batch.value_column(), rows);
        for row in 0..rows {
            let key = next(keys.next(), "key", row)?;
            let value = next(values.next(), "value", row)?;
            let timestamp = batch.timestamps.get(row).copied().unwrap_or(NO_TIME);
            let (key, value) = (O::Key::view(&key), O::Value::view(&value));
            self.out.begin_row(timestamp);
            let record = Record { key, value, timestamp, row, batch };
            self.operator.process(record, call, &mut self.out).map_err(|error| error.at_row(row))?;
            self.out.end_row().map_err(|error| unwritable(error, row))?;
        }
        Ok(())
    }
}

/// The next entry of a column, or the error of its row.
#[inline(always)]
pub(crate) fn next<T>(entry: Option<Result<T, CodecError>>, column: &str, row: usize) -> Result<T> {
    match entry {
        Some(Ok(entry)) => Ok(entry),
        Some(Err(error)) => Err(unreadable(column, &error, row)),
        None => Err(missing(column)),
    }
}

#[cold]
fn unreadable(column: &str, error: &CodecError, row: usize) -> Error {
    Error::Record { row: Some(row as u32), message: format!("the {column} cannot be read: {error}") }
}

#[cold]
pub(super) fn missing(column: &str) -> Error {
    Error::Batch(format!("the batch has too few {column}s"))
}

#[cold]
pub(super) fn unwritable(error: CodecError, row: usize) -> Error {
    Error::Record { row: Some(row as u32), message: format!("what it emits has no encoding: {error}") }
}

impl<O: RecordOperator> BatchOperator for Records<O> {
    fn open(setup: &mut Setup) -> Result<Self> {
        let out = setup.typed::<O::Key, O::Value, O::Output>(false);
        Ok(Records { operator: O::open(setup)?, out })
    }

    fn process(&mut self, call: &mut Call<'_>, _: u32, batch: Batch) -> Result<()> {
        let result = self.each_record(call, &batch);
        match result {
            Ok(()) => self.out.end(batch.into()),
            Err(_) => self.out.discard(),
        }
        result
    }

    fn finish(&mut self, call: &mut Call<'_>) -> Result<()> {
        self.out.begin_row(NO_TIME);
        self.operator.finish(call, &mut self.out)?;
        self.out.end_row().map_err(|error| Error::Batch(error.to_string()))?;
        self.out.end(Batch::default().into());
        Ok(())
    }
}

impl<O: RecordOperator> TypedOperator for Records<O> {
    type Key = O::Key;
    type Value = O::Value;
    type OutKey = <O::Output as OutputKind>::Key<O::Key>;
    type OutValue = <O::Output as OutputKind>::Value<O::Value>;
}
