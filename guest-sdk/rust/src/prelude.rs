//! What an operator needs: `use wasmill_sdk::prelude::*;`.

pub use crate::{
    Batch, BatchOperator, Bytes, Call, END_OF_TIME, Error, Json, KeyedCall, KeyedOperator, MapValues, Output, Postcard,
    Record, RecordOperator, Result, Setup, States, Text, Timer, TimerBatch, ValueState,
    backend::TimeDomain,
    log,
    metrics::{Counter, Gauge},
    operator,
};
