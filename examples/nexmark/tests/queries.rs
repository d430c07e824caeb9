//! Runs the queries on events worked by hand, at several parallelisms, cut and interleaved in several ways, with one result.

mod graph;

use graph::{Plan, events::*, run, run_with};
use serde_json::{Value, json};

/// Shuffles events within `disorder` milliseconds.
fn shuffled(events: &[Event], seed: u64, disorder: i64) -> Vec<Event> {
    let mut numbered: Vec<(i64, &Event)> = Vec::new();
    for (at, event) in events.iter().enumerate() {
        let noise = (at as u64 + 1).wrapping_mul(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1) >> 33;
        numbered.push((event.time() + noise as i64 % (disorder + 1), event));
    }
    numbered.sort_by_key(|(at, _)| *at);
    numbered.into_iter().map(|(_, event)| event.clone()).collect()
}

/// Runs `query` in many ways, which must all give the same rows, and gives them.
fn always(query: &str, events: &[Event], side: &[Value]) -> Vec<Value> {
    always_with(query, |_| (), events, side)
}

/// The same, with a job file that is changed first.
fn always_with(query: &str, change: fn(&mut Value), events: &[Event], side: &[Value]) -> Vec<Value> {
    let mut expected = None;
    for seed in 0..24 {
        let disorder = if seed == 0 { 0 } else { 3_000 };
        let (parallelism, batch_rows) = (1 + seed as usize % 3, [1, 2, 100][seed as usize / 3 % 3]);
        let plan = Plan { parallelism, batch_rows, disorder, seed, crashes: seed % 4 == 3 };
        let rows = run_with(query, change, &shuffled(events, seed, disorder), side, plan);
        let expected = expected.get_or_insert_with(|| rows.clone());
        assert_eq!(rows, *expected, "{query} with {plan:?}");
    }
    expected.unwrap_or_default()
}

#[track_caller]
fn check(query: &str, events: &[Event], mut expected: Vec<Value>) {
    expected.sort_by_key(Value::to_string);
    assert_eq!(always(query, events, &[]), expected);
}

#[test]
fn q0_to_q2_take_bids_one_by_one() {
    let events = [person(0, 1, "OR"), bid(1, 123, 8, 1_000), auction(2, 124, 1, 10, 99), bid(3, 124, 9, 7)];
    let row = |auction, bidder, price: Value, at: i64| json!({ "auction": auction, "bidder": bidder, "price": price, "date_time": START + at, "extra": "x" });
    check("q0", &events, vec![row(123, 8, json!(1_000), 1), row(124, 9, json!(7), 3)]);
    check("q1", &events, vec![row(123, 8, json!(908.0), 1), row(124, 9, json!(6.356), 3)]);
    check("q2", &events, vec![json!({ "auction": 123, "price": 1_000 })]);
}

#[test]
fn q3_joins_in_any_order() {
    let events = [
        auction(0, 100, 1, 10, 99),
        person(1, 1, "OR"),
        person(2, 2, "NY"),
        auction(3, 101, 1, 10, 99),
        auction(4, 102, 1, 11, 99),
        auction(5, 103, 2, 10, 99),
        auction(6, 104, 3, 10, 99),
    ];
    let row = |id| json!({ "name": "name 1", "city": "city", "state": "OR", "id": id });
    check("q3", &events, vec![row(100), row(101)]);
}

#[test]
fn q9_finds_the_winning_bids() {
    let events = [
        auction(1_000, 100, 1, 10, 5_000),
        bid(500, 100, 1, 999),  // before it begins
        bid(1_000, 100, 2, 10), // at the beginning
        bid(5_000, 100, 9, 40), // at the end: as high as that of 8 then, and wins by nothing but its number
        bid(5_000, 100, 8, 40),
        bid(4_000, 100, 3, 30),
        bid(5_001, 100, 4, 999), // after it has closed
        bid(2_000, 101, 5, 999), // there is no such auction
        auction(2_000, 102, 1, 10, 3_000),
    ];
    let row = json!({
        "id": 100, "item_name": "item 100", "description": "old", "initial_bid": 5, "reserve": 300,
        "date_time": START + 1_000, "expires": START + 5_000, "seller": 1, "category": 10, "extra": "",
        "auction": 100, "bidder": 8, "price": 40, "bid_date_time": START + 5_000, "bid_extra": "x",
    });
    check("q9", &events, vec![row]);
}

