//! The shapes an operator may have.

mod broadcast;
mod keyed;
mod records;
mod two_inputs;

pub use broadcast::{KeyedBroadcast, KeyedBroadcastOperator, TypedBroadcast};
pub use keyed::{Keyed, KeyedOperator};
pub(crate) use records::next;
pub use records::{RecordOperator, Records};
pub use two_inputs::{KeyedTwoInputOperator, KeyedTwoInputs, TypedTwoInputs};

use crate::{
    backend::TimeDomain,
    batch::{Batch, TimerBatch},
    call::Call,
    codec::Codec,
    error::Result,
    migration::Migration,
    setup::Setup,
};

/// An operator that a component exports. Implemented by [`operator`](macro@crate::operator), on a type that implements
/// [`RecordOperator`], [`KeyedOperator`], [`KeyedBroadcastOperator`] or [`BatchOperator`], or on a function.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an operator",
    label = "not an operator",
    note = "put `#[operator]` on a function, or on an `impl` of one of the operator traits"
)]
pub trait Operator: 'static {
    /// What runs it.
    type Runs: BatchOperator;
    /// Its name, for people: that of its crate.
    const NAME: &'static str;
    /// Its version, for people: that of its crate.
    const VERSION: &'static str;
}

/// An operator that takes whole batches: several inputs and outputs, columns without a copy, state in bulk. The other shapes
/// are built on it.
///
/// ```
/// use wasmill_sdk::prelude::*;
///
/// /// Passes batches on as they are: no byte is copied.
/// struct Identity;
///
/// #[operator]
/// impl BatchOperator for Identity {
///     fn open(setup: &mut Setup) -> Result<Self> {
///         setup.input::<Bytes, Bytes>("in", false);
///         setup.output::<Bytes, Bytes>("out");
///         Ok(Identity)
///     }
///
///     fn process(&mut self, call: &mut Call<'_>, _input: u32, batch: Batch) -> Result<()> {
///         call.emit(0, batch);
///         Ok(())
///     }
/// }
/// ```
pub trait BatchOperator: Sized + 'static {
    /// Declares inputs, outputs, states and timers, and makes the operator. Called to describe it and to start it.
    ///
    /// # Errors
    /// The job's.
    fn open(setup: &mut Setup) -> Result<Self>;

    /// Takes a batch of input number `input`, with at least one row.
    ///
    /// # Errors
    /// What is at fault: a record, the batch or the job.
    fn process(&mut self, call: &mut Call<'_>, input: u32, batch: Batch) -> Result<()>;

    /// Takes due timers, each key once.
    ///
    /// # Errors
    /// The batch's or the job's.
    fn on_timers(&mut self, call: &mut Call<'_>, domain: TimeDomain, timers: TimerBatch) -> Result<()> {
        let _ = (call, domain, timers);
        Ok(())
    }

    /// Cuts state: all changes so far belong to `epoch`, later ones to `epoch + 1`.
    ///
    /// # Errors
    /// The job's.
    fn snapshot(&mut self, call: &mut Call<'_>, epoch: u64) -> Result<()> {
        let _ = (call, epoch);
        Ok(())
    }

    /// Writes about `max_bytes` bytes of the epoch that was cut; true when all is written. Emits nothing, sets no timers.
    ///
    /// # Errors
    /// The job's.
    fn snapshot_step(&mut self, call: &mut Call<'_>, max_bytes: u32) -> Result<bool> {
        let _ = (call, max_bytes);
        Ok(true)
    }

    /// The input has ended: emits what is left.
    ///
    /// # Errors
    /// The batch's or the job's.
    fn finish(&mut self, call: &mut Call<'_>) -> Result<()> {
        let _ = call;
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

/// The codecs of an operator with one input and one output; lets a test speak of its rows with their types.
pub trait TypedOperator: BatchOperator {
    /// Of the input's keys.
    type Key: Codec;
    /// Of the input's values.
    type Value: Codec;
    /// Of the output's keys.
    type OutKey: Codec;
    /// Of the output's values.
    type OutValue: Codec;
}
