//! Tests an operator natively: give it records and watermarks, read what it emits, let its timers fire, take snapshots.
//!
//! ```
//! use wasmill_sdk::{prelude::*, testing::Harness};
//!
//! /// Splits lines into lower-case words.
//! #[operator]
//! fn split(line: Record<'_, (), Text>, out: &mut Output<Text, ()>) {
//!     for word in line.value.split_whitespace() {
//!         out.emit(&word.to_lowercase(), ());
//!     }
//! }
//!
//! let mut harness = Harness::<split>::open("{}").unwrap();
//! harness.push((), "Call me Ishmael", 7).unwrap();
//! let words: Vec<String> = harness.output().into_iter().map(|(word, (), _)| word).collect();
//! assert_eq!(words, ["call", "me", "ishmael"]);
//! ```

mod memory;
mod store;

pub use memory::{Memory, Snapshot};
pub use store::Stored;

use crate::{
    backend::TimeDomain,
    batch::{Batch, END_OF_TIME, KEY_ABSENT, VALUE_ABSENT},
    bindings::{exports::wasmill::operator::guest::Context, wasmill::operator::types::Call as CallTime},
    codec::{Codec, CodecError},
    error::{Error, Result},
    instance::Instance,
    native::context,
    operator::{Operator, TypedBroadcast, TypedOperator, TypedTwoInputs},
};

/// An emitted row: key, value and, if it has one, its time.
pub type Row<K, V> = (<K as Codec>::Owned, <V as Codec>::Owned, Option<i64>);

/// An emitted row of the operator `O`.
pub type RowOf<O> =
    Row<<<O as Operator>::Runs as TypedOperator>::OutKey, <<O as Operator>::Runs as TypedOperator>::OutValue>;

/// One instance of an operator on state and timers in memory.
pub struct Harness<O: Operator> {
    instance: Instance<O, Memory>,
    time: CallTime,
    epoch: u64,
    /// Of each input whether it is keyed.
    keyed: Vec<bool>,
    /// The names of the outputs.
    outputs: Vec<String>,
}

impl<O: Operator> Harness<O> {
    /// Describes and opens an operator with a configuration, a JSON object.
    ///
    /// # Errors
    /// The operator's own.
    pub fn open(config: &str) -> Result<Self> {
        Self::open_with(config, |_| ())
    }

    /// The same, with another context than that of a first attempt, alone, at epoch 1, with a cache of 64 MiB.
    ///
    /// # Errors
    /// The operator's own.
    pub fn open_with(config: &str, change: impl FnOnce(&mut Context)) -> Result<Self> {
        Self::start(config, None, change)
    }

    /// Opens an operator on the state and timers of a snapshot, as after a crash.
    ///
    /// # Errors
    /// The operator's own.
    pub fn restore(config: &str, snapshot: &Snapshot, change: impl FnOnce(&mut Context)) -> Result<Self> {
        Self::start(config, Some(snapshot), change)
    }

    fn start(config: &str, snapshot: Option<&Snapshot>, change: impl FnOnce(&mut Context)) -> Result<Self> {
        let described = Instance::<O, Memory>::describe(config).map_err(Error::Job)?;
        let mut context = context("test", O::NAME, config);
        if let Some(snapshot) = snapshot {
            (context.restored, context.attempt, context.epoch) = (true, 2, snapshot.epoch + 1);
        }
        change(&mut context);
        let epoch = context.epoch;
        let memory = Memory::new(epoch, described.states, snapshot);
        let keyed = described.inputs.iter().map(|input| input.keyed).collect();
        let outputs = described.outputs.into_iter().map(|output| output.name).collect();
        let instance = Instance::open(context, memory)?;
        let time = CallTime { watermark: i64::MIN, processing_time: 0 };
        Ok(Harness { instance, time, epoch, keyed, outputs })
    }

    /// Calls the operator with the rules of the host for state.
    fn call(
        &mut self,
        input_is_keyed: bool,
        call: impl FnOnce(&mut Instance<O, Memory>, CallTime) -> Result,
    ) -> Result {
        self.instance.backend().begin_call(self.time, !input_is_keyed);
        call(&mut self.instance, self.time)
    }

    /// Gives the operator a batch of input number `input`; timers that are due fire after it.
    ///
    /// # Errors
    /// The operator's own.
    pub fn process(&mut self, input: u32, batch: Batch) -> Result {
        let keyed = self.keyed.get(input as usize).copied().unwrap_or(false);
        self.call(keyed, |instance, time| instance.process(time, input, batch))?;
        self.fire()
    }

