//! Runs an operator that is given all rows of a window when it fires.

use std::marker::PhantomData;

use super::{
    Window, WindowOperator, Windows,
    open::{number, write_number},
};
use crate::{
    batch::NO_TIME,
    codec::{ByRow, Codec, CodecError, Format, StateValue},
    column::Column,
    error::{Error, Result},
    output::OutputKind,
    record::Record,
    setup::Setup,
};

/// An operator that gathers the records of a key in windows and is given all rows of a window when it fires: for what cannot be
/// gathered in an accumulator, such as medians. Its input is keyed. Rows take memory and state until their window is removed; use
/// a [`WindowOperator`] where an accumulator will do.
///
/// ```
/// use std::time::Duration;
/// use wasmill_sdk::{prelude::*, testing::Harness, window::Rows};
///
/// /// The median of each sensor's readings in ten seconds.
/// struct Median;
///
/// #[operator]
/// impl ProcessWindowOperator for Median {
///     type Key = u64;
///     type Value = f64;
///     type Output = Output<u64, f64>;
///
///     fn open(_: &mut Setup) -> Result<(Self, Windows)> {
///         Ok((Median, Windows::tumbling(Duration::from_secs(10))))
///     }
///
///     fn process(&mut self, sensor: u64, _: Window, rows: Rows<'_, f64>, out: &mut Self::Output) -> Result<()> {
///         let mut readings: Vec<f64> = rows.map(|row| row.map(|row| row.value)).collect::<Result<_>>()?;
///         readings.sort_by(f64::total_cmp);
///         out.emit(sensor, readings[readings.len() / 2]);
///         Ok(())
///     }
/// }
///
/// let mut harness = Harness::<Median>::open("{}").unwrap();
/// for (reading, time) in [(3.0, 1), (9.0, 2), (1.0, 3)] {
///     harness.push(1, reading, time).unwrap();
/// }
/// harness.finish().unwrap();
/// assert_eq!(harness.output(), [(1, 3.0, Some(9_999))]);
/// ```
pub trait ProcessWindowOperator: Sized + 'static {
    /// The codec of keys.
    type Key: Codec;
    /// The codec of values.
    type Value: Codec;
    /// How it emits: [`Output`](crate::Output).
    type Output: OutputKind;

    /// Reads the configuration and makes the operator; says which windows there are. Called to describe it and to start it.
    ///
    /// # Errors
    /// The job's.
    fn open(setup: &mut Setup) -> Result<(Self, Windows)>;

    /// Takes all rows of a window, at least one. Rows that are emitted without a time have that of the window's last
    /// millisecond.
    ///
    /// # Errors
    /// The batch's or the job's.
    fn process(
        &mut self,
        key: <Self::Key as Codec>::View<'_>,
        window: Window,
        rows: Rows<'_, Self::Value>,
        out: &mut Self::Output,
    ) -> Result<()>;
}

/// A row of a window.
#[derive(Debug)]
pub struct WindowRow<'a, V: Codec> {
    /// Event time in milliseconds since the Unix epoch, if it has one.
    pub timestamp: Option<i64>,
    /// Its value.
    pub value: V::Decoded<'a>,
}

/// All rows of a window in the order of their event times; rows of one time are in the order of the bytes of their values, so
/// that it does not matter which came first.
pub struct Rows<'a, V> {
    rows: std::vec::IntoIter<(i64, Option<&'a [u8]>)>,
    codec: PhantomData<fn() -> V>,
}

impl<'a, V> Rows<'a, V> {
    fn new(list: &'a RowList) -> Rows<'a, V> {
        let column = Column { ends: &list.ends, bytes: &list.bytes, flags: &[], absent: 0 };
        let value = |row: usize| column.get(row).filter(|_| !list.nulls.contains(&(row as u32)));
        let mut rows: Vec<_> = list.timestamps.iter().enumerate().map(|(row, &time)| (time, value(row))).collect();
        rows.sort();
        Rows { rows: rows.into_iter(), codec: PhantomData }
    }
}

impl<'a, V: Codec> Iterator for Rows<'a, V> {
    /// The batch's error where a row's bytes do not fit their codec.
    type Item = Result<WindowRow<'a, V>>;

