//! Joins, deduplication, rankings and rows in order against models that see all rows at once, with rows of both inputs, watermarks and
//! restores in any order.

use std::{collections::BTreeMap, time::Duration};

use proptest::prelude::*;
use serde::Deserialize;
use wasmill_sdk::{
    deduplicate::Keep as Kept,
    join::{Interval, JoinKind, JoinRow},
    operator::TypedTwoInputs,
    prelude::*,
    testing::Harness,
    top_n::{Top, TopRow},
};

/// A row: input, key, time, value.
type Row = (bool, u64, i64, u64);

/// What an operator emits: key, time, and what it says.
type Told<T> = Vec<(u64, i64, T)>;

/// Rows in the order in which they come, each with its number as value, and after how many of them the operator is restored.
fn rows(keys: u64, times: i64) -> impl Strategy<Value = (Vec<Row>, usize, Vec<u8>)> {
    let row = (any::<bool>(), 0..keys, -10..times);
    (proptest::collection::vec(row, 0..60), 0..60usize, proptest::collection::vec(any::<u8>(), 60)).prop_map(
        |(rows, restored, steps)| {
            let number = |(at, (right, key, time)): (usize, (bool, u64, i64))| (right, key, time, at as u64);
            (rows.into_iter().enumerate().map(number).collect(), restored, steps)
        },
    )
}

/// The highest watermark that no row from number `at` on is behind, a bit less for some steps.
fn watermark(rows: &[Row], at: usize, step: u8) -> Option<i64> {
    let lowest = rows[at..].iter().map(|row| row.2).min().unwrap_or(1_000);
    // Now and then none is told, and now and then it lags.
    (!step.is_multiple_of(3)).then(|| lowest - 1 - i64::from(step % 4))
}

/// Runs an operator of two inputs over rows; what it told, sorted, and that it is left without state.
fn join<O>(
    config: &str,
    (rows, restored, steps): &(Vec<Row>, usize, Vec<u8>),
    push_right: fn(&mut Harness<O>, u64, u64, i64) -> Result<()>,
) -> Told<String>
where
    O: wasmill_sdk::Operator,
    O::Runs: TypedTwoInputs<Key = u64, Value = u64, OutKey = u64, OutValue = Text>,
{
    let mut harness = Harness::<O>::open(config).unwrap();
    let mut told = Vec::new();
    let mut now = i64::MIN;
    for (at, (right, key, time, value)) in rows.iter().enumerate() {
        if let Some(next) = watermark(rows, at, steps[at]).filter(|next| *next > now) {
            harness.watermark(next).unwrap();
            now = next;
        }
        if at == *restored {
            told.extend(harness.output());
            let snapshot = harness.snapshot().unwrap();
            harness = Harness::restore(config, &snapshot, |_| {}).unwrap();
            if now > i64::MIN {
                harness.watermark(now).unwrap();
            }
        }
        match right {
            false => harness.push_left(*key, *value, *time).unwrap(),
            true => push_right(&mut harness, *key, *value, *time).unwrap(),
        }
    }
    harness.finish().unwrap();
    assert_eq!(harness.metric("late_records").unwrap_or(0.0), 0.0, "no row is late");
    told.extend(harness.output());
    let mut told: Vec<_> = told.into_iter().map(|(key, text, time)| (key, time.unwrap(), text)).collect();
    told.sort();
    told
}

fn sorted(mut told: Told<String>) -> Told<String> {
    told.sort();
    told
}

fn shown(left: Option<u64>, right: Option<u64>) -> String {
    format!("{left:?} {right:?}")
}

#[derive(Debug, Clone, Deserialize)]
struct WindowConfig {
    size: u64,
    slide: u64,
    gap: Option<u64>,
    kind: u8,
}

struct ByWindow;

#[operator(shared)]
impl WindowJoin for ByWindow {
    type Key = u64;
    type Left = u64;
    type Right = u64;
    type Output = Output<u64, Text>;

