"""Computes the result of examples/turnaround with DuckDB, independently of Wasmill: by window functions over all flights of an
aircraft, where the job has state and timers.

    python3 -m venv /tmp/oracle && /tmp/oracle/bin/pip install -r examples/flights/oracle/requirements.txt
    /tmp/oracle/bin/python examples/turnaround/oracle/expected.py                    # the month: examples/flights/data
    /tmp/oracle/bin/python examples/turnaround/oracle/expected.py ../shared/data     # the year as well

Of the month it writes alerts.txt and overdue.txt into oracle/expected, sorted lines; of the year, year.json: of each how many
lines it has and the SHA-256 of them.
"""

import hashlib
import json
import pathlib
import sys

import duckdb

HERE = pathlib.Path(__file__).parent
MONTH = HERE / "../../flights/data/flights-2013-01.csv.gz"
MINUTE_MS = 60_000
# As in job.toml.
GROUND_MS = 30 * MINUTE_MS
REPETITIONS = 3
WITHIN_MS = 7 * 24 * 60 * MINUTE_MS


def load(flights: pathlib.Path) -> duckdb.DuckDBPyConnection:
    """A table of all flights that left, each with the one of the same aircraft before it and the departure after it. Times are
    milliseconds since the Unix epoch; `landed` is null where a flight was diverted."""
    db = duckdb.connect()
    db.execute("set timezone = 'UTC'")
    db.execute("create macro utc(ms) as strftime(make_timestamp(ms * 1000), '%Y-%m-%dT%H:%M:%SZ')")
    db.execute(f"""
        create table flight as
        with left_ as (
            select tailnum as tail, epoch_ms(time_hour)::bigint + (minute + dep_delay) * {MINUTE_MS} as departed,
                   departed + air_time * {MINUTE_MS} as landed,
                   departed + 3 * (distance // 8 + 30) * {MINUTE_MS} as overdue,
                   carrier || flight || ' ' || origin || '-' || dest as name
            from read_csv('{flights}', nullstr='NA') where dep_delay is not null
        )
        select *, lag(departed) over of_aircraft as departed_before, lag(landed) over of_aircraft as landed_before,
               lag(overdue) over of_aircraft as overdue_before, lag(name) over of_aircraft as name_before,
               lead(departed) over of_aircraft as departed_after
        from left_ window of_aircraft as (partition by tail order by departed)""")
    # Else the order of the flights of an aircraft would not be known.
    (twice,) = db.execute("select count(*) from flight where departed = departed_before").fetchone()
    assert twice == 0, f"{twice} times an aircraft departs twice in a minute"
    (too_long,) = db.execute("select count(*) from flight where landed > overdue").fetchone()
    assert too_long == 0, f"{too_long} flights arrive when they are overdue"
    return db


def line(tail: str, value: dict) -> str:
    return f"{tail}\t" + json.dumps(value, separators=(",", ":"))


def alerts(db: duckdb.DuckDBPyConnection) -> list[str]:
    suspicions = db.execute(f"""
        with compared as (
            select *, departed < coalesce(landed_before, overdue_before + 1) as in_the_air,
                   landed_before + (landed_before - departed_before) + {GROUND_MS} as back
            from flight where departed_before is not null
        )
        select tail, departed, utc(departed), name, name_before, in_the_air, (back - departed) // {MINUTE_MS}
        from compared where in_the_air or departed < back order by tail, departed""").fetchall()
    lines, counted = [], {}
    for tail, departed, at, flight, previous, in_the_air, short in suspicions:
        value = {"pattern": "in-the-air" if in_the_air else "too-soon", "at": at, "flight": flight, "previous": previous}
        if not in_the_air:
            value["short"] = short
        lines.append(line(tail, value))
        recent = [(then, text) for then, text in counted.get(tail, []) if departed - then < WITHIN_MS] + [(departed, at)]
        if len(recent) == REPETITIONS:
            value = {"pattern": "repeated", "at": at, "since": recent[0][1], "suspicions": REPETITIONS}
            lines.append(line(tail, value))
            recent = []
        counted[tail] = recent
    return sorted(lines)


def overdue(db: duckdb.DuckDBPyConnection) -> list[str]:
    """Flights that never landed, but for those whose aircraft departed again before they were overdue."""
    rows = db.execute("""
        select tail, utc(overdue), name from flight
        where landed is null and coalesce(departed_after > overdue, true)""").fetchall()
    return sorted(line(tail, {"at": at, "flight": flight}) for tail, at, flight in rows)


def results(flights: pathlib.Path) -> dict[str, list[str]]:
    db = load(flights)
    return {"alerts": alerts(db), "overdue": overdue(db)}


def text(lines: list[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


def main() -> None:
    out = HERE / "expected"
    out.mkdir(exist_ok=True)
    for name, lines in results(MONTH).items():
        (out / f"{name}.txt").write_bytes(text(lines))
        print(f"month, {name}: {len(lines)} lines")
    if len(sys.argv) > 1:
        year = {}
        for name, lines in results(pathlib.Path(sys.argv[1]) / "flights.csv.gz").items():
            year[name] = {"lines": len(lines), "sha256": hashlib.sha256(text(lines)).hexdigest()}
            print(f"year, {name}: {len(lines)} lines")
        (out / "year.json").write_text(json.dumps(year, indent=2) + "\n")


if __name__ == "__main__":
    main()
