//! Runs an operator with a keyed input and a broadcast one.

use super::{
    BatchOperator, Keyed, KeyedOperator, TypedOperator,
    records::{next, unwritable},
};
use crate::{
    backend::TimeDomain,
    batch::{Batch, NO_TIME, TimerBatch},
    bindings::wasmill::operator::description::Columns,
    call::{BroadcastCall, Call, KeyedCall},
    codec::Codec,
    error::{Error, Result},
    migration::Migration,
    output::OutputKind,
    record::{Record, Timer},
    setup::Setup,
    state::{Slot, StateColumn, States},
};

/// An operator with two inputs: `in`, which is keyed, and `broadcast`, of which every subtask gets all records. The records of
/// the broadcast input change [`BroadcastState`](crate::BroadcastState); those of the keyed one read it, and have state and
/// timers of their key.
///
/// ```
/// use wasmill_sdk::{prelude::*, testing::Harness};
///
/// /// Passes on orders of at least the amount that is asked for their currency.
/// #[derive(States)]
/// struct LargeOrders {
///     least: BroadcastState<Text, f64>,
///     passed: ValueState<u64>,
/// }
///
/// #[operator]
/// impl KeyedBroadcastOperator for LargeOrders {
///     type Key = u64;
///     type Value = Json<(String, f64)>;
///     type BroadcastKey = Text;
///     type BroadcastValue = Option<f64>;
///     type Output = Output<u64, u64>;
///
///     fn open(setup: &mut Setup) -> Result<Self> {
///         Ok(LargeOrders { least: setup.broadcast_state("least"), passed: setup.value_state("passed") })
///     }
///
///     fn process(
///         &mut self,
///         order: Record<'_, u64, Json<(String, f64)>>,
///         _: &mut KeyedCall<'_>,
///         out: &mut Self::Output,
///     ) -> Result<()> {
///         let (currency, amount) = order.value;
///         if self.least.get(currency).is_some_and(|least| *amount >= least) {
///             out.emit(order.key, self.passed.update(|passed| { *passed += 1; *passed }));
///         }
///         Ok(())
///     }
///
///     fn process_broadcast(
///         &mut self,
///         rule: Record<'_, Text, Option<f64>>,
///         call: &mut BroadcastCall<'_>,
///         _: &mut Self::Output,
///     ) -> Result<()> {
///         match rule.value {
///             Some(least) => self.least.put(call, rule.key, least),
///             None => self.least.remove(call, rule.key),
///         }
///         Ok(())
///     }
/// }
///
/// let mut harness = Harness::<LargeOrders>::open("{}").unwrap();
/// let order = |currency: &str, amount| (currency.to_string(), amount);
/// harness.push(7, &order("EUR", 100.0), 0).unwrap();
/// harness.push_broadcast("EUR", Some(50.0), 0).unwrap();
/// harness.push(7, &order("EUR", 49.0), 0).unwrap();
/// harness.push(7, &order("EUR", 51.0), 0).unwrap();
/// harness.push_broadcast("EUR", None, 0).unwrap();
/// harness.push(7, &order("EUR", 52.0), 0).unwrap();
/// assert_eq!(harness.output(), [(7, 1, Some(0))]);
/// ```
pub trait KeyedBroadcastOperator: States + Sized + 'static {
    /// The codec of the keyed input's keys.
    type Key: Codec;
    /// The codec of the keyed input's values; `()` does not read them.
    type Value: Codec;
    /// The codec of the broadcast input's keys; `()` does not read them.
    type BroadcastKey: Codec;
    /// The codec of the broadcast input's values; `()` does not read them.
    type BroadcastValue: Codec;
    /// How it emits: [`Output`](crate::Output). `MapValues` passes on columns of one input only, and is refused.
    type Output: OutputKind;

    /// Declares states and timers, reads the configuration and makes the operator. Called to describe it and to start it.
    ///
    /// # Errors
    /// The job's.
    fn open(setup: &mut Setup) -> Result<Self>;

    /// Takes one record of the keyed input. State is that of its key; broadcast state can be read.
    ///
    /// # Errors
    /// What is at fault: by default, and for any error that `?` converts, the record.
    fn process(
        &mut self,
        record: Record<'_, Self::Key, Self::Value>,
        call: &mut KeyedCall<'_>,
        out: &mut Self::Output,
    ) -> Result<()>;

    /// Takes one record of the broadcast input. Broadcast state can be changed; there is no key, and so no state of one.
    ///
    /// # Errors
    /// As [`KeyedBroadcastOperator::process`].
    fn process_broadcast(
        &mut self,
        record: Record<'_, Self::BroadcastKey, Self::BroadcastValue>,
        call: &mut BroadcastCall<'_>,
        out: &mut Self::Output,
    ) -> Result<()>;

    /// Takes a timer that is due. State is that of its key; broadcast state can be read.
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

    /// The inputs have ended and all event-time timers have fired: emits what is left that belongs to no key.
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

