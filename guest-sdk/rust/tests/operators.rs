//! What operators declare, emit and report, shape by shape.

use serde::Deserialize;
use wasmill_sdk::{
    BATCH_BYTES, Operator,
    batch::{KEY_ABSENT, NO_TIME, VALUE_ABSENT},
    native::{Instance, description},
    prelude::*,
    testing::{Harness, Memory, Stored},
};

fn describe<O: Operator>(config: &str) -> Result<description::Description, String> {
    Instance::<O, Memory>::describe(config)
}

/// Emits each word with its length; a word too many is an error.
#[operator]
fn lengths(line: Record<'_, Option<Text>, Text>, out: &mut Output<Text, Option<u32>>) -> Result<()> {
    for word in line.value.split(' ') {
        if word == "bad" {
            return Err(Error::record("a bad word"));
        }
        out.emit(word, line.key.map(|_| word.len() as u32));
    }
    Ok(())
}

#[test]
fn a_function_is_described_by_its_types() {
    let described = describe::<lengths>("{}").unwrap();
    assert_eq!((described.name.as_str(), described.version.as_str()), ("wasmill-sdk", env!("CARGO_PKG_VERSION")));
    let [input] = &described.inputs[..] else { panic!("one input") };
    let columns = description::Columns::TIMESTAMPS | description::Columns::KEYS | description::Columns::VALUES;
    assert_eq!((input.name.as_str(), input.keyed, input.columns), ("in", false, columns));
    assert_eq!((input.key.name.as_str(), input.value.name.as_str()), ("text", "text"));
    let [output] = &described.outputs[..] else { panic!("one output") };
    assert_eq!((output.name.as_str(), output.key.name.as_str(), output.value.name.as_str()), ("out", "text", "u32"));
}

#[test]
fn nulls_are_read_and_written() {
    let mut harness = Harness::<lengths>::open("{}").unwrap();
    harness.push(Some("k"), "a bc", 5).unwrap();
    harness.push(None, "d", NO_TIME).unwrap();
    let text = String::from;
    let expected = [(text("a"), Some(1), Some(5)), (text("bc"), Some(2), Some(5)), (text("d"), None, None)];
    assert_eq!(harness.output(), expected);
}

#[test]
fn an_error_names_the_row_and_nothing_of_its_batch_is_emitted() {
    let mut harness = Harness::<lengths>::open("{}").unwrap();
    let mut batch = Batch::default();
    batch.push(1, None, Some(b"fine"));
    batch.push(1, None, Some(b"so bad"));
    let error = harness.process(0, batch).unwrap_err();
    assert_eq!(error, Error::Record { row: Some(1), message: "a bad word".to_string() });
    assert_eq!(harness.batches(), []);

    let mut batch = Batch::default();
    batch.push(1, None, Some(b"fine"));
    batch.push(1, None, Some(b"\xff"));
    batch.push(1, None, None);
    let error = harness.process(0, batch).unwrap_err();
    assert_eq!(
        error.to_string(),
        "row 1: the value cannot be read: it is not UTF-8: invalid utf-8 sequence of 1 bytes from index 0"
    );
    let mut batch = Batch::default();
    batch.push(1, None, None);
    let error = harness.process(0, batch).unwrap_err();
    assert_eq!(error.to_string(), "row 0: the value cannot be read: it is null; a codec `Option<...>` accepts null");
}

