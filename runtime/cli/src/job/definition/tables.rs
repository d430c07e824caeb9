//! Holds the keys of the whole job, its operators and their inputs, its limits and its engine.

use std::time::Duration;

use super::{CHECKPOINT, Field, Kind, RESTART, SINK, SOURCE, STATE, Table, Word, field, word};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const TIB: u64 = 1 << 40;

/// Number of subtasks of a node.
pub(super) const PARALLELISM: Field =
    field("parallelism", Kind::Integer(1, 32_768), "Number of parallel subtasks; default: the job's.", "4");

/// Whether a node may share a subtask with the one before it.
pub(super) const CHAIN: Field = field(
    "chain",
    Kind::Boolean,
    "Whether it may share a subtask with the node before it (a forward exchange between equal parallelism, no channel); \
     default: the job's `engine.chain`.",
    "false",
);

/// Where a node's rows come from.
pub(super) const INPUT_FIELD: Field = field(
    "input",
    Kind::Inputs(&INPUT),
    "Where its rows come from: `\"node\"`, `\"node.output\"`, a table, or a list of those. See [inputs](#inputs).",
    "\"lines\"",
)
.required();

/// The whole file.
pub static JOB: Table = Table {
    header: "the file itself",
    doc: "What the whole job has.",
    fields: &[
        field("name", Kind::Name, "What the job is called: letters, digits, `-` and `_`.", "\"wordcount\"").required(),
        field(
            "parallelism",
            Kind::Integer(1, 32_768),
            "Number of parallel subtasks of every node that does not say its own. At most `max-parallelism`.",
            "2",
        )
        .default("1"),
        field(
            "max-parallelism",
            Kind::Integer(1, 32_768),
            "Number of key groups: the most subtasks that a node can ever have. State is laid out by it.",
            "1024",
        )
        .default("128"),
        field(
            "seed",
            Kind::Integer(0, i64::MAX),
            "What random numbers are made of: those that operators ask for, and those of generators.",
            "7",
        )
        .default("0"),
        field(
            "mode",
            Kind::Choice(MODES),
            "When results appear. `batch` needs input that ends. See [batch mode](#batch-mode).",
            "\"batch\"",
        )
        .default("streaming"),
        field("limits", Kind::Table(&LIMITS), "What one instance of any operator may use.", ""),
        field("engine", Kind::Table(&ENGINE), "How rows travel. Results do not depend on it.", ""),
        field("state", Kind::Table(&STATE), "Where keyed state lives.", ""),
        field(
            "checkpoint",
            Kind::Table(&CHECKPOINT),
            "When checkpoints are taken, from which the job goes on after a failure.",
            "",
        ),
        field("restart", Kind::Table(&RESTART), "What follows a failure.", ""),
        field("source", Kind::Named(&SOURCE), "Where rows come in.", ""),
        field("operator", Kind::Named(&OPERATOR), "What transforms rows.", ""),
        field("sink", Kind::Named(&SINK), "Where rows go out.", ""),
    ],
    variants: None,
};

const MODES: &[Word] = &[
    word("streaming", "as soon as the watermark says so"),
    word("batch", "once, when the whole input is through: until then there is no watermark and no timer fires"),
];

/// What an instance may use.
pub static LIMITS: Table = Table {
    header: "[limits], [operator.ID.limits]",
    doc: "What one instance of an operator may use. `[limits]` is for all operators, `[operator.ID.limits]` for one: what \
          it does not say is as in `[limits]`. An operator that goes beyond fails with an error that names the limit; its `on-error` \
          says what that means for the job.",
    fields: &[
        field(
            "memory",
            Kind::Size(64 * KIB, 4 * GIB),
            "Linear memory of the instance, all its modules together. Python and JavaScript need about 80 MiB.",
            "\"512MiB\"",
        )
        .default("256MiB"),
        field(
            "call-budget",
            Kind::Duration(Duration::from_millis(10), Duration::from_secs(86_400)),
            "Running time of one call: the batch, the timers or the part of a snapshot that it is given. Waiting is not \
             counted.",
            "\"2s\"",
        )
        .default("10s"),
        field(
            "max-batch-size",
            Kind::Size(4 * KIB, GIB),
            "Bytes that may cross between engine and operator in one call.",
            "\"16MiB\"",
        )
        .default("64MiB"),
    ],
    variants: None,
};

