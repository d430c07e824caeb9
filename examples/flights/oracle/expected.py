"""Computes the results of the jobs of examples/flights with DuckDB, independently of Wasmill.

    python3 -m venv /tmp/oracle && /tmp/oracle/bin/pip install -r examples/flights/oracle/requirements.txt
    /tmp/oracle/bin/python examples/flights/oracle/expected.py                       # the month: examples/flights/data
    /tmp/oracle/bin/python examples/flights/oracle/expected.py ../shared/data        # the year as well

Of the month it writes each result into oracle/expected, a line a row; sorted, but for those whose order is the result. Of the
year it writes year.json: of each result how many lines it has and the SHA-256 of them.
"""

import gzip
import hashlib
import json
import pathlib
import sys

import duckdb

HERE = pathlib.Path(__file__).parent
DATA = HERE / "../data"
# As in jobs/hourly.toml.
OUT_OF_ORDERNESS_MS = 15 * 3600 * 1000
WATERMARK_ROWS = 50
ALLOWED_LATENESS_MS = 10 * 60 * 1000
# As in jobs/rotations.toml and jobs/weather.toml.
GAP_MS = 24 * 3600 * 1000
VALID_MS = 2 * 3600 * 1000
HOUR_MS = 3600 * 1000


def load(flights: pathlib.Path, weather: pathlib.Path) -> duckdb.DuckDBPyConnection:
    """Tables `flight` and `weather`; times are milliseconds since the Unix epoch.

    The file of the year has its months in the order of their numbers as text: 1, 10, 11, 12, 2. Here they are in the order of the
    year, each as it is in the file."""
    db = duckdb.connect()
    db.execute("set timezone = 'UTC'")
    db.execute("create macro utc(ms) as strftime(make_timestamp(ms * 1000), '%Y-%m-%dT%H:%M:%SZ')")
    db.execute(f"create table raw as select *, row_number() over () as place from read_csv('{flights}', nullstr='NA')")
    db.execute("""
        create table flight as
        select row_number() over (order by month, place) - 1 as row,
               epoch_ms(time_hour)::bigint as scheduled_hour,
               epoch_ms(time_hour)::bigint + minute * 60000 as scheduled,
               epoch_ms(time_hour)::bigint + (minute + dep_delay) * 60000 as departed,
               dep_delay::bigint as delay, carrier, flight::bigint as number, coalesce(tailnum, '') as tail,
               origin, dest, distance::bigint as distance,
               utc(departed) || ' ' || carrier || number || ' ' || tail || ' ' || origin || '-' || dest || ' '
               || if(delay >= 0, '+', '') || delay as line
        from raw""")
    db.execute(f"""
        create table weather as
        select origin, epoch_ms(time_hour)::bigint as observed, temp::double as temp, wind_speed::double as wind_speed,
               precip::double as precip, visib::double as visib
        from read_csv('{weather}', nullstr='NA')""")
    return db


def to_json(row: dict) -> str:
    return json.dumps(row, separators=(",", ":"))


def hourly(db: duckdb.DuckDBPyConnection) -> tuple[list[str], list[str]]:
    """What each hour was told as, and late flights. After each full WATERMARK_ROWS rows of the file, cancelled flights among
    them, the watermark is the highest scheduled hour so far, less the bound, less one millisecond. An hour is told first when
    the watermark has reached its last millisecond, with the flights that came before; then once more with each flight that comes
    until the watermark is a lateness further. Flights that come after that are late."""
    db.execute(f"""
        create or replace table arrived as
        with ordered as (
            select *, max(scheduled_hour) over (order by row) as highest from flight
        ), cut as (
            select row + 1 as rows, highest - {OUT_OF_ORDERNESS_MS} - 1 as watermark from ordered
            where (row + 1) % {WATERMARK_ROWS} = 0
        )
        select flight.*, departed // {HOUR_MS} * {HOUR_MS} as hour,
               coalesce(watermark, -9223372036854775808) as watermark, hour + {HOUR_MS} - 1 as last
        from flight left join cut on cut.rows = flight.row // {WATERMARK_ROWS} * {WATERMARK_ROWS}
        where departed is not null""")
    told = db.execute(f"""
        with kept as (
            select *, watermark >= last as again from arrived where watermark < last + {ALLOWED_LATENESS_MS}
        ), first as (
            select carrier, hour, count(*) as flights, sum(delay)::bigint as minutes from kept where not again group by all
        ), again as (
            select kept.carrier, kept.hour,
                   coalesce(first.flights, 0) + count(*) over later as flights,
                   (coalesce(first.minutes, 0) + sum(kept.delay) over later)::bigint as minutes
            from kept left join first using (carrier, hour)
            where again
            window later as (partition by kept.carrier, kept.hour order by kept.row)
        )
        select carrier, utc(hour), flights, minutes from (from first union all from again)""").fetchall()
    hours = [
        f"{carrier}\t" + to_json({"hour": hour, "departures": flights, "mean_delay": minutes / flights})
        for carrier, hour, flights, minutes in told
    ]
    late = db.execute(f"select line from arrived where watermark >= last + {ALLOWED_LATENESS_MS}").fetchall()
    return sorted(hours), sorted(row for (row,) in late)