    /// Moves the watermark to `watermark`, milliseconds since the Unix epoch; timers that are due fire.
    ///
    /// # Errors
    /// The operator's own.
    pub fn watermark(&mut self, watermark: i64) -> Result {
        self.time.watermark = self.time.watermark.max(watermark);
        self.fire()
    }

    /// Moves processing time to `now`, milliseconds since the Unix epoch; timers that are due fire.
    ///
    /// # Errors
    /// The operator's own.
    pub fn processing_time(&mut self, now: i64) -> Result {
        self.time.processing_time = self.time.processing_time.max(now);
        self.fire()
    }

    /// Ends the input: all event-time timers fire, then the operator finishes.
    ///
    /// # Errors
    /// The operator's own.
    pub fn finish(&mut self) -> Result {
        self.watermark(END_OF_TIME)?;
        self.call(true, |instance, time| instance.finish(time))
    }

    fn fire(&mut self) -> Result {
        let now =
            [(TimeDomain::EventTime, self.time.watermark), (TimeDomain::ProcessingTime, self.time.processing_time)];
        for (domain, now) in now {
            while let Some(timers) = self.instance.backend().take_due(domain, now) {
                self.call(true, |instance, time| instance.on_timers(time, domain, timers))?;
            }
        }
        Ok(())
    }

    /// Cuts state at a checkpoint, without handing it over.
    ///
    /// # Errors
    /// The operator's own.
    pub fn cut(&mut self) -> Result {
        let epoch = self.epoch;
        self.call(true, |instance, time| instance.snapshot(time, epoch))?;
        self.instance.backend().cut(epoch);
        self.epoch += 1;
        Ok(())
    }

    /// Lets the operator hand over about `max_bytes` bytes of what was cut; the snapshot when all is handed over.
    ///
    /// # Errors
    /// The operator's own.
    pub fn step(&mut self, max_bytes: u32) -> Result<Option<Snapshot>> {
        let done = self.instance.snapshot_step(max_bytes)?;
        Ok(if done { self.instance.backend().seal() } else { None })
    }

    /// Takes a snapshot: cuts state and hands all of it over.
    ///
    /// # Errors
    /// The operator's own.
    ///
    /// # Panics
    /// If a snapshot is under way that [`Harness::cut`] began.
    pub fn snapshot(&mut self) -> Result<Snapshot> {
        assert!(!self.instance.backend().is_cut(), "a snapshot is under way: end it with `step`");
        self.cut()?;
        loop {
            if let Some(snapshot) = self.step(64 * 1024)? {
                return Ok(snapshot);
            }
        }
    }

    /// Takes the batches emitted since the last time, with the number of their output.
    pub fn batches(&mut self) -> Vec<(u32, Batch)> {
        self.instance.backend().take_emitted()
    }

    /// Takes the rows emitted to the output `name` since the last time, in order, and leaves those of the others.
    ///
    /// # Panics
    /// If there is no such output, a row cannot be read with these codecs, or a batch is not valid.
    pub fn side_output<K: Codec, V: Codec>(&mut self, name: &str) -> Vec<Row<K, V>> {
        let found = self.outputs.iter().position(|output| output == name);
        let Some(output) = found else { panic!("there is no output `{name}`, but {:?}", self.outputs) };
        rows::<K, V>(self.instance.backend().take_output(output as u32))
    }

    /// The sum of a counter, or the last value of a gauge; `None` if it was never reported.
    pub fn metric(&mut self, name: &str) -> Option<f64> {
        self.instance.backend().metric(name)
    }

    /// State and timers in memory.
    pub fn memory(&mut self) -> &mut Memory {
        self.instance.backend()
    }
}

