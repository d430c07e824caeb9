//! Write Wasmill operators in Rust.
//!
//! An operator is a function, or a type that implements one of a few traits, with [`#[operator]`](macro@operator) on it. It
//! is compiled to a component with `cargo build --release --target wasm32-wasip2` and named in a job file.
//!
//! ```
//! use wasmill_sdk::{prelude::*, testing::Harness};
//!
//! /// Splits lines into lower-case words.
//! #[operator]
//! fn split(line: Record<'_, (), Text>, out: &mut Output<Text, ()>) {
//!     let line = line.value.to_lowercase();
//!     for word in line.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
//!         out.emit(word, ());
//!     }
//! }
//!
//! let mut harness = Harness::<split>::open("{}").unwrap();
//! harness.push((), "It was the best of times, it was", 0).unwrap();
//! let words: Vec<String> = harness.output().into_iter().map(|(word, (), _)| word).collect();
//! assert_eq!(words, ["it", "was", "the", "best", "of", "times", "it", "was"]);
//! ```
//!
//! # Which shape
//!
//! | shape | takes | state and timers | for |
//! |---|---|---|---|
//! | a function | a record | none | maps, filters, splits |
//! | [`RecordOperator`] | a record | none | the same with configuration or metrics |
//! | [`KeyedOperator`] | a record | of its key | counts, sessions, deduplication |
//! | [`OrderedOperator`] | a record | of its key | the same in the order of event time |
//! | [`WindowOperator`] | a record | a window's accumulator | aggregates of [windows](window): tumbling, sliding, sessions |
//! | [`ProcessWindowOperator`] | all rows of a window | kept for it | medians, and what else needs all rows |
//! | [`Deduplicate`] | a record | kept for it | one record a key |
//! | [`TopN`], [`WindowTopN`] | a record | kept for it | the highest or lowest few of a key, or of its windows |
//! | [`KeyedBroadcastOperator`] | a record of either input | of its key, and a map that the other input changes | rules, lookups |
//! | [`KeyedTwoInputOperator`] | a record of either input | of its key | what is joined by rules of its own |
//! | [`WindowJoin`], [`IntervalJoin`], [`TemporalJoin`] | rows of two inputs | kept for it | [joins](join) in event time |
//! | [`BatchOperator`] | a batch of columns | in bulk | several inputs and outputs, no copy at all |
//!
//! Inputs and outputs follow from the types: a [codec] each for key and value, where `()` is a column that is not there and
//! that nothing copies. Rows are emitted to an [`Output`], given another value by [`MapValues`], which moves all other
//! columns from the input to the output, or passed on as they are by [`Keep`].
//!
//! # What it costs
//!
//! Nothing crosses between host and guest once a record: rows, state and timers go in bulk, and the SDK allocates nothing
//! a row. Fixed-width columns are recognised once a batch and read in a typed loop; [state] is a cache whose keys
//! are looked up once a batch.
//!
//! # Errors
//!
//! What a function returns as [`Error`], and what cannot be read, is told by what is at fault: a record, a batch or the job. A
//! panic is logged with its place, and ends the attempt.
//!
//! # Layout
//!
//! - `operator`: the shapes, and what runs them; `instance`: the exports; `export`: the component; [`native`]: without one.
//! - [`codec`], [`mod@column`], [`batch`], `record`: reading. `output`: writing.
//! - [`state`]: the cache and the kinds of state; [`migration`]: state of older versions; `timers`, [`metrics`]: what is buffered during a call; `call`, `setup`: what an operator may do.
//! - [`window`]: windows over state and timers; [`join`]: joins; [`ordered`]: rows in order; [`deduplicate`], [`top_n`].
//! - [`backend`]: the seam below; [`testing`]: a backend in memory, and a harness.

pub mod backend;
pub mod batch;
#[doc(hidden)]
pub mod bindings;
mod call;
pub mod codec;
pub mod column;
pub mod deduplicate;
mod error;
#[doc(hidden)]
pub mod export;
mod instance;
pub mod join;
pub mod log;
pub mod metrics;
pub mod migration;
pub mod native;
pub mod operator;
pub mod ordered;
mod output;
pub mod prelude;
mod record;
mod setup;
pub mod state;
pub mod testing;
mod timers;
pub mod top_n;
pub mod window;

pub use batch::{Batch, END_OF_TIME, TimerBatch};
pub use bindings::exports::wasmill::operator::guest::Context;
pub use call::{BroadcastCall, Call, KeyedCall};
pub use codec::{Bytes, Codec, Json, Postcard, Text};
pub use deduplicate::Deduplicate;
pub use error::{Error, Outcome, Result};
pub use instance::Instance;
pub use join::{IntervalJoin, TemporalJoin, WindowJoin};
pub use migration::Migration;
pub use operator::{
    BatchOperator, KeyedBroadcastOperator, KeyedOperator, KeyedTwoInputOperator, Operator, RecordOperator,
};
pub use ordered::OrderedOperator;
pub use output::{BATCH_BYTES, Keep, MapValues, Output, OutputKind, SideOutput};
pub use record::{Headers, Record, Timer};
pub use setup::Setup;
pub use state::{
    Aggregate, AggregatingState, BroadcastState, Cursor, ListState, MapKey, MapState, ReducingState, States, Ttl,
    ValueState,
};
pub use top_n::{TopN, WindowTopN};
/// Exports several operators, each with `#[operator(shared)]`, from one component: once in a crate.
///
/// The key `operator` in the `config` of a job file chooses one; the operator itself does not see that key. A pipeline's operators built
/// as one component compile once and share their code.
///
/// ```
/// use wasmill_sdk::{prelude::*, testing::Harness};
///
/// /// Splits lines into words.
/// #[operator(shared)]
/// fn split(line: Record<'_, (), Text>, out: &mut Output<Text, ()>) {
///     line.value.split_whitespace().for_each(|word| out.emit(word, ()));
/// }
///
/// /// Tells how long words are.
/// #[operator(shared)]
/// fn measure(word: Record<'_, Text, ()>, out: &mut Output<Text, u64>) {
///     out.emit(word.key, word.key.len() as u64);
/// }
///
/// wasmill_sdk::operators! { "split" => split, "measure" => measure }
///
/// // In a job file: `config = { operator = "measure" }`.
/// # fn main() {
/// let mut harness = Harness::<Operators>::open(r#"{"operator": "measure"}"#).unwrap();
/// let error = Harness::<Operators>::open("{}").err().unwrap();
/// assert!(error.message().contains(r#"this component has "split", "measure""#));
/// # let mut batch = Batch::default();
/// # batch.push(0, Some(b"whale"), None);
/// # harness.process(0, batch).unwrap();
/// # assert_eq!(harness.side_output::<Text, u64>("out"), [("whale".to_string(), 5, Some(0))]);
/// # }
/// ```
pub use wasmill_sdk_macros::operators;
pub use wasmill_sdk_macros::{States, operator};
pub use window::{ProcessWindowOperator, Trigger, Window, WindowOperator, Windows};