/// The operator as its keyed input sees it.
struct KeyedSide<O>(O);

impl<O: KeyedBroadcastOperator> States for KeyedSide<O> {
    #[inline(always)]
    fn select(&mut self, slot: Slot) {
        self.0.select(slot);
    }

    fn visit(&mut self, visit: &mut dyn FnMut(&mut dyn StateColumn)) {
        self.0.visit(visit);
    }
}

impl<O: KeyedBroadcastOperator> KeyedOperator for KeyedSide<O> {
    type Key = O::Key;
    type Value = O::Value;
    type Output = O::Output;

    fn open(setup: &mut Setup) -> Result<Self> {
        O::open(setup).map(KeyedSide)
    }

    #[inline(always)]
    fn process(
        &mut self,
        record: Record<'_, Self::Key, Self::Value>,
        call: &mut KeyedCall<'_>,
        out: &mut Self::Output,
    ) -> Result<()> {
        self.0.process(record, call, out)
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

/// Runs a [`KeyedBroadcastOperator`].
pub struct KeyedBroadcast<O: KeyedBroadcastOperator> {
    keyed: Keyed<KeyedSide<O>>,
}

impl<O: KeyedBroadcastOperator> KeyedBroadcast<O> {
    fn each_broadcast(&mut self, call: &mut Call<'_>, batch: &Batch) -> Result {
        let rows = batch.rows();
        let Keyed { operator, out, cache } = &mut self.keyed;
        cache.begin(call, operator)?;
        operator.select(Slot::NONE);
        let mut keys = O::BroadcastKey::rows(batch.key_column(), rows);
        let mut values = O::BroadcastValue::rows(batch.value_column(), rows);
        let mut call = BroadcastCall { time: call.time, metrics: &mut *call.metrics };
        for row in 0..rows {
            let key = next(keys.next(), "key", row)?;
            let value = next(values.next(), "value", row)?;
            let timestamp = batch.timestamps.get(row).copied().unwrap_or(NO_TIME);
            let (key, value) = (O::BroadcastKey::view(&key), O::BroadcastValue::view(&value));
            out.begin_row(timestamp);
            let record = Record { key, value, timestamp, row, batch };
            operator.0.process_broadcast(record, &mut call, out).map_err(|error| error.at_row(row))?;
            out.end_row().map_err(|error| unwritable(error, row))?;
        }
        Ok(())
    }
}

impl<O: KeyedBroadcastOperator> BatchOperator for KeyedBroadcast<O> {
    fn open(setup: &mut Setup) -> Result<Self> {
        if O::Output::PASSES {
            return Err(Error::job(
                "an operator with two inputs emits by `Output`: `MapValues` passes on one input only",
            ));
        }
        let keyed = Keyed::open(setup)?;
        let headers = setup.description.inputs.iter().any(|input| input.columns.contains(Columns::HEADERS));
        setup.input::<O::BroadcastKey, O::BroadcastValue>("broadcast", false);
        if headers {
            setup.read_headers();
        }
        Ok(KeyedBroadcast { keyed })
    }

    fn process(&mut self, call: &mut Call<'_>, input: u32, batch: Batch) -> Result<()> {
        if input == 0 {
            return self.keyed.process(call, input, batch);
        }
        if let Err(error) = self.each_broadcast(call, &batch) {
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

impl<O: KeyedBroadcastOperator> TypedOperator for KeyedBroadcast<O> {
    type Key = O::Key;
    type Value = O::Value;
    type OutKey = <O::Output as OutputKind>::Key<O::Key>;
    type OutValue = <O::Output as OutputKind>::Value<O::Value>;
}

/// The codecs of a broadcast input; lets a test speak of its rows with their types.
pub trait TypedBroadcast: TypedOperator {
    /// Of its keys.
    type BroadcastKey: Codec;
    /// Of its values.
    type BroadcastValue: Codec;
}

impl<O: KeyedBroadcastOperator> TypedBroadcast for KeyedBroadcast<O> {
    type BroadcastKey = O::BroadcastKey;
    type BroadcastValue = O::BroadcastValue;
}