#[test]
fn q10_tells_the_partition() {
    let row = json!({
        "auction": 1, "bidder": 2, "price": 3, "date_time": START + 86_399_999, "extra": "x",
        "dt": "2015-07-15", "hm": "23:59",
    });
    check("q10", &[bid(86_399_999, 1, 2, 3)], vec![row]);
}

#[test]
fn q13_waits_for_the_side_input() {
    let events = [bid(0, 10_007, 1, 5), bid(1, 8, 1, 6), bid(5_000, 7, 1, 9)];
    let side = [json!({ "key": "7", "value": "seven" }), json!({ "key": "9", "value": "nine" })];
    let row = |auction, price, at: i64| json!({ "auction": auction, "bidder": 1, "price": price, "date_time": START + at, "value": "seven" });
    assert_eq!(always("q13", &events, &side), [row(10_007, 5, 0), row(7, 9, 5_000)]);
}

#[test]
fn q14_calculates() {
    let hour = 3_600_000;
    let with = |at: i64, price: u64, text: &str| match bid(at, 1, 2, price) {
        Event::Bid(bid) => Event::Bid(Bid { extra: text.to_string(), ..bid }),
        other => other,
    };
    // 0.908 x 1,101,321 is 999,999.468 and 0.908 x 55,066,080 is 50,000,000.64: both are out.
    let events = [
        with(7 * hour, 1_101_321, "ccc"),
        with(7 * hour, 1_101_322, "abcccd"),
        with(8 * hour, 2_000_000, "C"),
        with(19 * hour, 2_000_000, ""),
        with(20 * hour, 2_000_000, "c"),
        with(6 * hour, 55_066_079, "c"),
        with(6 * hour, 55_066_080, "c"),
    ];
    let row = |at: i64, price: f64, kind: &str, extra: &str, c_counts: u64| {
        json!({
            "auction": 1, "bidder": 2, "price": price, "bid_time_type": kind, "date_time": START + at,
            "extra": extra, "c_counts": c_counts,
        })
    };
    let expected = vec![
        row(7 * hour, 1_000_000.376, "otherTime", "abcccd", 3),
        row(8 * hour, 1_816_000.0, "dayTime", "C", 0),
        row(19 * hour, 1_816_000.0, "otherTime", "", 0),
        row(20 * hour, 1_816_000.0, "nightTime", "c", 1),
        row(6 * hour, 49_999_999.732, "nightTime", "c", 1),
    ];
    check("q14", &events, expected);
}

#[test]
fn q18_keeps_the_last_bids() {
    let events = [bid(0, 1, 2, 30), bid(4_000, 1, 2, 20), bid(4_000, 1, 2, 10), bid(1, 1, 3, 5), bid(2, 2, 2, 6)];
    let row = |auction, bidder, price, at: i64| {
        let url = "https://www.nexmark.com/a/b/c/item.htm?query=1";
        json!({
            "auction": auction, "bidder": bidder, "price": price, "channel": "channel-7", "url": url,
            "date_time": START + at, "extra": "x",
        })
    };
    check("q18", &events, vec![row(1, 2, 20, 4_000), row(1, 3, 5, 1), row(2, 2, 6, 2)]);
}

#[test]
fn q19_keeps_the_ten_highest_bids() {
    // Twelve bids: prices 1, 1, 2, 2, ... 6, 6; the two of price 1 are left out.
    let events: Vec<Event> =
        (0..12).map(|i| bid(i, 1, 100 + i as u64, 1 + i as u64 / 2)).chain([bid(0, 2, 1, 1)]).collect();
    let told = always("q19", &events, &[]);
    let mut ranks: Vec<(u64, u64, u64, u64)> = told
        .iter()
        .map(|row| ["auction", "rank_number", "price", "bidder"].map(|name| row[name].as_u64().unwrap()).into())
        .collect();
    ranks.sort_unstable();
    let expected = [
        (1, 1, 6, 110),
        (1, 2, 6, 111),
        (1, 3, 5, 108),
        (1, 4, 5, 109),
        (1, 5, 4, 106),
        (1, 6, 4, 107),
        (1, 7, 3, 104),
        (1, 8, 3, 105),
        (1, 9, 2, 102),
        (1, 10, 2, 103),
        (2, 1, 1, 1),
    ];
    assert_eq!(ranks, expected);
}

