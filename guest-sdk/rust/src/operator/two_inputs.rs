//! Runs an operator with two keyed inputs.

use super::{
    BatchOperator, Keyed, KeyedOperator, TypedOperator,
    records::{next, unwritable},
};
use crate::{
    backend::TimeDomain,
    batch::{Batch, NO_TIME, TimerBatch},
    bindings::wasmill::operator::description::Columns,
    call::{Call, KeyedCall},
    codec::Codec,
    error::{Error, Result},
    migration::Migration,
    output::OutputKind,
    record::{Record, Timer},
    setup::Setup,
    state::{Slot, StateColumn, States},
};

/// An operator with two inputs, `left` and `right`, both keyed, which share the state and the timers of a key. Rows of a key of
/// both inputs come to the same subtask; between the two inputs there is no order. It is Flink's `KeyedCoProcessFunction`.
///
/// Joins that are made of it are in [`join`](crate::join). An operator with three inputs or more is a
/// [`BatchOperator`], or two of these one after the other.
///
/// ```
/// use wasmill_sdk::{prelude::*, testing::Harness};
///
/// /// Adds to each reading of a sensor the name of the room that the sensor is in, once it is known.
/// #[derive(States)]
/// struct NameRooms {
///     room: ValueState<Text>,
///     waiting: ListState<f64>,
/// }
///
/// #[operator]
/// impl KeyedTwoInputOperator for NameRooms {
///     type Key = u64;
///     type Left = f64;
///     type Right = Text;
///     type Output = Output<Text, f64>;
///
///     fn open(setup: &mut Setup) -> Result<Self> {
///         Ok(NameRooms { room: setup.value_state("room"), waiting: setup.list_state("waiting") })
///     }
///
///     fn process_left(
///         &mut self,
///         reading: Record<'_, u64, f64>,
///         _: &mut KeyedCall<'_>,
///         out: &mut Self::Output,
///     ) -> Result<()> {
///         match self.room.get() {
///             Some(room) => out.emit(room, reading.value),
///             None => self.waiting.append(reading.value)?,
///         }
///         Ok(())
///     }
///
///     fn process_right(
///         &mut self,
///         room: Record<'_, u64, Text>,
///         call: &mut KeyedCall<'_>,
///         out: &mut Self::Output,
///     ) -> Result<()> {
///         for reading in self.waiting.get(call)? {
///             out.emit(room.value, reading?);
///         }
///         self.waiting.clear();
///         self.room.set(room.value.to_string());
///         Ok(())
///     }
/// }
///
/// let mut harness = Harness::<NameRooms>::open("{}").unwrap();
/// harness.push_left(7, 20.5, 0).unwrap();
/// harness.push_right(7, "kitchen", 1).unwrap();
/// harness.push_left(7, 21.0, 2).unwrap();
/// let rooms: Vec<_> = harness.output().into_iter().map(|(room, reading, _)| (room, reading)).collect();
/// assert_eq!(rooms, [("kitchen".to_string(), 20.5), ("kitchen".to_string(), 21.0)]);
/// ```
pub trait KeyedTwoInputOperator: States + Sized + 'static {
    /// The codec of both inputs' keys.
    type Key: Codec;
    /// The codec of the left input's values; `()` does not read them.
    type Left: Codec;
    /// The codec of the right input's values; `()` does not read them.
    type Right: Codec;
    /// How it emits: [`Output`](crate::Output). `MapValues` passes on columns of one input only, and is refused.
    type Output: OutputKind;

    /// Declares states and timers, reads the configuration and makes the operator. Called to describe it and to start it.
    ///
    /// # Errors
    /// The job's.
    fn open(setup: &mut Setup) -> Result<Self>;

    /// Takes one record of the left input. State is that of its key.
    ///
    /// # Errors
    /// What is at fault: by default, and for any error that `?` converts, the record.
    fn process_left(
        &mut self,
        record: Record<'_, Self::Key, Self::Left>,
        call: &mut KeyedCall<'_>,
        out: &mut Self::Output,
    ) -> Result<()>;

    /// Takes one record of the right input. State is that of its key.
    ///
    /// # Errors
    /// As [`KeyedTwoInputOperator::process_left`].
    fn process_right(
        &mut self,
        record: Record<'_, Self::Key, Self::Right>,
        call: &mut KeyedCall<'_>,
        out: &mut Self::Output,
    ) -> Result<()>;

    /// Takes a timer that is due. State is that of its key.
    ///
    /// # Errors
    /// The batch's or the job's.
    fn on_timer(
        &mut self,
        timer: Timer<'_, Self::Key>,
        call: &mut KeyedCall<'_>,
        out: &mut Self::Output,
    ) -> Result<()> {
        let _ = (timer, call, out);
        Ok(())
    }

    /// Both inputs have ended and all event-time timers have fired: emits what is left that belongs to no key.
    ///
    /// # Errors
    /// The batch's or the job's.
    fn finish(&mut self, call: &mut Call<'_>, out: &mut Self::Output) -> Result<()> {
        let _ = (call, out);
        Ok(())
    }

    /// Rewrites entries of an older schema version of a state.
    ///
    /// # Errors
    /// The job's; unless implemented, that it cannot.
    fn migrate(migration: &mut Migration) -> Result<()> {
        migration.refuse()
    }
}

/// The operator as its left input sees it.
struct LeftSide<O>(O);