#[test]
fn much_output_goes_out_in_pieces_in_order() {
    let mut harness = Harness::<lengths>::open("{}").unwrap();
    let line = vec!["word"; 40_000].join(" ");
    harness.push(Some(""), &line, 0).unwrap();
    let batches = harness.batches();
    let rows: Vec<usize> = batches.iter().map(|(_, batch)| batch.rows()).collect();
    // A row takes 16 bytes beside a key of 4 and a value of 4.
    assert_eq!(rows[..rows.len() - 1], vec![BATCH_BYTES.div_ceil(24); rows.len() - 1]);
    assert_eq!(rows.iter().sum::<usize>(), 40_000);
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Threshold {
    least: u64,
}

/// Halves values, drops those that are too small, and makes a tombstone of 100.
struct Halve {
    least: u64,
    dropped: Counter,
    last: Gauge,
}

#[operator]
impl RecordOperator for Halve {
    type Key = ();
    type Value = u64;
    type Output = MapValues<Option<u64>>;

    fn open(setup: &mut Setup) -> Result<Self> {
        let Threshold { least } = setup.config()?;
        setup.read_headers();
        Ok(Halve { least, dropped: setup.counter("dropped"), last: setup.gauge("last") })
    }

    fn process(&mut self, record: Record<'_, (), u64>, call: &mut Call<'_>, out: &mut Self::Output) -> Result<()> {
        call.set(self.last, record.value as f64);
        if record.value < self.least {
            call.add(self.dropped, 1.0);
            return Ok(());
        }
        out.set(Some(0));
        out.set((record.value != 100).then_some(record.value / 2));
        let headers: Vec<_> = record.headers().collect();
        assert!(headers.is_empty() || headers == [(Some("n"), &b"v"[..])]);
        Ok(())
    }
}

/// Three rows; the second has headers, the third a null key.
fn three(values: [u64; 3]) -> Batch {
    let mut batch = Batch::default();
    batch.push(1, Some(b"a"), Some(&values[0].to_le_bytes()));
    batch.push(2, Some(b"bb"), Some(&values[1].to_le_bytes()));
    batch.push(3, None, Some(&values[2].to_le_bytes()));
    batch.headers = b"\x01\0\0\0n\x01\0\0\0v".to_vec();
    batch.header_ends = vec![0, 10, 10];
    batch
}

#[test]
fn other_columns_are_passed_on_when_values_are_mapped() {
    let mut harness = Harness::<Halve>::open(r#"{"least": 5}"#).unwrap();
    harness.process(0, three([8, 100, 12])).unwrap();
    let expected = Batch {
        value_ends: vec![8, 8, 16],
        values: [4u64.to_le_bytes(), 6u64.to_le_bytes()].concat(),
        flags: vec![0, VALUE_ABSENT, KEY_ABSENT],
        ..three([0; 3])
    };
    assert_eq!(harness.batches(), [(0, expected)]);
}

#[test]
fn rows_without_a_value_are_dropped_and_counted() {
    let mut harness = Harness::<Halve>::open(r#"{"least": 5}"#).unwrap();
    harness.process(0, three([1, 20, 2])).unwrap();
    let expected = Batch {
        timestamps: vec![2],
        key_ends: vec![2],
        keys: b"bb".to_vec(),
        value_ends: vec![8],
        values: 10u64.to_le_bytes().to_vec(),
        flags: vec![],
        header_ends: vec![10],
        headers: three([0; 3]).headers,
    };
    assert_eq!(harness.batches(), [(0, expected)]);
    harness.process(0, three([1, 2, 3])).unwrap();
    assert_eq!(harness.batches(), []);
    assert_eq!(
        (harness.metric("dropped"), harness.metric("last"), harness.metric("other")),
        (Some(5.0), Some(3.0), None)
    );
}

#[test]
fn configuration_is_checked_when_the_operator_is_described() {
    assert!(describe::<Halve>(r#"{"least": 1}"#).is_ok());
    assert_eq!(describe::<Halve>("{}").unwrap_err(), "config: missing field `least`");
    let unknown = describe::<Halve>(r#"{"least": 1, "most": 2}"#).unwrap_err();
    assert!(unknown.starts_with("config: unknown field `most`"), "{unknown}");
    assert!(describe::<Halve>("{").unwrap_err().starts_with("config is not JSON"));
    let untaken = "config: unknown key `speed`; this operator takes no configuration";
    assert_eq!(describe::<lengths>(r#"{"speed": 1}"#).unwrap_err(), untaken);
    let input = &describe::<Halve>(r#"{"least": 1}"#).unwrap().inputs[0];
    assert_eq!(input.columns, description::Columns::all());
}

/// Sums values per key; emits the sum a minute after the first value, unless a zero comes.
#[derive(States)]
struct Sum {
    sums: ValueState<i64>,
}

const MINUTE: i64 = 60_000;

#[operator]
impl KeyedOperator for Sum {
    type Key = Text;
    type Value = i64;
    type Output = MapValues<i64>;

    fn open(setup: &mut Setup) -> Result<Self> {
        setup.event_timers();
        setup.processing_timers();
        Ok(Sum { sums: setup.value_state("sums") })
    }

    fn process(&mut self, record: Record<'_, Text, i64>, call: &mut KeyedCall<'_>, _: &mut Self::Output) -> Result<()> {
        let time = record.timestamp().ok_or_else(|| Error::record("no time"))?;
        match record.value {
            0 => {
                self.sums.clear();
                call.delete_event_timer(MINUTE, 9);
                call.register_processing_timer(call.processing_time() + 1, 0);
            }
            value => {
                if self.sums.get().is_none() {
                    call.register_event_timer(time - time % MINUTE + MINUTE, 9);
                }
                self.sums.update(|sum| *sum += value);
            }
        }
        Ok(())
    }

    fn on_timer(&mut self, timer: Timer<'_, Text>, _: &mut KeyedCall<'_>, out: &mut Self::Output) -> Result<()> {
        if timer.domain() == TimeDomain::ProcessingTime {
            return Err(Error::record("unlucky"));
        }
        assert_eq!(timer.tag(), 9);
        if let Some(sum) = self.sums.get() {
            out.set(sum);
        }
        self.sums.clear();
        Ok(())
    }
}

#[test]
fn timers_fire_with_the_state_of_their_key() {
    let mut harness = Harness::<Sum>::open("{}").unwrap();
    for (key, value, time) in [("b", 1, 5), ("a", 2, 6), ("b", 3, MINUTE - 1), ("c", 4, MINUTE)] {
        harness.push(key, value, time).unwrap();
    }
    let timers: Vec<_> =
        harness.memory().timers(TimeDomain::EventTime).map(|(time, key, _)| (time, key.to_vec())).collect();
    let [a, b, c] = [b"a", b"b", b"c"].map(|key| key.to_vec());
    assert_eq!(timers, [(MINUTE, a), (MINUTE, b), (2 * MINUTE, c)]);
    harness.watermark(MINUTE - 1).unwrap();
    assert_eq!(harness.output(), []);
    harness.watermark(MINUTE).unwrap();
    // In the order time, key; with the key and time of the timer.
    assert_eq!(harness.output(), [("a".to_string(), 2, Some(MINUTE)), ("b".to_string(), 4, Some(MINUTE))]);
    let snapshot = harness.snapshot().unwrap();
    let mut harness = Harness::<Sum>::restore("{}", &snapshot, |_| ()).unwrap();
    harness.finish().unwrap();
    assert_eq!(harness.output(), [("c".to_string(), 4, Some(2 * MINUTE))]);
}

#[test]
fn a_timer_that_was_removed_does_not_fire_and_a_failure_names_the_timer() {
    let mut harness = Harness::<Sum>::open("{}").unwrap();
    harness.push("a", 1, 0).unwrap();
    harness.push("a", 0, 0).unwrap();
    harness.watermark(MINUTE).unwrap();
    assert_eq!(harness.output(), []);
    let error = harness.processing_time(1).unwrap_err();
    assert_eq!(error, Error::Batch("the timer of key a at 1: unlucky".to_string()));
}

#[test]
fn a_keyed_operator_declares_its_states_with_the_codec_of_its_keys() {
    let described = describe::<Sum>("{}").unwrap();
    let [state] = &described.states[..] else { panic!("one state") };
    assert_eq!((state.name.as_str(), state.key.name.as_str(), state.value.name.as_str()), ("sums", "text", "i64"));
    assert!(described.inputs[0].keyed);
    assert_eq!(described.timers, description::TimerDomains::all());
}

#[test]
fn a_state_that_is_not_held_is_found_out() {
    struct Forgetful;
    impl States for Forgetful {}
    #[operator]
    impl KeyedOperator for Forgetful {
        type Key = Text;
        type Value = ();
        type Output = Output<(), ()>;
        fn open(setup: &mut Setup) -> Result<Self> {
            let _: ValueState<u64> = setup.value_state("lost");
            Ok(Forgetful)
        }
        fn process(&mut self, _: Record<'_, Text, ()>, _: &mut KeyedCall<'_>, _: &mut Self::Output) -> Result<()> {
            Ok(())
        }
    }
    let error = describe::<Forgetful>("{}").unwrap_err();
    assert!(error.starts_with("`open` declares 1 states, but the operator holds 0"), "{error}");
}

#[test]
fn a_null_key_of_a_keyed_operator_is_an_error() {
    let mut harness = Harness::<Sum>::open("{}").unwrap();
    let mut batch = Batch::default();
    batch.push(1, Some(b"a"), Some(&1i64.to_le_bytes()));
    batch.push(1, None, Some(&1i64.to_le_bytes()));
    let error = harness.process(0, batch).unwrap_err();
    assert_eq!(error.to_string(), "row 1: its key is null, but the operator is keyed");
}

#[test]
fn stored_bytes_that_do_not_fit_are_the_jobs_error() {
    let mut harness = Harness::<Sum>::open("{}").unwrap();
    harness.push("a", 1, 0).unwrap();
    let mut snapshot = harness.snapshot().unwrap();
    snapshot.state.insert((0, b"a".to_vec()), Stored::Value(b"short".to_vec(), i64::MAX));
    let mut harness = Harness::<Sum>::restore("{}", &snapshot, |_| ()).unwrap();
    let error = harness.push("a", 1, 0).unwrap_err();
    let message = "state `sums`, key a: what is stored cannot be read as its codec: 5 bytes are no i64, which has 8";
    assert_eq!(error, Error::Job(message.to_string()));
}

/// What has no encoding as JSON: a map whose keys are no strings.
type Unencodable = Json<std::collections::BTreeMap<(u8, u8), u8>>;

/// Emits what has no encoding.
#[operator]
fn unencodable(_: Record<'_, (), Text>, out: &mut Output<(), Unencodable>) {
    out.emit((), &std::collections::BTreeMap::from([((1, 2), 3)]));
}

#[test]
fn what_has_no_encoding_is_the_records_error() {
    let mut harness = Harness::<unencodable>::open("{}").unwrap();
    let error = harness.push((), "x", 0).unwrap_err();
    assert_eq!(error.to_string(), "row 0: what it emits has no encoding: key must be a string");
    assert_eq!(harness.batches(), []);
}
