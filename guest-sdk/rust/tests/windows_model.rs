//! Windows of every kind against a model that holds all rows, with batches, watermarks, checkpoints and restores at random.

#[path = "windows_model/model.rs"]
mod model;

use std::{collections::BTreeMap, time::Duration};

use model::{Emitted, Kind, Model};
use proptest::prelude::*;
use serde::Deserialize;
use wasmill_sdk::{
    Operator,
    prelude::*,
    testing::{Harness, Snapshot},
    window::{Combine, PreAggregate, Rows, trigger::EventTimeTrigger},
};

#[derive(Debug, Clone, Deserialize)]
struct Config {
    /// Size, slide, offset; gap; n.
    sliding: Option<(u64, u64, u64)>,
    session: Option<u64>,
    count: Option<u64>,
    lateness: u64,
    /// Whether a trigger does what would be done without one.
    trigger: bool,
    processing_time: bool,
}

fn windows(setup: &Setup) -> Result<Windows> {
    let config: Config = setup.config()?;
    let ms = Duration::from_millis;
    let mut windows = match (config.sliding, config.session, config.count) {
        (Some((size, slide, offset)), ..) if size == slide => Windows::tumbling(ms(size)).offset(ms(offset)),
        (Some((size, slide, offset)), ..) => Windows::sliding(ms(size), ms(slide)).offset(ms(offset)),
        (_, Some(gap), _) => Windows::session(ms(gap)),
        (.., Some(n)) => return Ok(Windows::count(n)),
        _ => Windows::global(EventTimeTrigger),
    };
    if config.trigger {
        windows = windows.trigger(EventTimeTrigger);
    }
    if config.processing_time {
        windows = windows.processing_time();
    }
    Ok(windows.allowed_lateness(ms(config.lateness)))
}

/// Emits the numbers of a window's rows, gathered in a list.
struct Numbers;

#[operator(shared)]
impl WindowOperator for Numbers {
    type Key = u64;
    type Value = u64;
    type Accumulator = Postcard<Vec<u64>>;
    type Output = Output<u64, Postcard<(i64, i64, Vec<u64>)>>;

    fn open(setup: &mut Setup) -> Result<(Self, Windows)> {
        Ok((Numbers, windows(setup)?))
    }

    fn add(&mut self, record: &Record<'_, u64, u64>, numbers: &mut Vec<u64>) -> Result<()> {
        numbers.push(record.value);
        Ok(())
    }

    fn merge(&mut self, numbers: &mut Vec<u64>, other: &Vec<u64>) -> Result<()> {
        numbers.extend_from_slice(other);
        Ok(())
    }

    fn emit(&mut self, key: u64, window: Window, numbers: &Vec<u64>, out: &mut Self::Output) -> Result<()> {
        out.emit(key, &(window.start, window.end, numbers.clone()));
        Ok(())
    }
}

/// The same as one bit a row: an accumulator with nothing on the heap.
struct Bits;

#[operator(shared)]
impl WindowOperator for Bits {
    type Key = u64;
    type Value = u64;
    type Accumulator = u64;
    type Output = Output<u64, Postcard<(i64, i64, Vec<u64>)>>;

    fn open(setup: &mut Setup) -> Result<(Self, Windows)> {
        Ok((Bits, windows(setup)?))
    }

    fn add(&mut self, record: &Record<'_, u64, u64>, bits: &mut u64) -> Result<()> {
        *bits |= 1 << record.value;
        Ok(())
    }

    fn merge(&mut self, bits: &mut u64, other: &u64) -> Result<()> {
        *bits |= other;
        Ok(())
    }

    fn emit(&mut self, key: u64, window: Window, bits: &u64, out: &mut Self::Output) -> Result<()> {
        let rows = (0..64).filter(|row| bits >> row & 1 == 1).collect();
        out.emit(key, &(window.start, window.end, rows));
        Ok(())
    }
}

/// The same from all rows of the window.
struct Whole;

#[operator(shared)]
impl ProcessWindowOperator for Whole {
    type Key = u64;
    type Value = u64;
    type Output = Output<u64, Postcard<(i64, i64, Vec<u64>)>>;

    fn open(setup: &mut Setup) -> Result<(Self, Windows)> {
        Ok((Whole, windows(setup)?))
    }

    fn process(&mut self, key: u64, window: Window, rows: Rows<'_, u64>, out: &mut Self::Output) -> Result<()> {
        let rows = rows.map(|row| row.map(|row| row.value)).collect::<Result<Vec<_>>>()?;
        out.emit(key, &(window.start, window.end, rows));
        Ok(())
    }
}

wasmill_sdk::operators! { "numbers" => Numbers, "bits" => Bits, "whole" => Whole }