#[test]
fn q20_expands_bids() {
    let events = [
        bid(0, 100, 1, 5),
        auction(1, 100, 7, 10, 99),
        bid(2, 100, 2, 6),
        bid(3, 101, 3, 7),
        auction(4, 101, 7, 11, 99),
        bid(5, 101, 3, 8),
        bid(6, 102, 3, 8),
    ];
    let row = |bidder, price, at: i64| {
        json!({
            "auction": 100, "bidder": bidder, "price": price, "channel": "channel-7",
            "url": "https://www.nexmark.com/a/b/c/item.htm?query=1", "bid_date_time": START + at, "bid_extra": "x",
            "item_name": "item 100", "description": "old", "initial_bid": 5, "reserve": 300,
            "auction_date_time": START + 1, "expires": START + 99, "seller": 7, "category": 10, "auction_extra": "",
        })
    };
    check("q20", &events, vec![row(1, 5, 0), row(2, 6, 2)]);
}

#[test]
fn q21_and_q22_take_pages_apart() {
    let with = |of: &str, page: &str| match bid(0, 1, 2, 3) {
        Event::Bid(bid) => Event::Bid(Bid { channel: of.to_string(), url: page.to_string(), ..bid }),
        other => other,
    };
    let events = [
        with("Google", "https://h/a/b/c/item.htm?query=1"),
        with("channel-7", "https://h/a/b/c/item.htm?query=1&channel_id=77&x"),
        with("channel-8", "channel_id=&channel_id=2"),
        with("channel-9", "https://h/a/item.htm?channel_id=2"),
    ];
    let row = |channel: &str, id: &str| json!({ "auction": 1, "bidder": 2, "price": 3, "channel": channel, "channel_id": id });
    check("q21", &events, vec![row("Google", "1"), row("channel-7", "77"), row("channel-8", "")]);
    let row = |channel: &str, dirs: [Option<&str>; 3]| {
        let [dir1, dir2, dir3] = dirs;
        json!({ "auction": 1, "bidder": 2, "price": 3, "channel": channel, "dir1": dir1, "dir2": dir2, "dir3": dir3 })
    };
    let expected = vec![
        row("Google", [Some("a"), Some("b"), Some("c")]),
        row("channel-7", [Some("a"), Some("b"), Some("c")]),
        row("channel-8", [None; 3]),
        row("channel-9", [Some("a"), Some("item.htm?channel_id=2"), None]),
    ];
    check("q22", &events, expected);
}

#[test]
fn q4_and_q6_average_what_auctions_closed_at() {
    // Auctions of seller 1 close at 10, 20, ... 120 seconds with price 100, 200, ... 1200; that of seller 2 has no bid in time.
    let mut events =
        vec![auction(0, 50, 2, 11, 1_000), bid(1_001, 50, 3, 7), auction(0, 51, 2, 11, 9_000), bid(2, 51, 3, 8)];
    for i in 1..=12 {
        events.push(auction(0, 100 + i, 1, 10 + i % 2, 10_000 * i as i64));
        events.push(bid(10 * i as i64, 100 + i, 7, 100 * i));
        events.push(bid(9 * i as i64, 100 + i, 8, 100 * i - 1));
    }
    events.sort_by_key(Event::time);
    // Category 10: 200 + 400 + ... + 1200 = 4200 by 6. Category 11: 100 + 300 + ... + 1100 + 8 = 3608 by 7 = 515.4.
    check("q4", &events, vec![json!({ "id": 10, "final": 700 }), json!({ "id": 11, "final": 515 })]);
    // The first ten: 100; (100 + 200) / 2 = 150, ... 550; then (200 + ... + 1100) / 10 = 650, and 750.
    let mut prices: Vec<u64> = (0..10).map(|i| 100 + 50 * i).collect();
    prices.extend([650, 750]);
    let mut expected: Vec<Value> = prices.iter().map(|price| json!({ "seller": 1, "avg_price": price })).collect();
    expected.push(json!({ "seller": 2, "avg_price": 8 }));
    check("q6", &events, expected);
}