    fn open(setup: &mut Setup) -> Result<(Self, Windows, JoinKind)> {
        let config: WindowConfig = setup.config()?;
        let ms = Duration::from_millis;
        let windows = match config.gap {
            Some(gap) => Windows::session(ms(gap)),
            None if config.size == config.slide => Windows::tumbling(ms(config.size)),
            None => Windows::sliding(ms(config.size), ms(config.slide)),
        };
        let kinds = [JoinKind::Inner, JoinKind::LeftOuter, JoinKind::RightOuter, JoinKind::FullOuter];
        Ok((ByWindow, windows, kinds[usize::from(config.kind % 4)]))
    }

    fn join(
        &mut self,
        key: u64,
        window: Window,
        left: Option<JoinRow<'_, u64>>,
        right: Option<JoinRow<'_, u64>>,
        out: &mut Self::Output,
    ) -> Result<()> {
        let pair = shown(left.map(|row| row.value), right.map(|row| row.value));
        out.emit(key, &format!("{}-{} {pair}", window.start, window.end));
        Ok(())
    }
}

/// The windows of a key's rows, by the definition.
fn windows_of(times: &[i64], config: &WindowConfig) -> Vec<(i64, i64)> {
    let mut windows = Vec::new();
    if let Some(gap) = config.gap {
        let mut times = times.to_vec();
        times.sort_unstable();
        for time in times {
            match windows.last_mut() {
                // Windows that touch are one, as in Flink.
                Some((_, end)) if time <= *end => *end = (*end).max(time + gap as i64),
                _ => windows.push((time, time + gap as i64)),
            }
        }
        return windows;
    }
    let (size, slide) = (config.size as i64, config.slide as i64);
    for time in times {
        let last = time - time.rem_euclid(slide);
        windows.extend((0..).map(|i| last - i * slide).take_while(|start| start + size > *time).map(|s| (s, s + size)));
    }
    windows.sort_unstable();
    windows.dedup();
    windows
}

fn by_window(rows: &[Row], config: &WindowConfig) -> Told<String> {
    let mut told = Vec::new();
    let mut keys: BTreeMap<u64, Vec<&Row>> = BTreeMap::new();
    rows.iter().for_each(|row| keys.entry(row.1).or_default().push(row));
    for (key, rows) in keys {
        let times: Vec<i64> = rows.iter().map(|row| row.2).collect();
        for (start, end) in windows_of(&times, config) {
            let side = |right: bool| -> Vec<u64> {
                let inside = rows.iter().filter(|row| row.0 == right && (start..end).contains(&row.2));
                inside.map(|row| row.3).collect()
            };
            let (left, right) = (side(false), side(true));
            let mut tell = |l: Option<u64>, r: Option<u64>| {
                told.push((key, end - 1, format!("{start}-{end} {}", shown(l, r))));
            };
            left.iter().for_each(|l| right.iter().for_each(|r| tell(Some(*l), Some(*r))));
            if right.is_empty() && matches!(config.kind % 4, 1 | 3) {
                left.iter().for_each(|l| tell(Some(*l), None));
            }
            if left.is_empty() && matches!(config.kind % 4, 2 | 3) {
                right.iter().for_each(|r| tell(None, Some(*r)));
            }
        }
    }
    sorted(told)
}

struct WithinInterval;

#[operator(shared)]
impl IntervalJoin for WithinInterval {
    type Key = u64;
    type Left = u64;
    type Right = u64;
    type Output = Output<u64, Text>;

    fn open(setup: &mut Setup) -> Result<(Self, Interval)> {
        let (lower, upper): (i64, i64) = setup.config::<BTreeMap<String, (i64, i64)>>()?["interval"];
        Ok((WithinInterval, Interval::between(lower, upper).upper_exclusive()))
    }

    fn join(
        &mut self,
        key: u64,
        left: JoinRow<'_, u64>,
        right: JoinRow<'_, u64>,
        out: &mut Self::Output,
    ) -> Result<()> {
        out.emit(key, &shown(Some(left.value), Some(right.value)));
        Ok(())
    }
}

struct AsOf;

#[operator(shared)]
impl TemporalJoin for AsOf {
    type Key = u64;
    type Left = u64;
    type Right = u64;
    type Output = Output<u64, Text>;

