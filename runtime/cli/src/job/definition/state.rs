//! Holds the keys that say where state lives, when checkpoints are taken and what follows a failure.

use std::time::Duration;

use super::{Kind, Table, Word, field, word};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const TIB: u64 = 1 << 40;

const DAY: Duration = Duration::from_secs(86_400);
const WEEK: Duration = Duration::from_secs(7 * 86_400);

/// Where keyed state lives.
pub static STATE: Table = Table {
    header: "[state]",
    doc: "Where keyed state lives, and what of it is in memory.",
    fields: &[
        field(
            "directory",
            Kind::Path,
            "Folder of the job's state and checkpoints. A job that is run with it again goes on from the last checkpoint in it. \
             Without it they are in a temporary folder: attempts of one run go on from there, but it is removed at the end, and \
             the next run begins anew.",
            "\"state\"",
        ),
        field(
            "cache",
            Kind::Size(64 * KIB, 4 * GIB),
            "How much of its state an instance is asked to cache in its own memory. Counts against its `memory` limit, which should \
             be twice as much. About 80 bytes a key of a small value are needed; where keys do not fit, records cost several \
             times as much.",
            "\"16MiB\"",
        )
        .default("128MiB"),
        field("store-cache", Kind::Size(MIB, TIB), "Page cache of the job's store.", "\"256MiB\"").default("64MiB"),
        field(
            "write-buffer",
            Kind::Size(64 * KIB, TIB),
            "When a subtask holds more bytes of changes that no checkpoint has, one is taken early. Four times as much of the \
             whole job is appended to the store before it is folded.",
            "\"16MiB\"",
        )
        .default("64MiB"),
    ],
    variants: None,
};

/// When checkpoints are taken.
pub static CHECKPOINT: Table = Table {
    header: "[checkpoint]",
    doc: "When checkpoints are taken. A checkpoint is the state of all operators and the positions of all sources at one moment: \
          after a failure the job goes on from the last one as if nothing had happened. Rows in file sinks appear when a \
          checkpoint after them is complete. See [state](state.md).",
    fields: &[
        field(
            "interval",
            Kind::Duration(Duration::from_millis(1), WEEK),
            "From the start of one checkpoint to the start of the next. A short one means that less is done again after a \
             failure, and that rows appear sooner; each one costs writing what has changed since the last. Without it there \
             is only the one that ends a bounded job, and those that are taken because changed state fills memory.",
            "\"10s\"",
        ),
        field(
            "timeout",
            Kind::Duration(Duration::from_millis(10), WEEK),
            "A checkpoint that takes longer has failed.",
            "\"1m\"",
        )
        .default("10m"),
        field(
            "min-pause",
            Kind::Duration(Duration::ZERO, WEEK),
            "At least so long from the end of one checkpoint to the start of the next, so that slow ones do not follow each \
             other without rest. It may be longer than `interval`, and then counts. Needs an `interval`.",
            "\"500ms\"",
        )
        .default("0s"),
        field(
            "tolerated-failures",
            Kind::Integer(0, 1_000_000),
            "How many checkpoints in a row may fail without harm: what one should have stored is stored by the next. One more \
             is a failure of the job, and `[restart]` says what follows.",
            "3",
        )
        .default("0"),
        field(
            "keep",
            Kind::Integer(1, 1_000),
            "How many complete checkpoints are kept. With more than one, an earlier one is used where the last is damaged; \
             the store holds what has changed between them.",
            "3",
        )
        .default("1"),
    ],
    variants: None,
};

/// What follows a failure.
pub static RESTART: Table = Table {
    header: "[restart]",
    doc: "What follows a failure: another attempt in the same process, from the last complete checkpoint, or from the beginning \
          where there is none; or the end of the job. What sinks that commit had not shown by then is dropped and made again. A \
          job with neither this table nor a `checkpoint.interval` ends with its first failure, as in Flink: there is nothing \
          to go back to.",
    fields: &[
        field("strategy", Kind::Choice(STRATEGIES), "What follows.", "\"fixed-delay\"").default("exponential-delay"),
        field(
            "delay",
            Kind::Duration(Duration::ZERO, DAY),
            "How long to wait before the next attempt; with `exponential-delay` before the first. Not with `none`.",
            "\"5s\"",
        )
        .default("1s"),
        field(
            "max-delay",
            Kind::Duration(Duration::ZERO, DAY),
            "The longest wait. With `exponential-delay` only; not shorter than `delay`.",
            "\"5m\"",
        )
        .default("1m"),
        field(
            "attempts",
            Kind::Count(0, 1_000_000),
            "How many further attempts are made in a row; then the job ends with the last error. A complete checkpoint begins \
             the count, and the delays, anew. Not with `none`.",
            "3",
        )
        .default("10"),
    ],
    variants: None,
};

const STRATEGIES: &[Word] = &[
    word("none", "the job ends with the error"),
    word("fixed-delay", "another attempt after `delay`"),
    word(
        "exponential-delay",
        "another attempt after `delay`, which doubles with every failure in a row up to `max-delay`",
    ),
];
