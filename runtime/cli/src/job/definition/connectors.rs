//! Holds the keys of sources and sinks.

use std::time::Duration;

use super::{
    Field, Kind, Table, Variant, Variants, Word, field,
    tables::{CHAIN, INPUT_FIELD, PARALLELISM},
    word,
};

const TIB: u64 = 1 << 40;

/// A source.
pub static SOURCE: Table = Table {
    header: "[source.ID]",
    doc: "A source: where rows come in.",
    fields: &[
        field("connector", Kind::Choice(SOURCE_CONNECTORS), "What kind of source it is.", "\"file\"").required(),
        PARALLELISM,
    ],
    variants: Some(Variants {
        tag: "connector",
        variants: &[
            Variant { name: "file", doc: "Reads files, spread over the subtasks.", fields: FILE_SOURCE },
            Variant {
                name: "stdin",
                doc: "Reads standard input. It has one subtask, whatever the job's `parallelism` is. What was read cannot be read \
                      again: while it is being read, the job can take no checkpoint, and cannot begin again after a failure.",
                fields: STDIN,
            },
            Variant { name: "generator", doc: "Makes rows up, the same ones for the same seed.", fields: GENERATOR },
            Variant {
                name: "nexmark",
                doc: "Makes the events of the benchmark Nexmark up: persons, auctions and bids of an auction site, the same ones at any \
                      parallelism. They have event time, and no keys.",
                fields: NEXMARK,
            },
        ],
    }),
};

const SOURCE_CONNECTORS: &[Word] = &[
    word("file", "one file, several, or all that match a pattern"),
    word("stdin", "standard input"),
    word("generator", "rows made up"),
    word("nexmark", "events of the benchmark Nexmark"),
];

const FILE_SOURCE: &[Field] = &[
    field(
        "path",
        Kind::Paths,
        "A file or a pattern (`*`, `?`, `**`, `[a-z]`), or a list of those. Names that end in `.gz` and `.zst` are decompressed.",
        "[\"data/*.jsonl\", \"more.jsonl.gz\"]",
    )
    .required(),
    FORMAT,
    KEY,
    TIME,
    DELIMITER,
    HEADER,
    ON_ERROR,
    MAX_LINE,
    field(
        "split-size",
        Kind::Size(4 << 10, TIB),
        "About how many bytes of a file one subtask reads as one piece. Compressed files and CSV are never split.",
        "\"8MiB\"",
    )
    .default("64MiB"),
];

const STDIN: &[Field] = &[FORMAT, KEY, TIME, DELIMITER, HEADER, ON_ERROR, MAX_LINE];

const FORMAT: Field = field("format", Kind::Choice(FORMATS), "What a row is.", "\"json\"").default("text");

const FORMATS: &[Word] = &[
    word("text", "a line; its value is `text`"),
    word("json", "a line that is one JSON value; its value is `json`"),
    word("csv", "a record of CSV; its value is a `json` object of strings by column"),
];

const KEY: Field = field(
    "key",
    Kind::Text,
    "Where a row's key is found: with `json` a JSON Pointer, with `csv` the name of a column. Without it rows have no key.",
    "\"/user/id\"",
)
.formats(&["json", "csv"]);

const TIME: Field = field(
    "event-time",
    Kind::Table(&EVENT_TIME),
    "Where a row's event time is found, and how late rows may be. Without it rows have no event time.",
    "",
)
.formats(&["json", "csv"]);

const DELIMITER: Field = field(
    "delimiter",
    Kind::Character,
    "What stands between the fields of a record: a tab, or a visible ASCII character but `\"`.",
    "\";\"",
)
.default(",")
.formats(&["csv"]);

const HEADER: Field = field(
    "header",
    Kind::Boolean,
    "Whether the first record names the columns. If not, they are called `1`, `2`, and so on.",
    "false",
)
.default("true")
.formats(&["csv"]);

const ON_ERROR: Field =
    field("on-error", Kind::Choice(ON_ERRORS), "What to do with a row that cannot be read.", "\"skip\"")
        .default("fail");

const ON_ERRORS: &[Word] =
    &[word("fail", "the job fails and names the row"), word("skip", "the row is counted and left out")];

const MAX_LINE: Field =
    field("max-line", Kind::Size(64, 1 << 30), "The longest line, or record of CSV, that is read, bytes.", "\"64KiB\"")
        .default("1MiB");

const GENERATOR: &[Field] = &[
    field("count", Kind::Integer(1, i64::MAX), "Rows in all. Default: without end.", "1000000"),
    field(
        "rate",
        Kind::Integer(1, 1_000_000_000),
        "Rows a second, of all subtasks together. Default: as fast as they are taken.",
        "1000",
    ),
    field("keys", Kind::Integer(0, i64::MAX), "How many different keys there are; with 0, rows have no key.", "10000")
        .default("1000"),
    field("seed", Kind::Integer(0, i64::MAX), "Which row has which key; default: the job's `seed`.", "7"),
    field("event-time", Kind::Table(&GENERATED_TIME), "The event time of rows. Without it they have none.", ""),
];