impl<O: KeyedTwoInputOperator> States for LeftSide<O> {
    #[inline(always)]
    fn select(&mut self, slot: Slot) {
        self.0.select(slot);
    }

    fn visit(&mut self, visit: &mut dyn FnMut(&mut dyn StateColumn)) {
        self.0.visit(visit);
    }
}

impl<O: KeyedTwoInputOperator> KeyedOperator for LeftSide<O> {
    type Key = O::Key;
    type Value = O::Left;
    type Output = O::Output;

    fn open(setup: &mut Setup) -> Result<Self> {
        O::open(setup).map(LeftSide)
    }

    #[inline(always)]
    fn process(
        &mut self,
        record: Record<'_, Self::Key, Self::Value>,
        call: &mut KeyedCall<'_>,
        out: &mut Self::Output,
    ) -> Result<()> {
        self.0.process_left(record, call, out)
    }

    fn on_timer(
        &mut self,
        timer: Timer<'_, Self::Key>,
        call: &mut KeyedCall<'_>,
        out: &mut Self::Output,
    ) -> Result<()> {
        self.0.on_timer(timer, call, out)
    }

    fn finish(&mut self, call: &mut Call<'_>, out: &mut Self::Output) -> Result<()> {
        self.0.finish(call, out)
    }
}

/// Runs a [`KeyedTwoInputOperator`].
pub struct KeyedTwoInputs<O: KeyedTwoInputOperator> {
    keyed: Keyed<LeftSide<O>>,
}

impl<O: KeyedTwoInputOperator> KeyedTwoInputs<O> {
    #[inline(never)]
    fn each_right(&mut self, call: &mut Call<'_>, batch: &Batch) -> Result {
        let rows = batch.rows();
        let Keyed { operator, out, cache } = &mut self.keyed;
        cache.resolve(call, operator, batch.key_column(), rows)?;
        let mut keys = O::Key::rows(batch.key_column(), rows);
        let mut values = O::Right::rows(batch.value_column(), rows);
        let (time, timers, metrics, backend) = (call.time, &mut *call.timers, &mut *call.metrics, &mut *call.backend);
        let directory = cache.directory();
        let mut call = KeyedCall { time, timers, metrics, keys: batch.key_column(), row: 0, backend, directory };
        for row in 0..rows {
            let key = next(keys.next(), "key", row)?;
            let value = next(values.next(), "value", row)?;
            let timestamp = batch.timestamps.get(row).copied().unwrap_or(NO_TIME);
            let (key, value) = (O::Key::view(&key), O::Right::view(&value));
            operator.select(cache.slots().get(row).copied().unwrap_or(Slot::NONE));
            if cache.needs_time() {
                cache.at(timestamp);
            }
            call.row = row;
            out.begin_row(timestamp);
            let record = Record { key, value, timestamp, row, batch };
            operator.0.process_right(record, &mut call, out).map_err(|error| error.at_row(row))?;
            out.end_row().map_err(|error| unwritable(error, row))?;
        }
        Ok(())
    }
}

impl<O: KeyedTwoInputOperator> BatchOperator for KeyedTwoInputs<O> {
    fn open(setup: &mut Setup) -> Result<Self> {
        if O::Output::PASSES {
            return Err(Error::job(
                "an operator with two inputs emits by `Output`: `MapValues` passes on one input only",
            ));
        }
        let keyed = Keyed::open(setup)?;
        let headers = setup.description.inputs.iter().any(|input| input.columns.contains(Columns::HEADERS));
        setup.description.inputs[0].name = "left".to_string();
        setup.input::<O::Key, O::Right>("right", true);
        if headers {
            setup.read_headers();
        }
        Ok(KeyedTwoInputs { keyed })
    }

    fn process(&mut self, call: &mut Call<'_>, input: u32, batch: Batch) -> Result<()> {
        if input == 0 {
            return self.keyed.process(call, input, batch);
        }
        if let Err(error) = self.each_right(call, &batch) {
            self.keyed.out.discard();
            return Err(error);
        }
        self.keyed.out.end(batch.into());
        self.keyed.cache.trim(call, &mut self.keyed.operator)
    }

    fn on_timers(&mut self, call: &mut Call<'_>, domain: TimeDomain, timers: TimerBatch) -> Result<()> {
        self.keyed.on_timers(call, domain, timers)
    }

    fn snapshot(&mut self, call: &mut Call<'_>, epoch: u64) -> Result<()> {
        self.keyed.snapshot(call, epoch)
    }

    fn snapshot_step(&mut self, call: &mut Call<'_>, max_bytes: u32) -> Result<bool> {
        self.keyed.snapshot_step(call, max_bytes)
    }

    fn finish(&mut self, call: &mut Call<'_>) -> Result<()> {
        self.keyed.finish(call)
    }

    fn migrate(migration: &mut Migration) -> Result<()> {
        O::migrate(migration)
    }
}

impl<O: KeyedTwoInputOperator> TypedOperator for KeyedTwoInputs<O> {
    type Key = O::Key;
    type Value = O::Left;
    type OutKey = <O::Output as OutputKind>::Key<O::Key>;
    type OutValue = <O::Output as OutputKind>::Value<O::Left>;
}

/// The codec of a right input; lets a test speak of its rows with their types.
pub trait TypedTwoInputs: TypedOperator {
    /// Of its values.
    type Right: Codec;
}

impl<O: KeyedTwoInputOperator> TypedTwoInputs for KeyedTwoInputs<O> {
    type Right = O::Right;
}