#[derive(Debug, Clone)]
enum Step {
    /// A batch of keys and times.
    Rows(Vec<(u64, i64)>),
    /// The watermark, or the clock, goes on by as much.
    Advance(i64),
    /// A checkpoint begins, and is taken in small steps while the rest goes on.
    Cut,
    /// What was taken last is restored.
    Restore,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let row = (0u64..3, -60i64..60);
    let step = prop_oneof![
        6 => prop::collection::vec(row, 1..6).prop_map(Step::Rows),
        4 => (0i64..25).prop_map(Step::Advance),
        1 => Just(Step::Cut),
        1 => Just(Step::Restore),
    ];
    prop::collection::vec(step, 1..24)
}

fn kinds() -> impl Strategy<Value = Kind> {
    prop_oneof![
        (1i64..20, 0i64..30).prop_map(|(size, offset)| Kind::Sliding { size, slide: size, offset }),
        (1i64..20, 1i64..20, 0i64..30).prop_map(|(size, slide, offset)| Kind::Sliding { size, slide, offset }),
        (1i64..12).prop_map(|gap| Kind::Session { gap }),
        (1usize..5).prop_map(|n| Kind::Count { n }),
        Just(Kind::Global),
    ]
}

fn config(kind: Kind, lateness: i64, trigger: bool, processing_time: bool) -> String {
    let which = match kind {
        Kind::Sliding { size, slide, offset } => format!("\"sliding\": [{size}, {slide}, {offset}],"),
        Kind::Session { gap } => format!("\"session\": {gap},"),
        Kind::Count { n } => format!("\"count\": {n},"),
        Kind::Global => String::new(),
    };
    format!("{{{which} \"lateness\": {lateness}, \"trigger\": {trigger}, \"processing_time\": {processing_time}}}")
}

/// By key, in order; the rows of a window in any order.
fn by_key(emitted: Vec<Emitted>) -> BTreeMap<u64, Vec<Emitted>> {
    let mut keys = BTreeMap::<u64, Vec<Emitted>>::new();
    for mut row in emitted {
        row.3.sort_unstable();
        keys.entry(row.0).or_default().push(row);
    }
    keys
}

fn batch(rows: &[(u64, i64)], first: u64) -> Batch {
    let mut batch = Batch::default();
    for (number, (key, time)) in (first..).zip(rows) {
        batch.push(*time, Some(&key.to_le_bytes()), Some(&number.to_le_bytes()));
    }
    batch
}

type OutRow = (u64, (i64, i64, Vec<u64>), Option<i64>);

fn emitted(rows: Vec<OutRow>) -> Vec<Emitted> {
    rows.into_iter().map(|(key, (start, end, rows), time)| (key, start, end, rows, time.unwrap_or(i64::MIN))).collect()
}

