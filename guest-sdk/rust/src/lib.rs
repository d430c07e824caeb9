//! Write Wasmill operators in Rust.

pub mod backend;
pub mod batch;
pub mod bindings;
mod call;
pub mod codec;
pub mod column;
mod error;
#[doc(hidden)]
pub mod export;
mod instance;
pub mod log;
pub mod metrics;
pub mod operator;
mod output;
pub mod prelude;
mod record;
mod setup;
pub mod state;
pub mod testing;
mod timers;

pub use batch::{Batch, END_OF_TIME, TimerBatch};
pub use bindings::exports::wasmill::operator::guest::Context;
pub use call::{Call, KeyedCall};
pub use codec::{Bytes, Codec, Json, Postcard, Text};
pub use error::{Error, Outcome, Result};
pub use instance::Instance;
pub use operator::{BatchOperator, KeyedOperator, Operator, RecordOperator};
pub use output::{BATCH_BYTES, MapValues, Output, OutputKind};
pub use record::{Headers, Record, Timer};
pub use setup::Setup;
pub use state::{States, ValueState};
pub use wasmill_sdk_macros::{States, operator};