    fn open(_: &mut Setup) -> Result<(Self, JoinKind)> {
        Ok((AsOf, JoinKind::LeftOuter))
    }

    fn join(
        &mut self,
        key: u64,
        left: JoinRow<'_, u64>,
        right: Option<JoinRow<'_, u64>>,
        out: &mut Self::Output,
    ) -> Result<()> {
        out.emit(key, &shown(Some(left.value), right.map(|row| row.value)));
        Ok(())
    }
}

/// Emits each row with the one before it of its key.
#[derive(States)]
struct InOrder {
    before: ValueState<u64>,
}

#[operator(shared)]
impl OrderedOperator for InOrder {
    type Key = u64;
    type Value = u64;
    type Output = Output<u64, Text>;

    fn open(setup: &mut Setup) -> Result<Self> {
        Ok(InOrder { before: setup.value_state("before") })
    }

    fn process(&mut self, row: Record<'_, u64, u64>, _: &mut KeyedCall<'_>, out: &mut Self::Output) -> Result<()> {
        out.emit(row.key, &shown(self.before.get(), Some(row.value)));
        self.before.set(row.value);
        Ok(())
    }
}

struct FirstByTime;

#[operator(shared)]
impl Deduplicate for FirstByTime {
    type Key = u64;
    type Value = u64;

    fn open(_: &mut Setup) -> Result<(Self, Kept)> {
        Ok((FirstByTime, Kept::first_by_time()))
    }
}

struct Highest;

#[operator(shared)]
impl TopN for Highest {
    type Key = u64;
    type Value = u64;
    type Order = i64;
    type Output = Output<u64, Postcard<(u64, u64)>>;

    fn open(_: &mut Setup) -> Result<(Self, Top)> {
        Ok((Highest, Top::highest(3)))
    }

    fn order(&self, row: &Record<'_, u64, u64>) -> i64 {
        row.timestamp().unwrap_or_default()
    }

