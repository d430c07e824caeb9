//! What an operator needs: `use wasmill_sdk::prelude::*;`.

pub use crate::{
    Aggregate, AggregatingState, Batch, BatchOperator, BroadcastCall, BroadcastState, Bytes, Call, Cursor, Deduplicate,
    END_OF_TIME, Error, IntervalJoin, Json, Keep, KeyedBroadcastOperator, KeyedCall, KeyedOperator,
    KeyedTwoInputOperator, ListState, MapState, MapValues, OrderedOperator, Output, Postcard, ProcessWindowOperator,
    Record, RecordOperator, ReducingState, Result, Setup, SideOutput, States, TemporalJoin, Text, Timer, TimerBatch,
    TopN, Trigger, Ttl, ValueState, Window, WindowJoin, WindowOperator, WindowTopN, Windows,
    backend::TimeDomain,
    log,
    metrics::{Counter, Gauge},
    operator,
};