fn check<O: Operator>(config: &str, mut model: Model, steps: &[Step], cache: u64) -> Result<(), TestCaseError>
where
    O::Runs: wasmill_sdk::operator::TypedOperator<
            Key = u64,
            Value = u64,
            OutKey = u64,
            OutValue = Postcard<(i64, i64, Vec<u64>)>,
        >,
{
    let small = |context: &mut wasmill_sdk::Context| context.state_cache_bytes = cache;
    let mut harness = Harness::<O>::open_with(config, small).unwrap();
    let (mut first, mut late) = (0, 0);
    let mut cut: Option<(Model, u64)> = None;
    let mut saved: Option<(Snapshot, Model, u64)> = None;
    let mut now = if model.processing_time { 0 } else { -60 };
    for step in steps.iter().chain([&Step::Advance(1_000)]) {
        match step {
            Step::Rows(rows) if first as usize + rows.len() <= 64 => {
                harness.process(0, batch(rows, first)).unwrap();
                for (number, (key, time)) in (first..).zip(rows) {
                    model.row(number, *key, *time);
                }
                if model.processing_time {
                    model.advance(now);
                }
                first += rows.len() as u64;
            }
            Step::Rows(_) => {}
            Step::Advance(by) => {
                now += by;
                match model.processing_time {
                    true => harness.processing_time(now).unwrap(),
                    false => harness.watermark(now).unwrap(),
                }
                model.advance(now);
            }
            Step::Cut if cut.is_none() => {
                harness.cut().unwrap();
                cut = Some((model.clone(), first));
            }
            Step::Cut => {}
            Step::Restore => {
                if let Some((snapshot, of_then, at)) = &saved {
                    harness = Harness::restore(config, snapshot, small).unwrap();
                    (model, first, cut, late) = (of_then.clone(), *at, None, 0);
                    model.late.clear();
                    now = model.now.max(if model.processing_time { 0 } else { -60 });
                    match model.processing_time {
                        true => harness.processing_time(now).unwrap(),
                        false => harness.watermark(now).unwrap(),
                    }
                    model.advance(now);
                }
            }
        }
        if let Some((of_then, at)) = &cut
            && let Some(snapshot) = harness.step(30).unwrap()
        {
            saved = Some((snapshot, of_then.clone(), *at));
            cut = None;
        }
        let expected = std::mem::take(&mut model.emitted);
        prop_assert_eq!(by_key(emitted(harness.output())), by_key(expected), "after {:?}", step);
        let side: Vec<u64> = harness.side_output::<u64, u64>("late").into_iter().map(|(_, row, _)| row).collect();
        prop_assert_eq!(&side, &model.late, "after {:?}", step);
        late += side.len();
        prop_assert_eq!(harness.metric("late_records").unwrap_or(0.0), late as f64);
        model.late.clear();
    }
    while cut.is_some() && harness.step(1_000).unwrap().is_none() {}
    if !model.processing_time {
        harness.finish().unwrap();
        model.advance(i64::MAX);
        let expected = std::mem::take(&mut model.emitted);
        prop_assert_eq!(by_key(emitted(harness.output())), by_key(expected), "at the end");
    }
    if model.is_empty() {
        let left = harness.snapshot().unwrap();
        let entries: usize = left.state.iter().map(|state| format!("{state:?}").len()).sum();
        let fresh = Harness::<O>::open(config).unwrap().snapshot().unwrap();
        let none: usize = fresh.state.iter().map(|state| format!("{state:?}").len()).sum();
        prop_assert_eq!(entries, none, "state is left: {:?}", left.state);
        prop_assert_eq!(harness.memory().timers(TimeDomain::EventTime).count(), 0);
        prop_assert_eq!(harness.memory().timers(TimeDomain::ProcessingTime).count(), 0);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn windows_are_those_of_the_model(
        kind in kinds(),
        lateness in prop_oneof![Just(0), 0i64..20],
        trigger: bool,
        processing_time in prop::bool::weighted(0.2),
        shape in 0..3,
        cache in prop_oneof![Just(0u64), Just(1 << 20)],
        steps in steps(),
    ) {
        let is_global = matches!(kind, Kind::Count { .. } | Kind::Global);
        let processing_time = processing_time && !is_global;
        let lateness = if processing_time || is_global { 0 } else { lateness };
        let trigger = trigger && !processing_time && !is_global;
        let config = config(kind, lateness, trigger, processing_time);
        let model = Model::new(kind, lateness, processing_time);
        match shape {
            0 => check::<Numbers>(&config, model, &steps, cache)?,
            1 => check::<Bits>(&config, model, &steps, cache)?,
            _ => check::<Whole>(&config, model, &steps, cache)?,
        }
    }

    #[test]
    fn two_stages_are_as_one(
        size in 1i64..20,
        slide in 1i64..20,
        offset in 0i64..30,
        lateness in prop_oneof![Just(0), 0i64..20],
        steps in steps(),
    ) {
        let config = config(Kind::Sliding { size, slide, offset }, lateness, false, false);
        let mut one = Harness::<Bits>::open(&config).unwrap();
        let mut first = Harness::<PreAggregate<Bits>>::open(&config).unwrap();
        let mut second = Harness::<Combine<Bits>>::open(&config).unwrap();
        let (mut number, mut now) = (0, -60);
        // Of each window the last result: late rows of one pane make for one more result, not for one each.
        let (mut of_one, mut of_two) = (BTreeMap::new(), BTreeMap::new());
        for step in steps.iter().chain([&Step::Advance(1_000)]) {
            match step {
                Step::Rows(rows) if number as usize + rows.len() <= 64 => {
                    one.process(0, batch(rows, number)).unwrap();
                    first.process(0, batch(rows, number)).unwrap();
                    for (_, panes) in first.batches() {
                        second.process(0, panes).unwrap();
                    }
                    number += rows.len() as u64;
                }
                Step::Advance(by) => {
                    now += by;
                    one.watermark(now).unwrap();
                    second.watermark(now).unwrap();
                }
                Step::Rows(_) | Step::Cut | Step::Restore => {}
            }
            for (results, rows) in [(&mut of_one, one.output()), (&mut of_two, second.output())] {
                for (key, start, end, rows, time) in emitted(rows) {
                    results.insert((key, start, end), (rows, time));
                }
            }
            prop_assert_eq!(&of_one, &of_two, "after {:?}", step);
        }
        prop_assert_eq!(one.metric("late_records"), second.metric("late_records"));
    }
}
