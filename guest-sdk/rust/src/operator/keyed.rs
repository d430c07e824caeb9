//! Runs an operator whose state and timers belong to the key of the record.

use super::{
    BatchOperator, TypedOperator,
    records::{next, unwritable},
};
use crate::{
    backend::TimeDomain,
    batch::{Batch, NO_TIME, TimerBatch},
    call::{Call, KeyedCall},
    codec::Codec,
    error::{Error, Result},
    migration::Migration,
    output::OutputKind,
    record::{Record, Timer},
    setup::Setup,
    state::{Slot, StateCache, States},
};

/// An operator whose state and timers belong to the key of the record. Its input is keyed: the rows of a key all come to one
/// subtask.
///
/// ```
/// use wasmill_sdk::{prelude::*, testing::Harness};
///
/// /// Counts the records of each key and emits the counts when the input has ended.
/// #[derive(States)]
/// struct Count {
///     counts: ValueState<u64>,
/// }
///
/// #[operator]
/// impl KeyedOperator for Count {
///     type Key = Text;
///     type Value = ();
///     type Output = Output<Text, u64>;
///
///     fn open(setup: &mut Setup) -> Result<Self> {
///         setup.event_timers();
///         Ok(Count { counts: setup.value_state("counts") })
///     }
///
///     fn process(&mut self, _: Record<'_, Text, ()>, call: &mut KeyedCall<'_>, _: &mut Self::Output) -> Result<()> {
///         if self.counts.get().is_none() {
///             call.register_event_timer(END_OF_TIME, 0);
///         }
///         self.counts.update(|count| *count += 1);
///         Ok(())
///     }
///
///     fn on_timer(&mut self, timer: Timer<'_, Text>, _: &mut KeyedCall<'_>, out: &mut Self::Output) -> Result<()> {
///         out.emit(timer.key(), self.counts.get().unwrap_or(0));
///         Ok(())
///     }
/// }
///
/// let mut harness = Harness::<Count>::open("{}").unwrap();
/// for word in ["to", "be", "or", "not", "to", "be"] {
///     harness.push(word, (), 0).unwrap();
/// }
/// harness.finish().unwrap();
/// let counts: Vec<_> = harness.output().into_iter().map(|(word, count, _)| (word, count)).collect();
/// let expected = [("be", 2), ("not", 1), ("or", 1), ("to", 2)];
/// assert_eq!(counts, expected.map(|(word, count)| (word.to_string(), count)));
/// ```
pub trait KeyedOperator: States + Sized + 'static {
    /// The codec of keys.
    type Key: Codec;
    /// The codec of values; `()` does not read them.
    type Value: Codec;
    /// How it emits: [`Output`](crate::Output) or [`MapValues`](crate::MapValues).
    type Output: OutputKind;

    /// Declares states and timers, reads the configuration and makes the operator. Called to describe it and to start it.
    ///
    /// # Errors
    /// The job's.
    fn open(setup: &mut Setup) -> Result<Self>;

    /// Takes one record. State is that of its key.
    ///
    /// # Errors
    /// What is at fault: by default, and for any error that `?` converts, the record.
    fn process(
        &mut self,
        record: Record<'_, Self::Key, Self::Value>,
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

    /// The input has ended and all event-time timers have fired: emits what is left that belongs to no key.
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

/// Runs a [`KeyedOperator`].
pub struct Keyed<O: KeyedOperator> {
    pub(super) operator: O,
    pub(super) out: O::Output,
    pub(super) cache: StateCache,
}

impl<O: KeyedOperator> Keyed<O> {
    fn each_record(&mut self, call: &mut Call<'_>, batch: &Batch) -> Result {
        self.cache.resolve(call, &mut self.operator, batch.key_column(), batch.rows())?;
        match self.cache.needs_time() {
            true => self.each_resolved::<true>(call, batch),
            false => self.each_resolved::<false>(call, batch),
        }
    }

    /// The loop over records. Only where `TIMED` do states need to know the time of each.
    #[inline(never)]
    fn each_resolved<const TIMED: bool>(&mut self, call: &mut Call<'_>, batch: &Batch) -> Result {
        let rows = batch.rows();
        let Keyed { operator, out, cache } = self;
        let mut keys = O::Key::rows(batch.key_column(), rows);
        let mut values = O::Value::rows(batch.value_column(), rows);
        let (time, timers, metrics, backend) = (call.time, &mut *call.timers, &mut *call.metrics, &mut *call.backend);
        let directory = cache.directory();
        let mut call = KeyedCall { time, timers, metrics, keys: batch.key_column(), row: 0, backend, directory };
        let slots = cache.slots();
        for row in 0..rows {
            let key = next(keys.next(), "key", row)?;
            let value = next(values.next(), "value", row)?;
            let timestamp = batch.timestamps.get(row).copied().unwrap_or(NO_TIME);
            let (key, value) = (O::Key::view(&key), O::Value::view(&value));
            operator.select(slots.get(row).copied().unwrap_or(Slot::NONE));
            if TIMED {
                cache.at(timestamp);
            }
            call.row = row;
            out.begin_row(timestamp);
            let record = Record { key, value, timestamp, row, batch };
            operator.process(record, &mut call, out).map_err(|error| error.at_row(row))?;
            out.end_row().map_err(|error| unwritable(error, row))?;
        }
        Ok(())
    }

    #[inline(never)]
    fn each_timer(&mut self, call: &mut Call<'_>, domain: TimeDomain, timers: &TimerBatch) -> Result {
        let rows = timers.times.len();
        let column = timers.key_column();
        let Keyed { operator, out, cache } = self;
        cache.resolve_timers(call, operator, column, rows).map_err(|error| error.of_timer("a timer"))?;
        let mut keys = O::Key::rows(column, rows);
        let (time, set_timers, metrics) = (call.time, &mut *call.timers, &mut *call.metrics);
        let (backend, directory) = (&mut *call.backend, cache.directory());
        let mut call = KeyedCall { time, timers: set_timers, metrics, keys: column, row: 0, backend, directory };
        for (row, (&time, &tag)) in timers.times.iter().zip(&timers.tags).enumerate() {
            let place = |error: Error| {
                let key = column.get(row).unwrap_or_default().escape_ascii();
                error.of_timer(format_args!("the timer of key {key} at {time}"))
            };
            let key = next(keys.next(), "key", row).map_err(place)?;
            operator.select(cache.slots().get(row).copied().unwrap_or(Slot::NONE));
            if domain == TimeDomain::EventTime {
                cache.at(time);
            }
            call.row = row;
            out.begin_row(time);
            let timer = Timer { key: O::Key::view(&key), time, tag, domain };
            operator.on_timer(timer, &mut call, out).map_err(place)?;
            out.end_row().map_err(|error| place(unwritable(error, row)))?;
        }
        Ok(())
    }
}

impl<O: KeyedOperator> BatchOperator for Keyed<O> {
    fn open(setup: &mut Setup) -> Result<Self> {
        if !O::Key::COLUMN {
            return Err(Error::job("a keyed operator reads keys: its `Key` cannot be `()`"));
        }
        let out = setup.typed::<O::Key, O::Value, O::Output>(true);
        let mut operator = O::open(setup)?;
        setup.state_keys(&O::Key::format());
        let (declared, mut held) = (setup.description.states.len(), 0);
        operator.visit(&mut |_| held += 1);
        if held != declared {
            return Err(Error::job(format_args!(
                "`open` declares {declared} states, but the operator holds {held}: each state is a field of a type of \
                 state, or marked `#[state]`, of a type with `#[derive(States)]`"
            )));
        }
        let cache = StateCache::new(setup, O::Key::WIDTH);
        Ok(Keyed { operator, out, cache })
    }

    fn process(&mut self, call: &mut Call<'_>, _: u32, batch: Batch) -> Result<()> {
        if let Err(error) = self.each_record(call, &batch) {
            self.out.discard();
            return Err(error);
        }
        self.out.end(batch.into());
        self.cache.trim(call, &mut self.operator)
    }

    fn on_timers(&mut self, call: &mut Call<'_>, domain: TimeDomain, timers: TimerBatch) -> Result<()> {
        if let Err(error) = self.each_timer(call, domain, &timers) {
            self.out.discard();
            return Err(error);
        }
        self.out.end(timers.into());
        self.cache.trim(call, &mut self.operator)
    }

    fn snapshot(&mut self, call: &mut Call<'_>, epoch: u64) -> Result<()> {
        self.cache.snapshot(call, &mut self.operator, epoch)
    }

    fn snapshot_step(&mut self, call: &mut Call<'_>, max_bytes: u32) -> Result<bool> {
        self.cache.snapshot_step(call, &mut self.operator, max_bytes)
    }

    fn finish(&mut self, call: &mut Call<'_>) -> Result<()> {
        self.out.begin_row(NO_TIME);
        self.operator.finish(call, &mut self.out)?;
        self.out.end_row().map_err(|error| Error::Batch(error.to_string()))?;
        self.out.end(Batch::default().into());
        self.cache.trim(call, &mut self.operator)
    }

    fn migrate(migration: &mut Migration) -> Result<()> {
        O::migrate(migration)
    }
}

impl<O: KeyedOperator> TypedOperator for Keyed<O> {
    type Key = O::Key;
    type Value = O::Value;
    type OutKey = <O::Output as OutputKind>::Key<O::Key>;
    type OutValue = <O::Output as OutputKind>::Value<O::Value>;
}