#[test]
fn q5_finds_hot_items() {
    // Slides of 2 s. Auction 1: one bid in [0, 2), one in [8, 10). Auction 2: two in [4, 6).
    let events = [bid(1_999, 1, 1, 1), bid(4_000, 2, 1, 1), bid(5_999, 2, 1, 1), bid(8_000, 1, 1, 1)];
    // Windows end at 2 (1: 1), 4 (1: 1), 6 (2: 2), 8 (2: 2), 10 (1: 2, 2: 2), 12 (2: 2), 14 (2: 2), 16 (1: 1), 18 (1: 1).
    let row = |auction, num| json!({ "auction": auction, "num": num });
    let expected = vec![
        row(1, 1),
        row(1, 1),
        row(2, 2),
        row(2, 2),
        row(1, 2),
        row(2, 2),
        row(2, 2),
        row(2, 2),
        row(1, 1),
        row(1, 1),
    ];
    check("q5", &events, expected);
}

#[test]
fn q7_finds_the_highest_bids() {
    let events =
        [bid(0, 1, 1, 10), bid(5_000, 2, 2, 30), bid(9_999, 3, 3, 30), bid(10_000, 4, 4, 30), bid(25_000, 5, 5, 1)];
    let row = |auction: u64, price, at: i64| json!({ "auction": auction, "bidder": auction, "price": price, "date_time": START + at, "extra": "x" });
    check("q7", &events, vec![row(2, 30, 5_000), row(3, 30, 9_999), row(4, 30, 10_000), row(5, 1, 25_000)]);
}

#[test]
fn q8_finds_new_sellers() {
    let events = [
        person(0, 1, "OR"),
        auction(9_999, 100, 1, 10, 99),
        auction(9_999, 101, 1, 10, 99),
        person(9_999, 2, "OR"),
        auction(10_000, 102, 2, 10, 99),
        auction(10_500, 103, 3, 10, 99),
        person(19_000, 3, "OR"),
        person(19_000, 4, "OR"),
    ];
    let row = |id: u64, at: i64| json!({ "id": id, "name": format!("name {id}"), "starttime": START + at });
    check("q8", &events, vec![row(1, 0), row(3, 10_000)]);
}

#[test]
fn q11_counts_bids_in_sessions() {
    // 0, 9.999 and 19.998 are one session; 30 is another. 40 s after START by bidder 2.
    let events =
        [bid(0, 1, 1, 1), bid(9_999, 2, 1, 1), bid(19_998, 3, 1, 1), bid(30_000, 4, 1, 1), bid(40_000, 4, 2, 1)];
    let row = |bidder, count, from: i64, to: i64| json!({ "bidder": bidder, "bid_count": count, "starttime": START + from, "endtime": START + to });
    let expected = vec![row(1, 3, 0, 29_998), row(1, 1, 30_000, 40_000), row(2, 1, 40_000, 50_000)];
    check("q11", &events, expected);
}

#[test]
fn q12_counts_bids_in_windows_of_processing_time() {
    let events: Vec<Event> = (0..40).map(|i| bid(i, 1, i as u64 % 2, 1)).collect();
    for seed in 0..8 {
        let rows = run("q12", &events, &[], Plan { parallelism: 2, batch_rows: 1, disorder: 0, seed, crashes: false });
        let mut counts = [0, 0];
        for row in &rows {
            let of = |name: &str| row[name].as_i64().unwrap();
            assert_eq!((of("starttime") % 10_000, of("endtime") - of("starttime")), (0, 10_000), "{row}");
            counts[of("bidder") as usize] += of("bid_count");
        }
        assert_eq!(counts, [20, 20]);
        // Each row takes up to a second of processing time, twenty or more rows to a subtask.
        assert!((2..=10).contains(&rows.len()), "{rows:?}");
    }
}