/// How rows travel.
pub static ENGINE: Table = Table {
    header: "[engine]",
    doc: "How rows travel, and what the job may use in all. Results do not depend on it.",
    fields: &[
        field("batch-size", Kind::Size(64, 64 * MIB), "About how many bytes a batch holds.", "\"64KiB\"").default("256KiB"),
        field("batch-rows", Kind::Integer(1, 1 << 20), "At most how many rows a batch of a source holds.", "1000")
            .default("16384"),
        field(
            "linger",
            Kind::Duration(Duration::ZERO, Duration::from_secs(60)),
            "How long rows wait for their batch to fill when the stream is slow.",
            "\"50ms\"",
        )
        .default("5ms"),
        field("channel-batches", Kind::Integer(1, 1024), "How many batches a channel between two subtasks holds.", "2")
            .default("4"),
        field(
            "gate-size",
            Kind::Size(64, 4 * GIB),
            "How many bytes all channels into one subtask hold together; each is sure of one batch beyond that.",
            "\"4MiB\"",
        )
        .default("16MiB"),
        field(
            "outbox-size",
            Kind::Size(64, 4 * GIB),
            "Over how many emitted bytes an operator's call is suspended until they have been taken.",
            "\"256KiB\"",
        )
        .default("1MiB"),
        field(
            "memory",
            Kind::Size(MIB, 64 * TIB),
            "What the whole job may use: linear memory of all instances, channels, timers, state that is not stored yet and \
             the store's cache. Beyond it the job fails with an error that names what wanted more.",
            "\"16GiB\"",
        )
        .default("4GiB"),
        field(
            "chain",
            Kind::Boolean,
            "Whether nodes share subtasks where they can. An operator or a sink can say otherwise for itself.",
            "false",
        )
        .default("true"),
        field(
            "interleaving-seed",
            Kind::Integer(0, i64::MAX),
            "For tests: subtasks go on one at a time, in an order that this number decides, as it does how batches are cut. The same \
             number, the same run, row for row. It is slow; time is the number of turns, and no checkpoint is taken but the last. \
             `wasmill test --interleavings` tries many.",
            "17",
        ),
    ],
    variants: None,
};

const ON_ERROR: &[Word] = &[
    word("fail", "the job fails, and `[restart]` says what follows"),
    word(
        "dead-letter",
        "the record goes to the output `dead-letter` with the error, and the job goes on as if it had never come",
    ),
];

/// An operator.
pub static OPERATOR: Table = Table {
    header: "[operator.ID]",
    doc: "An operator: a WebAssembly component.",
    fields: &[
        field("component", Kind::Path, "The component's file, as `wasmill build` makes it.", "\"split/split.wasm\"")
            .required(),
        INPUT_FIELD,
        PARALLELISM,
        CHAIN,
        field(
            "config",
            Kind::Json,
            "Any table; the operator gets it as one JSON object. Dates and times become strings.",
            "{ separator = \",\" }",
        ),
        field(
            "on-error",
            Kind::Choice(ON_ERROR),
            "What becomes of a record that the operator cannot process, be it that it says so, traps or goes beyond a limit. \
             See [dead letters](#dead-letters).",
            "\"dead-letter\"",
        )
        .default("fail"),
        field("limits", Kind::Table(&LIMITS), "What one instance of this operator may use.", ""),
    ],
    variants: None,
};

/// One edge into a node.
pub static INPUT: Table = Table {
    header: "input",
    doc: "One stream into an operator or a sink, where a name alone does not say enough.",
    fields: &[
        field(
            "from",
            Kind::Text,
            "The node the rows come from: `\"node\"` (its first output), or `\"node.output\"`.",
            "\"count.late\"",
        )
        .required(),
        field(
            "as",
            Kind::Text,
            "Which input of the operator they go to. Needed only where it has several.",
            "\"left\"",
        ),
        field(
            "exchange",
            Kind::Choice(EXCHANGES),
            "How rows are spread over the subtasks. Default: `hash` into a keyed input; else `forward` where both nodes have \
             the same parallelism, and `rebalance` where they have not.",
            "\"rebalance\"",
        ),
    ],
    variants: None,
};

const EXCHANGES: &[Word] = &[
    word("forward", "to the subtask of the same index; both nodes must have the same parallelism"),
    word("hash", "by the key of the row: equal keys go to the same subtask"),
    word("rebalance", "evenly, in turn"),
    word("broadcast", "every row to every subtask"),
];