impl<O: Operator> Harness<O>
where
    O::Runs: TypedOperator,
{
    /// Gives the operator one record; `timestamp` is its event time in milliseconds since the Unix epoch.
    ///
    /// # Errors
    /// The operator's own, or the record's when a value has no encoding.
    pub fn push(
        &mut self,
        key: <<O::Runs as TypedOperator>::Key as Codec>::View<'_>,
        value: <<O::Runs as TypedOperator>::Value as Codec>::View<'_>,
        timestamp: i64,
    ) -> Result {
        let (mut keys, mut values) = (Vec::new(), Vec::new());
        let key = <O::Runs as TypedOperator>::Key::encode(key, &mut keys)?;
        let value = <O::Runs as TypedOperator>::Value::encode(value, &mut values)?;
        let mut batch = Batch::default();
        batch.push(timestamp, key.then_some(&keys), value.then_some(&values));
        self.process(0, batch)
    }

    /// Gives the operator one record of its broadcast input.
    ///
    /// # Errors
    /// The operator's own, or the record's when a value has no encoding.
    pub fn push_broadcast(
        &mut self,
        key: <<O::Runs as TypedBroadcast>::BroadcastKey as Codec>::View<'_>,
        value: <<O::Runs as TypedBroadcast>::BroadcastValue as Codec>::View<'_>,
        timestamp: i64,
    ) -> Result
    where
        O::Runs: TypedBroadcast,
    {
        let (mut keys, mut values) = (Vec::new(), Vec::new());
        let key = <O::Runs as TypedBroadcast>::BroadcastKey::encode(key, &mut keys)?;
        let value = <O::Runs as TypedBroadcast>::BroadcastValue::encode(value, &mut values)?;
        let mut batch = Batch::default();
        batch.push(timestamp, key.then_some(&keys), value.then_some(&values));
        self.process(1, batch)
    }

    /// Gives the operator one record of its left input.
    ///
    /// # Errors
    /// The operator's own, or the record's when a value has no encoding.
    pub fn push_left(
        &mut self,
        key: <<O::Runs as TypedOperator>::Key as Codec>::View<'_>,
        value: <<O::Runs as TypedOperator>::Value as Codec>::View<'_>,
        timestamp: i64,
    ) -> Result
    where
        O::Runs: TypedTwoInputs,
    {
        self.push(key, value, timestamp)
    }

    /// Gives the operator one record of its right input.
    ///
    /// # Errors
    /// The operator's own, or the record's when a value has no encoding.
    pub fn push_right(
        &mut self,
        key: <<O::Runs as TypedOperator>::Key as Codec>::View<'_>,
        value: <<O::Runs as TypedTwoInputs>::Right as Codec>::View<'_>,
        timestamp: i64,
    ) -> Result
    where
        O::Runs: TypedTwoInputs,
    {
        let (mut keys, mut values) = (Vec::new(), Vec::new());
        let key = <O::Runs as TypedOperator>::Key::encode(key, &mut keys)?;
        let value = <O::Runs as TypedTwoInputs>::Right::encode(value, &mut values)?;
        let mut batch = Batch::default();
        batch.push(timestamp, key.then_some(&keys), value.then_some(&values));
        self.process(1, batch)
    }

    /// Takes the rows emitted to the first output since the last time, in order.
    ///
    /// # Panics
    /// If a row cannot be read with its codec, or a batch is not valid.
    pub fn output(&mut self) -> Vec<RowOf<O>> {
        let batches = self.instance.backend().take_output(0);
        rows::<<O::Runs as TypedOperator>::OutKey, <O::Runs as TypedOperator>::OutValue>(batches)
    }
}

fn rows<K: Codec, V: Codec>(batches: Vec<Batch>) -> Vec<Row<K, V>> {
    let mut rows = Vec::new();
    for batch in batches {
        check(&batch);
        for row in 0..batch.rows() {
            match (read::<K>(batch.key(row)), read::<V>(batch.value(row))) {
                (Ok(key), Ok(value)) => rows.push((key, value, batch.timestamp(row))),
                (Err(error), _) | (_, Err(error)) => panic!("row {row} of the output cannot be read: {error}"),
            }
        }
    }
    rows
}

fn read<C: Codec>(bytes: Option<&[u8]>) -> Result<C::Owned, CodecError> {
    C::decode(bytes).map(C::own)
}

/// The invariants of a batch, as the host checks them.
fn check(batch: &Batch) {
    let rows = batch.rows();
    let length = |column: &str, entries: usize| {
        assert!(entries == 0 || entries == rows, "column {column} has {entries} entries for {rows} rows");
    };
    length("timestamps", batch.timestamps.len());
    length("flags", batch.flags.len());
    let columns = [
        ("key-ends", &batch.key_ends, batch.keys.len()),
        ("value-ends", &batch.value_ends, batch.values.len()),
        ("header-ends", &batch.header_ends, batch.headers.len()),
    ];
    for (column, ends, bytes) in columns {
        length(column, ends.len());
        assert!(ends.is_sorted(), "column {column} decreases");
        assert_eq!(ends.last().map_or(0, |&end| end as usize), bytes, "column {column} does not end with its bytes");
    }
    for (row, flag) in batch.flags.iter().enumerate() {
        let length = |ends: &[u32]| ends.get(row).map_or(0, |end| end - if row == 0 { 0 } else { ends[row - 1] });
        assert!(flag & !(KEY_ABSENT | VALUE_ABSENT) == 0, "unknown flag at row {row}");
        assert!(flag & KEY_ABSENT == 0 || length(&batch.key_ends) == 0, "a null key has bytes at row {row}");
        assert!(flag & VALUE_ABSENT == 0 || length(&batch.value_ends) == 0, "a null value has bytes at row {row}");
    }
}