    fn next(&mut self) -> Option<Self::Item> {
        let (timestamp, bytes) = self.rows.next()?;
        let value = V::decode(bytes).map_err(|error| Error::batch(format_args!("a row of a window: {error}")));
        Some(value.map(|value| WindowRow { timestamp: (timestamp != NO_TIME).then_some(timestamp), value }))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.rows.size_hint()
    }
}

impl<V: Codec> ExactSizeIterator for Rows<'_, V> {}

/// The rows of a window, encoded.
#[derive(Debug, Default)]
pub struct RowList {
    timestamps: Vec<i64>,
    ends: Vec<u32>,
    bytes: Vec<u8>,
    /// Rows whose value is null.
    nulls: Vec<u32>,
}

impl RowList {
    fn push<V: Codec>(&mut self, timestamp: i64, value: V::View<'_>) -> Result<(), CodecError> {
        if !V::encode(value, &mut self.bytes)? && V::COLUMN {
            self.nulls.push(self.timestamps.len() as u32);
        }
        self.end(timestamp)
    }

    fn end(&mut self, timestamp: i64) -> Result<(), CodecError> {
        let end = u32::try_from(self.bytes.len());
        self.ends.push(end.map_err(|_| CodecError::new("the rows of a window would take more than 4 GiB"))?);
        self.timestamps.push(timestamp);
        Ok(())
    }

    fn append(&mut self, other: &RowList) -> Result<(), CodecError> {
        let (rows, bytes) = (self.timestamps.len() as u32, self.bytes.len() as u32);
        if u32::try_from(self.bytes.len() + other.bytes.len()).is_err() {
            return Err(CodecError::new("the rows of a window would take more than 4 GiB"));
        }
        self.bytes.extend_from_slice(&other.bytes);
        self.ends.extend(other.ends.iter().map(|end| end + bytes));
        self.timestamps.extend_from_slice(&other.timestamps);
        self.nulls.extend(other.nulls.iter().map(|row| row + rows));
        Ok(())
    }
}

/// The codec of [`RowList`]: the number of rows, then of each its time, whether it is null, its length and its bytes.
#[derive(Debug)]
pub struct RowLists<V>(PhantomData<fn() -> V>);

impl<V: Codec> Codec for RowLists<V> {
    type View<'a> = &'a RowList;
    type Decoded<'a> = RowList;
    type Owned = RowList;
    type Rows<'a> = ByRow<'a, RowLists<V>>;

    fn format() -> Format {
        let Format { name, schema } = V::format();
        let of = if schema.is_empty() { name } else { format!("{name} {schema}") };
        Format { name: "rows".to_string(), schema: of }
    }

