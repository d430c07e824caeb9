//! Measures what a timer costs in memory and time: set, fired, deleted, handed over at a checkpoint, restored.
//!
//! ```text
//! cargo bench -p wasmill-core --bench timers -- [timers] [key bytes] [windows|spread]
//! ```
//!
//! `windows`: many timers at each time, as the ends of windows; `spread`: hardly two at the same time. Memory is what the
//! process has resident, so each combination is a process of its own.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use wasmill_core::time::{TimeDomain::EventTime, TimerBatch, TimerQueue};

/// Timers that are set in one call.
const BATCH: usize = 1_024;

/// Resident bytes of this process; 0 where the machine does not tell.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).unwrap_or(0) * 4_096
}

/// Time that this process has had a processor, so that its neighbours count less; where the machine does not tell, time. It moves
/// in steps of some milliseconds: what is shorter is measured with [`Instant`].
fn now() -> Duration {
    static BEGUN: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
    let told = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    let nanoseconds = told.split(' ').next().and_then(|nanoseconds| nanoseconds.parse().ok());
    nanoseconds.map_or_else(|| BEGUN.elapsed(), Duration::from_nanos)
}

/// A bijection that scatters numbers (SplitMix64 of Steele, Lea and Flood).
fn scatter(i: u64) -> u64 {
    let mut z = i.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

struct Load {
    key_bytes: usize,
    windows: bool,
}

impl Load {
    /// Timer `i`; keys come in no order.
    fn push(&self, i: usize, to: &mut TimerBatch) {
        let (number, mut key) = (scatter(i as u64), [b'k'; 64]);
        let digits = number.to_be_bytes();
        key[self.key_bytes - 8..self.key_bytes].copy_from_slice(&digits);
        let time = if self.windows { (number % 600) * 60_000 } else { number % 36_000_000 };
        to.push(1_700_000_000_000 + time as i64, &key[..self.key_bytes], 0);
    }

    fn batches(&self, from: usize, to: usize, mut each: impl FnMut(TimerBatch)) {
        for begin in (from..to).step_by(BATCH) {
            let mut batch = TimerBatch::default();
            (begin..to.min(begin + BATCH)).for_each(|i| self.push(i, &mut batch));
            each(batch);
        }
    }
}

fn told(what: &str, count: usize, elapsed: Duration) {
    println!(
        "{what:<28} {:>8.0} ns a timer  {:>7.2} s",
        elapsed.as_nanos() as f64 / count as f64,
        elapsed.as_secs_f64()
    );
}

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let mut number = |default: usize| arguments.next().map_or(default, |argument| argument.parse().expect("a number"));
    let (count, key_bytes) = (number(1_000_000), number(8).clamp(8, 64));
    let load = Load { key_bytes, windows: arguments.next().is_none_or(|shape| shape == "windows") };
    println!("{count} timers, keys of {key_bytes} bytes, {}", if load.windows { "windows" } else { "spread" });
    let mut queue = TimerQueue::default();
    let (empty, since) = (resident(), now());
    load.batches(0, count, |_| {});
    let making = now() - since;
    let since = now();
    load.batches(0, count, |batch| queue.register(EventTime, &batch));
    told("register (with making keys)", count, now() - since);
    println!("{:<28} {:>8.0} ns a timer", "  of which making keys", making.as_nanos() as f64 / count as f64);
    let since = now();
    load.batches(0, count / 10, |batch| queue.register(EventTime, &batch));
    told("register what is there", count / 10, now() - since);
    let memory = |what: &str, queue: &TimerQueue| {
        let (bytes, charged) = ((resident() - empty) as f64, queue.bytes() as f64);
        let timers = queue.len().max(1) as f64;
        println!("{what:<28} {:>8.1} B a timer  {:>7.1} B charged", bytes / timers, charged / timers);
    };
    memory("memory, set", &queue);
    let since = Instant::now();
    queue.cut();
    println!("{:<28} {:>8} ns", "cut", since.elapsed().as_nanos());
    let (since, mut longest) = (now(), 0);
    loop {
        let step = Instant::now();
        let Some(changes) = black_box(queue.hand_over(4_096)) else { break };
        longest = longest.max(step.elapsed().as_micros());
        drop(changes);
    }
    told("hand over", count, now() - since);
    memory("memory, stored", &queue);
    let since = now();
    load.batches(0, count / 10, |batch| queue.delete(EventTime, &batch));
    told("delete a tenth", count / 10, now() - since);
    queue.cut();
    let since = Instant::now();
    while queue.hand_over(4_096).is_some() {}
    told("hand over what was deleted", count / 10, since.elapsed());
    let since = Instant::now();
    load.batches(0, 1_000, |batch| queue.register(EventTime, &batch));
    queue.cut();
    while queue.hand_over(4_096).is_some() {}
    println!("{:<28} {:>8} us", "a checkpoint of 1,000 new", since.elapsed().as_micros());
    let (since, left) = (now(), queue.len());
    let mut calls = 0;
    while let Some(due) = queue.take_due(EventTime, i64::MAX) {
        calls += 1;
        black_box(due);
    }
    told("fire", left, now() - since);
    println!("{:<28} {calls:>8} calls, the longest step of a hand-over {longest} us", "");
    queue.cut();
    let since = now();
    while queue.hand_over(4_096).is_some() {}
    told("hand over what fired", left, now() - since);
    drop(queue);
    let mut all = TimerBatch::default();
    (0..count).for_each(|i| load.push(i, &mut all));
    // The store gives them in the order of its keys.
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by(|a, b| all.key(*a).cmp(all.key(*b)));
    let mut stored = TimerBatch::default();
    order.iter().for_each(|i| stored.push(all.times[*i], all.key(*i), all.tags[*i]));
    let (since, mut queue) = (now(), TimerQueue::default());
    queue.restore(EventTime, &stored);
    told("restore", count, now() - since);
    println!("{:<28} {:>8.1} B a timer charged", "", queue.bytes() as f64 / count as f64);
}