const NEXMARK: &[Field] = &[
    field("events", Kind::Integer(1, i64::MAX), "Events in all. Default: without end.", "1000000"),
    field(
        "rate",
        Kind::Integer(1, 1_000_000_000),
        "Events a second, of all subtasks together. Default: as fast as they are taken.",
        "1000",
    ),
    field(
        "base-time",
        Kind::Integer(0, 253_402_300_799_999),
        "Event time of the first event, milliseconds since the Unix epoch.",
        "1700000000000",
    )
    .default("1436918400000"),
    field("events-per-second", Kind::Integer(1, 1_000_000), "Events in a second of event time.", "100000").default("10000"),
    field(
        "out-of-order-group",
        Kind::Integer(1, 1_000_000),
        "Groups of so many events are shuffled, so that they are out of order; 1 leaves them in order. No multiple of 953.",
        "1",
    )
    .default("1000"),
    field("format", Kind::Choice(NEXMARK_FORMATS), "How events are written.", "\"json\"").default("postcard"),
    field("event-time", Kind::Table(&NEXMARK_TIME), "How watermarks are made.", ""),
];

const NEXMARK_FORMATS: &[Word] = &[
    word("postcard", "in serde's postcard format: the kind (0 person, 1 auction, 2 bid), then its fields"),
    word("json", "as a JSON object, with a `kind`"),
];

/// Where a row's event time is.
pub static EVENT_TIME: Table = Table {
    header: "[source.ID.event-time]",
    doc: "Where the event time of a row is found, and how late rows may be: of sources that read `json` or `csv`. A row in \
          which it is missing, null, empty or `NA` has no event time.",
    fields: &[
        field(
            "field",
            Kind::Text,
            "Where it stands in a row: with `json` a JSON Pointer, with `csv` the name of a column.",
            "\"/created\"",
        )
        .required(),
        field("format", Kind::Choice(TIME_FORMATS), "How it is written.", "\"seconds\"").default("rfc3339"),
        field("watermarks", Kind::Choice(ROW_WATERMARKS), WATERMARKS_DOC, "\"monotonic\"").default("bounded"),
        OUT_OF_ORDERNESS,
        field(
            "watermark-field",
            Kind::Text,
            "With the watermarks `from-record`: where a row carries one, written as `format` says. A row in which it is missing, \
             null, empty or `NA` carries none.",
            "\"/watermark\"",
        ),
        WATERMARK_ROWS,
        IDLE_AFTER,
        MAX_DRIFT,
        ALIGNMENT_GROUP,
    ],
    variants: None,
};

/// The event time of generated rows.
pub static GENERATED_TIME: Table = Table {
    header: "[source.ID.event-time] of a generator",
    doc: "The event time of generated rows: row number i, counted over all subtasks, has `start` + i x `interval`.",
    fields: &[
        field(
            "start",
            Kind::Integer(-62_135_596_800_000, 253_402_300_799_999),
            "Event time of the first row, milliseconds since the Unix epoch.",
            "1700000000000",
        )
        .default("0"),
        field(
            "interval",
            Kind::Duration(Duration::ZERO, Duration::from_secs(86_400)),
            "From one row to the next.",
            "\"10ms\"",
        )
        .default("1ms"),
        MADE_WATERMARKS,
        OUT_OF_ORDERNESS,
        WATERMARK_ROWS,
        IDLE_AFTER,
        MAX_DRIFT,
        ALIGNMENT_GROUP,
    ],
    variants: None,
};

/// The event time of events of Nexmark.
pub static NEXMARK_TIME: Table = Table {
    header: "[source.ID.event-time] of Nexmark",
    doc: "How watermarks are made of the event time that events of Nexmark have.",
    fields: &[
        MADE_WATERMARKS,
        field(
            "max-out-of-orderness",
            Kind::Duration(Duration::ZERO, Duration::from_secs(366 * 86_400)),
            "With the watermarks `bounded`: how far behind the highest event time so far an event may still come. Default: as far as \
             the generator puts them out of order.",
            "\"2s\"",
        ),
        WATERMARK_ROWS,
        IDLE_AFTER,
        MAX_DRIFT,
        ALIGNMENT_GROUP,
    ],
    variants: None,
};

const WATERMARKS_DOC: &str = "How far event time is known to have come. A watermark says that no row with its time or an \
                              earlier one is expected any more. See [watermarks](#watermarks).";

const BOUNDED: Word = word(
    "bounded",
    "rows come at most `max-out-of-orderness` behind the highest event time so far; the watermark is that less \
     `max-out-of-orderness` less 1 ms",
);

const MONOTONIC: Word =
    word("monotonic", "event times of a split never go down; the watermark is the highest less 1 ms");

const NO_WATERMARKS: Word = word("none", "none before the end of the input");

const ROW_WATERMARKS: &[Word] = &[
    BOUNDED,
    MONOTONIC,
    word("from-record", "rows carry them in `watermark-field`; each follows its row"),
    NO_WATERMARKS,
];