    fn rows(column: Column<'_>, rows: usize) -> Self::Rows<'_> {
        ByRow::new(column, rows)
    }

    fn decode(bytes: Option<&[u8]>) -> Result<RowList, CodecError> {
        let mut rest = bytes.ok_or_else(CodecError::null)?;
        let mut list = RowList::default();
        for row in 0..number::<u32>(&mut rest)? {
            let timestamp = number(&mut rest)?;
            if number::<bool>(&mut rest)? {
                list.nulls.push(row);
            }
            let length = number::<u32>(&mut rest)? as usize;
            let Some((value, after)) = rest.split_at_checked(length) else {
                return Err(CodecError::new("the rows of a window end too early"));
            };
            list.bytes.extend_from_slice(value);
            list.end(timestamp)?;
            rest = after;
        }
        if rest.is_empty() { Ok(list) } else { Err(CodecError::new("bytes are left over after the rows of a window")) }
    }

    fn view(decoded: &RowList) -> &RowList {
        decoded
    }

    fn own(decoded: RowList) -> RowList {
        decoded
    }

    fn borrow(owned: &RowList) -> &RowList {
        owned
    }

    fn encode(list: &RowList, out: &mut Vec<u8>) -> Result<bool, CodecError> {
        write_number(out, list.timestamps.len() as u64)?;
        let column = Column { ends: &list.ends, bytes: &list.bytes, flags: &[], absent: 0 };
        let mut nulls = list.nulls.iter().peekable();
        for (row, timestamp) in list.timestamps.iter().enumerate() {
            let value = column.get(row).unwrap_or_default();
            write_number(out, timestamp)?;
            write_number(out, nulls.next_if(|null| **null as usize == row).is_some())?;
            write_number(out, value.len() as u64)?;
            out.extend_from_slice(value);
        }
        Ok(true)
    }
}

impl<V: Codec> StateValue for RowLists<V> {
    fn weight(list: &RowList) -> usize {
        list.timestamps.capacity() * 8 + (list.ends.capacity() + list.nulls.capacity()) * 4 + list.bytes.capacity()
    }
}

/// Gathers the rows of windows for a [`ProcessWindowOperator`].
pub struct AllRows<O>(O);

impl<O: ProcessWindowOperator> WindowOperator for AllRows<O> {
    type Key = O::Key;
    type Value = O::Value;
    type Accumulator = RowLists<O::Value>;
    type Output = O::Output;

    fn open(setup: &mut Setup) -> Result<(Self, Windows)> {
        let (operator, windows) = O::open(setup)?;
        Ok((AllRows(operator), windows))
    }

    fn add(&mut self, record: &Record<'_, O::Key, O::Value>, into: &mut RowList) -> Result<()> {
        Ok(into.push::<O::Value>(record.timestamp, record.value)?)
    }

    fn merge(&mut self, into: &mut RowList, from: &RowList) -> Result<()> {
        into.append(from).map_err(Error::batch)
    }

    fn emit(
        &mut self,
        key: <O::Key as Codec>::View<'_>,
        window: Window,
        gathered: &RowList,
        out: &mut O::Output,
    ) -> Result<()> {
        self.0.process(key, window, Rows::new(gathered), out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Text;

    type Name = Option<Text>;

    fn list(rows: &[(i64, Option<&str>)]) -> RowList {
        let mut list = RowList::default();
        rows.iter().for_each(|(time, name)| list.push::<Name>(*time, *name).unwrap());
        list
    }

    fn read(list: &RowList) -> Vec<(Option<i64>, Option<&str>)> {
        Rows::<Name>::new(list).map(|row| row.map(|row| (row.timestamp, row.value)).unwrap()).collect()
    }

    #[test]
    fn rows_come_in_the_order_of_time_however_they_came() {
        let mut one = list(&[(3, Some("late")), (1, Some("b")), (1, None)]);
        one.append(&list(&[(1, Some("a")), (NO_TIME, Some("")), (2, None)])).unwrap();
        let expected = [
            (None, Some("")),
            (Some(1), None),
            (Some(1), Some("a")),
            (Some(1), Some("b")),
            (Some(2), None),
            (Some(3), Some("late")),
        ];
        assert_eq!(read(&one), expected);
        let mut bytes = Vec::new();
        RowLists::<Name>::encode(&one, &mut bytes).unwrap();
        assert_eq!(read(&RowLists::<Name>::decode(Some(&bytes)).unwrap()), expected);
    }

    #[test]
    fn what_is_no_list_of_rows_is_an_error() {
        let error = |bytes: &[u8]| RowLists::<Name>::decode(Some(bytes)).unwrap_err().to_string();
        assert_eq!(error(&[]), "the windows end too early");
        assert_eq!(error(&[1, 0, 0, 9, b'x']), "the rows of a window end too early");
        assert_eq!(error(&[0, 0]), "bytes are left over after the rows of a window");
    }
}