    fn emit(&mut self, key: u64, row: TopRow<'_, u64>, out: &mut Self::Output) -> Result<()> {
        out.emit(key, &(row.rank, row.value));
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Sessions end an odd time after rows of even times: whether two that touch become one depends on whether the first has come
    /// out before, as in Flink.
    #[test]
    fn window_joins(
        (mut rows, restored, steps) in rows(3, 60), size in 1..25u64, slices in 1..4u64,
        gap in proptest::option::of(1..15u64), kind in 0..4u8
    ) {
        if gap.is_some() {
            rows.iter_mut().for_each(|row| row.2 *= 2);
        }
        let config = WindowConfig { size: size * slices, slide: size, gap: gap.map(|gap| 2 * gap + 1), kind };
        let text = serde_json::json!({ "size": config.size, "slide": config.slide, "gap": config.gap, "kind": kind });
        let expected = by_window(&rows, &config);
        let found = join::<ByWindow>(&text.to_string(), &(rows, restored, steps), |harness, key, row, at| {
            harness.push_right(key, row, at)
        });
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn interval_joins(input in rows(3, 60), lower in -20..20i64, length in 1..20i64) {
        let upper = lower + length;
        let mut expected = Vec::new();
        for left in input.0.iter().filter(|row| !row.0) {
            let joined = |row: &&Row| row.0 && row.1 == left.1 && (left.2 + lower..left.2 + upper).contains(&row.2);
            for right in input.0.iter().filter(joined) {
                expected.push((left.1, left.2.max(right.2), shown(Some(left.3), Some(right.3))));
            }
        }
        let config = format!("{{\"interval\": [{lower}, {upper}]}}");
        prop_assert_eq!(join::<WithinInterval>(&config, &input, |harness, key, row, at| harness.push_right(key, row, at)), sorted(expected));
    }

    #[test]
    fn temporal_joins(input in rows(3, 60)) {
        // Of versions of one time the last that came counts, and the number of a row is when it came.
        let version = |left: &Row| {
            let versions = input.0.iter().filter(|row| row.0 && row.1 == left.1 && row.2 <= left.2);
            versions.max_by_key(|row| (row.2, row.3)).map(|row| row.3)
        };
        let left = input.0.iter().filter(|row| !row.0);
        let expected = left.map(|row| (row.1, row.2, shown(Some(row.3), version(row)))).collect();
        prop_assert_eq!(join::<AsOf>("{}", &input, |harness, key, row, at| harness.push_right(key, Some(row), at)), sorted(expected));
    }

    #[test]
    fn rows_in_order((rows, restored, steps) in rows(3, 60)) {
        let mut harness = Harness::<InOrder>::open("{}").unwrap();
        let (mut told, mut now) = (Vec::new(), i64::MIN);
        for (at, (_, key, time, value)) in rows.iter().enumerate() {
            if let Some(next) = watermark(&rows, at, steps[at]).filter(|next| *next > now) {
                harness.watermark(next).unwrap();
                now = next;
            }
            if at == restored {
                told.extend(harness.output());
                harness = Harness::restore("{}", &harness.snapshot().unwrap(), |_| {}).unwrap();
                if now > i64::MIN {
                    harness.watermark(now).unwrap();
                }
            }
            harness.push(*key, *value, *time).unwrap();
        }
        harness.finish().unwrap();
        told.extend(harness.output());
        let told: Vec<_> = told.into_iter().map(|(key, text, time)| (key, time.unwrap(), text)).collect();
        let mut ordered = rows.clone();
        // The bytes of these values are in the order of their first ones.
        ordered.sort_by_key(|row| (row.1, row.2, row.3));
        let (mut expected, mut before) = (Vec::new(), None);
        for (_, key, time, value) in ordered {
            let last = before.filter(|(last, _)| *last == key).map(|(_, value)| value);
            expected.push((key, time, shown(last, Some(value))));
            before = Some((key, value));
        }
        prop_assert_eq!(sorted(told), sorted(expected));
    }

    #[test]
    fn the_first_of_each_key((rows, _, steps) in rows(5, 60)) {
        let mut harness = Harness::<FirstByTime>::open("{}").unwrap();
        let mut now = i64::MIN;
        for (at, (_, key, time, value)) in rows.iter().enumerate() {
            if let Some(next) = watermark(&rows, at, steps[at]).filter(|next| *next > now) {
                harness.watermark(next).unwrap();
                now = next;
            }
            harness.push(*key, *value, *time).unwrap();
        }
        harness.finish().unwrap();
        let mut told: Vec<_> = harness.output().into_iter().map(|(key, value, time)| (key, time.unwrap(), value)).collect();
        told.sort_unstable();
        let mut first = BTreeMap::new();
        for (_, key, time, value) in &rows {
            let row = (*time, *value);
            first.entry(*key).and_modify(|held: &mut (i64, u64)| *held = row.min(*held)).or_insert(row);
        }
        let expected: Vec<_> = first.into_iter().map(|(key, (time, value))| (key, time, value)).collect();
        prop_assert_eq!(told, expected);
    }

    /// Updates, put together by key and rank, are the three latest rows of each key.
    #[test]
    fn rankings((rows, restored, _) in rows(4, 1_000)) {
        let mut harness = Harness::<Highest>::open("{}").unwrap();
        let mut ranks: BTreeMap<(u64, u64), u64> = BTreeMap::new();
        for (at, (_, key, time, value)) in rows.iter().enumerate() {
            if at == restored {
                harness = Harness::restore("{}", &harness.snapshot().unwrap(), |_| {}).unwrap();
            }
            harness.push(*key, *value, *time).unwrap();
            ranks.extend(harness.output().into_iter().map(|(key, (rank, value), _)| ((key, rank), value)));
        }
        let mut keys: BTreeMap<u64, Vec<(i64, u64)>> = BTreeMap::new();
        rows.iter().for_each(|(_, key, time, value)| keys.entry(*key).or_default().push((-time, *value)));
        let mut expected = BTreeMap::new();
        for (key, mut rows) in keys {
            rows.sort_unstable();
            expected.extend((1..=3).zip(rows).map(|(rank, (_, value))| ((key, rank), value)));
        }
        prop_assert_eq!(ranks, expected);
    }
}