/// How the watermarks of rows are made that carry none.
pub(super) const MADE_WATERMARKS: Field =
    field("watermarks", Kind::Choice(&[BOUNDED, MONOTONIC, NO_WATERMARKS]), WATERMARKS_DOC, "\"monotonic\"")
        .default("bounded");

const OUT_OF_ORDERNESS: Field = field(
    "max-out-of-orderness",
    Kind::Duration(Duration::ZERO, Duration::from_secs(366 * 86_400)),
    "With the watermarks `bounded`: how far behind the highest event time so far a row may still come.",
    "\"2s\"",
)
.default("0s");

const WATERMARK_ROWS: Field = field(
    "watermark-rows",
    Kind::Integer(1, 1 << 20),
    "With the watermarks `bounded` or `monotonic`: after every how many rows of a split the watermark moves.",
    "100",
)
.default("1000");

const IDLE_AFTER: Field = field(
    "idle-after",
    Kind::Duration(Duration::from_millis(1), Duration::from_secs(366 * 86_400)),
    "After how long without a row a split is idle, and does not hold watermarks back; counted from the start, too. Default: \
     never. Splits of files never are.",
    "\"30s\"",
);

const MAX_DRIFT: Field = field(
    "max-drift",
    Kind::Duration(Duration::ZERO, Duration::from_secs(366 * 86_400)),
    "How far its watermark may be ahead of the slowest source of its `alignment-group`: beyond that it gives no rows until that \
     one has caught up. Default: no bound.",
    "\"10m\"",
);

const ALIGNMENT_GROUP: Field = field(
    "alignment-group",
    Kind::Name,
    "Which sources with a `max-drift` wait for each other: those that say the same here.",
    "\"orders\"",
)
.default("default");

const TIME_FORMATS: &[Word] = &[
    word("rfc3339", "as `2024-05-01T12:30:00Z`, with any offset"),
    word("milliseconds", "milliseconds since the Unix epoch"),
    word("seconds", "seconds since the Unix epoch; a fraction counts"),
];

/// A sink.
pub static SINK: Table = Table {
    header: "[sink.ID]",
    doc: "A sink: where rows go out.",
    fields: &[
        field("connector", Kind::Choice(SINK_CONNECTORS), "What kind of sink it is.", "\"file\"").required(),
        INPUT_FIELD,
        PARALLELISM,
        CHAIN,
    ],
    variants: Some(Variants {
        tag: "connector",
        variants: &[
            Variant {
                name: "file",
                doc: "Writes a folder of files, exactly once. Rows are in hidden files until a checkpoint is complete; then the \
                      files of each subtask since the last one appear, as `part-SUBTASK-CHECKPOINT`; with `partition-by`, in a folder for \
                      each partition.",
                fields: FILE_SINK,
            },
            Variant {
                name: "stdout",
                doc: "Writes rows to standard output as they come, whatever becomes of the job: after a failure those since the last \
                      checkpoint come again. Its subtasks take turns, whole lines at a time.",
                fields: STDOUT,
            },
            Variant {
                name: "discard",
                doc: "Drops rows; they are counted all the same. It has no further keys.",
                fields: &[],
            },
        ],
    }),
};

const SINK_CONNECTORS: &[Word] =
    &[word("file", "a folder of files"), word("stdout", "standard output"), word("discard", "nowhere")];

const FILE_SINK: &[Field] = &[
    field("path", Kind::Path, "The folder to write to.", "\"out\"").required(),
    OUT_FORMAT,
    WITH_KEY,
    SEPARATOR,
    field("compression", Kind::Choice(COMPRESSIONS), "How files are compressed.", "\"zstd\"").default("none"),
    field(
        "partition-by",
        Kind::Texts,
        "Which members of a value, a JSON object, tell the folder of a row: see [partitions](#partitions). They are left out of the \
         row. Default: all rows are in one folder.",
        "[\"day\", \"country\"]",
    ),
    field(
        "overwrite",
        Kind::Boolean,
        "Whether to replace an earlier result in the folder, once the first checkpoint of the new one is complete: part files, also in \
         partitions, and the folders of partitions that are empty then. If not, such a folder is an error.",
        "true",
    )
    .default("false"),
];

const STDOUT: &[Field] = &[OUT_FORMAT, WITH_KEY, SEPARATOR];

const OUT_FORMAT: Field =
    field("format", Kind::Choice(OUT_FORMATS), "How a row is written, one line a row.", "\"json\"").default("text");

const OUT_FORMATS: &[Word] = &[
    word("text", "the value by its codec, bytes in hexadecimal"),
    word("json", "an object of `timestamp` (where there is one), `key` (if asked for) and `value`"),
];

const WITH_KEY: Field =
    field("key", Kind::Boolean, "Whether the key is written too, before the value.", "true").default("false");

const SEPARATOR: Field =
    field("separator", Kind::Text, "What stands between key and value.", "\": \"").default("\t").formats(&["text"]);

const COMPRESSIONS: &[Word] =
    &[word("none", "not at all"), word("gzip", "with gzip, `.gz`"), word("zstd", "with Zstandard, `.zst`")];
