//! What an operator needs: `use wasmill_sdk::prelude::*;`.

pub use crate::{
    Aggregate, AggregatingState, Batch, BatchOperator, BroadcastCall, BroadcastState, Bytes, Call, Cursor, END_OF_TIME,
    Error, Json, KeyedBroadcastOperator, KeyedCall, KeyedOperator, ListState, MapState, MapValues, Output, Postcard,
    ProcessWindowOperator, Record, RecordOperator, ReducingState, Result, Setup, SideOutput, States, Text, Timer,
    TimerBatch, Trigger, Ttl, ValueState, Window, WindowOperator, Windows,
    backend::TimeDomain,
    log,
    metrics::{Counter, Gauge},
    operator,
};