#[test]
fn q12_goes_by_a_clock_that_is_injected() {
    let events = [bid(0, 1, 1, 1), bid(9_999, 2, 1, 1), bid(10_000, 2, 1, 1), bid(5_000, 2, 2, 1)];
    let row = |bidder, count, from: i64| json!({ "bidder": bidder, "bid_count": count, "starttime": START + from, "endtime": START + from + 10_000 });
    let mut rows =
        always_with("q12", |job| job["operator"]["counts"]["config"]["clock"] = json!("event"), &events, &[]);
    rows.sort_by_key(|row| (row["bidder"].as_u64(), row["starttime"].as_i64()));
    assert_eq!(rows, [row(1, 2, 0), row(1, 1, 10_000), row(2, 1, 0)]);
}

#[test]
fn q15_and_q16_tell_bidders_and_auctions_apart() {
    let hour = 3_600_000;
    let with = |at: i64, auction, bidder, price, of: &str| match bid(at, auction, bidder, price) {
        Event::Bid(bid) => Event::Bid(Bid { channel: of.to_string(), ..bid }),
        other => other,
    };
    let events = [
        with(hour, 1, 1, 9_999, "a"),
        with(2 * hour, 1, 1, 10_000, "a"),
        with(3 * hour, 2, 1, 1, "b"),
        with(4 * hour, 2, 2, 1_000_000, "b"),
        with(24 * hour, 1, 1, 1, "a"),
    ];
    let numbers = |row: Value, numbers: [u64; 12]| {
        let Value::Object(mut row) = row else { unreachable!() };
        let names = ["bids", "bidders", "auctions"]
            .iter()
            .flat_map(|of| ["total", "rank1", "rank2", "rank3"].map(|rank| format!("{rank}_{of}")));
        row.extend(names.zip(numbers.map(Value::from)));
        Value::Object(row)
    };
    let expected = vec![
        numbers(json!({ "day": "2015-07-15" }), [4, 2, 1, 1, 2, 1, 1, 1, 2, 2, 1, 1]),
        numbers(json!({ "day": "2015-07-16" }), [1, 1, 0, 0, 1, 1, 0, 0, 1, 1, 0, 0]),
    ];
    check("q15", &events, expected);
    let of = |channel: &str, day: &str, minute: &str| json!({ "channel": channel, "day": day, "minute": minute });
    let expected = vec![
        numbers(of("a", "2015-07-15", "02:00"), [2, 1, 1, 0, 1, 1, 1, 0, 1, 1, 1, 0]),
        numbers(of("b", "2015-07-15", "04:00"), [2, 1, 0, 1, 2, 1, 0, 1, 1, 1, 0, 1]),
        numbers(of("a", "2015-07-16", "00:00"), [1, 1, 0, 0, 1, 1, 0, 0, 1, 1, 0, 0]),
    ];
    check("q16", &events, expected);
}

#[test]
fn q17_tells_prices_of_a_day() {
    let events = [bid(0, 1, 1, 5), bid(1, 1, 2, 10_000), bid(2, 2, 2, 1_000_000), bid(86_400_000, 1, 2, 7)];
    let row = |auction, day: &str, [total, rank1, rank2, rank3, min, max, avg, sum]: [u64; 8]| {
        json!({
            "auction": auction, "day": day, "total_bids": total, "rank1_bids": rank1, "rank2_bids": rank2,
            "rank3_bids": rank3, "min_price": min, "max_price": max, "avg_price": avg, "sum_price": sum,
        })
    };
    let expected = vec![
        row(1, "2015-07-15", [2, 1, 1, 0, 5, 10_000, 5_002, 10_005]),
        row(2, "2015-07-15", [1, 0, 0, 1, 1_000_000, 1_000_000, 1_000_000, 1_000_000]),
        row(1, "2015-07-16", [1, 1, 0, 0, 7, 7, 7, 7]),
    ];
    check("q17", &events, expected);
}