def rotations(db: duckdb.DuckDBPyConnection) -> list[str]:
    """Sessions: two departures of an aircraft are in one where there are at most 24 hours from one to the next, 24 not excluded, as in
    Flink, where windows of sessions that touch are merged."""
    rows = db.execute(f"""
        with gaps as (
            select *, departed - lag(departed) over (partition by tail order by departed, row) as gap
            from flight where departed is not null
        ), numbered as (
            select *, count(*) filter (gap > {GAP_MS}) over (partition by tail order by departed, row) as session from gaps
        )
        select tail, utc(min(departed)), utc(max(departed)), count(*), sum(distance)::bigint, max(delay)
        from numbered group by tail, session""").fetchall()
    names = ["first", "last", "flights", "miles", "worst_delay"]
    return sorted(f"{tail}\t" + to_json(dict(zip(names, rest))) for tail, *rest in rows)


def in_weather(db: duckdb.DuckDBPyConnection) -> list[str]:
    """Each flight with the last observation before it, by DuckDB's ASOF join."""
    rows = db.execute(f"""
        select flight.origin, utc(departed), carrier || number, delay, departed - observed < {VALID_MS} as holds, utc(observed),
               temp, wind_speed, precip, visib
        from flight asof left join weather on flight.origin = weather.origin and departed >= observed
        where departed is not null""").fetchall()
    names = ["departed", "flight", "delay", "observed", "temp", "wind_speed", "precip", "visib"]
    lines = []
    for origin, departed, flight, delay, holds, *weather in rows:
        values = [departed, flight, delay, *(weather if holds else [None] * 5)]
        lines.append(f"{origin}\t" + to_json(dict(zip(names, values))))
    return sorted(lines)


def in_order(db: duckdb.DuckDBPyConnection) -> list[str]:
    """All flights as they left. The order of flights of one carrier and number at one moment is that of the file, months as they
    come in it; there are none in the data, which is verified here."""
    (twice,) = db.execute("""
        select count(*) from (select 1 from flight where departed is not null
        group by departed, carrier, number having count(*) > 1)""").fetchone()
    assert twice == 0, f"{twice} places in the order are taken twice"
    rows = db.execute("select line from flight where departed is not null order by departed, carrier, number").fetchall()
    return [row for (row,) in rows]


def report(db: duckdb.DuckDBPyConnection) -> list[str]:
    """The table of exact statistics."""
    rows = db.execute("""
        with counted as (select * from flight union all by name select * replace ('all' as carrier) from flight),
        statistics as (
            select carrier, count(delay) as flights, count(*) - count(delay) as cancelled,
                   coalesce(sum(delay), 0)::bigint as minutes,
                   coalesce(quantile_disc(delay, [0.5, 0.9, 0.99, 1]), [0, 0, 0, 0]) as quantiles
            from counted group by carrier
        )
        select *, if(flights = 0, 0, floor(minutes / flights * 1000)) as place from statistics order by place, carrier
        """).fetchall()
    lines = ["carrier   flights  cancelled    mean  median   p90   p99  worst"]
    for carrier, flights, cancelled, minutes, (median, p90, p99, worst), _ in rows:
        mean = minutes / flights if flights else 0.0
        lines.append(f"{carrier:<8}{flights:>9}{cancelled:>11}{mean:>8.2f}{median:>8}{p90:>6}{p99:>6}{worst:>7}")
    return lines


def results(flights: pathlib.Path, weather: pathlib.Path) -> dict[str, list[str]]:
    db = load(flights, weather)
    hours, late = hourly(db)
    return {
        "hours": hours,
        "late": late,
        "rotations": rotations(db),
        "weather": in_weather(db),
        "sorted": in_order(db),
        "report": report(db),
    }


def text(lines: list[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


def main() -> None:
    out = HERE / "expected"
    out.mkdir(exist_ok=True)
    for name, lines in results(DATA / "flights-2013-01.csv.gz", DATA / "weather-2013-01.csv.gz").items():
        (out / f"{name}.txt.gz").write_bytes(gzip.compress(text(lines), 9, mtime=0))
        print(f"month, {name}: {len(lines)} lines")
    if len(sys.argv) > 1:
        source = pathlib.Path(sys.argv[1])
        year = {}
        for name, lines in results(source / "flights.csv.gz", source / "weather.csv.gz").items():
            year[name] = {"lines": len(lines), "sha256": hashlib.sha256(text(lines)).hexdigest()}
            print(f"year, {name}: {len(lines)} lines")
        (out / "year.json").write_text(json.dumps(year, indent=2) + "\n")


if __name__ == "__main__":
    main()
