"""Answers the queries of Nexmark with DuckDB, over events in files: what Wasmill's answers are compared with.

    python3 oracle.py 'events/part-*' --write ../expected/20000.json      # digests of the answers
    python3 oracle.py 'events/part-*' --check ../expected/20000.json      # that they are still those
    python3 oracle.py 'events/part-*' --compare q5=out/q5 --compare q7=out/q7

Events are JSON Lines, as the source `nexmark` writes them with `format = "json"`. An answer is a set of rows: each as a JSON object
with its members in alphabetical order and no spaces, sorted as text. Its digest is the SHA-256 of these lines.
"""

import argparse
import glob
import hashlib
import json
import os
import sys

import duckdb

HERE = os.path.dirname(os.path.abspath(__file__))
QUERIES = [f"q{number}" for number in range(23)]
NUMBERS = ["id", "date_time", "initial_bid", "reserve", "expires", "seller", "category", "auction", "bidder", "price"]
TEXTS = ["kind", "name", "email_address", "credit_card", "city", "state", "extra", "item_name", "description", "channel", "url"]
# How many missing and surplus rows are shown; the rest is only counted.
SHOWN = 3


def sql(name):
    with open(os.path.join(HERE, "queries", name + ".sql"), encoding="utf-8") as file:
        return file.read()


def database(events):
    connection = duckdb.connect()
    columns = {name: "BIGINT" for name in NUMBERS} | {name: "VARCHAR" for name in TEXTS}
    connection.execute(
        "create table event as select * from read_json($files, columns = $columns, format = 'newline_delimited')",
        {"files": events, "columns": columns},
    )
    side = os.path.join(HERE, "..", "side-input.csv")
    connection.execute(f"create view side as select * from read_csv('{side}', columns = {{'key': 'BIGINT', 'value': 'VARCHAR'}})")
    connection.execute(sql("views"))
    return connection


def line(row):
    """A row as text: exact decimals as the shortest number that means the same."""
    plain = {name: value if isinstance(value, (int, str)) or value is None else float(value) for name, value in row.items()}
    return json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def answer(connection, query):
    cursor = connection.execute(sql(query))
    names = [column[0] for column in cursor.description]
    return sorted(line(dict(zip(names, row))) for row in cursor.fetchall())


def digest(lines):
    return {"rows": len(lines), "sha256": hashlib.sha256("\n".join(lines).encode()).hexdigest()}


def compare(connection, query, folder):
    """Whether the rows that a file sink wrote are those of the answer. DuckDB compares them, since there may be millions."""
    connection.execute("create or replace temp table expected as " + sql(query))
    columns = {name: kind for name, kind, *_ in connection.execute("describe expected").fetchall()}
    paths = sorted(glob.glob(os.path.join(folder, "**", "part-*"), recursive=True))
    files = [path for path in paths if os.path.getsize(path)]
    partitions = []
    for path in files:
        partitions = [name.split("=")[0] for name in os.path.relpath(path, folder).split(os.sep)[:-1]]
        with open(path, encoding="utf-8") as file:
            members = [*json.loads(file.readline()), *partitions]
        if sorted(members) != sorted(columns):
            print(f"{query}: rows have the members {', '.join(members)} and not {', '.join(columns)}")
            return False
    connection.execute("create or replace temp table found as from expected limit 0")
    if files:
        # What is in the names of folders is not in the rows.
        inside = {name: kind for name, kind in columns.items() if name not in partitions}
        types = ", hive_types = {" + ", ".join(f"'{name}': {columns[name]}" for name in partitions) + "}" if partitions else ""
        connection.execute(
            "insert into found by name select * from read_json($files, columns = $columns, format = 'newline_delimited', "
            f"hive_partitioning = {bool(partitions)}{types})",
            {"files": files, "columns": inside},
        )
    # How often a row is there more often than it should be, below nought for less often.
    connection.execute(
        "create or replace temp table difference as select * exclude times_, sum(times_) as times_ from "
        "(select *, 1 as times_ from found union all select *, -1 as times_ from expected) group by all having sum(times_) <> 0"
    )
    rows = connection.execute("select count(*) from expected").fetchone()[0]
    count = "select coalesce(sum(abs(times_)), 0) from difference where sign(times_) = "
    missing, surplus = (int(connection.execute(f"{count}{sign}").fetchone()[0]) for sign in (-1, 1))
    if not missing and not surplus:
        print(f"{query}: the same {rows} rows", flush=True)
        return True
    print(f"{query}: {missing} of {rows} rows are missing, {surplus} are there that should not be")
    for what, sign in (("missing", -1), ("surplus", 1)):
        shown = f"select * exclude times_ from difference where sign(times_) = {sign} order by all limit {SHOWN}"
        for row in connection.execute(shown).fetchall():
            print(f"  {what}: {line(dict(zip(columns, row)))}")
    return False


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("events", help="files with events; a pattern may be given")
    parser.add_argument("--write", metavar="FILE", help="write the digest of every answer")
    parser.add_argument("--check", metavar="FILE", help="compare digests with those in a file")
    parser.add_argument("--compare", metavar="QUERY=FOLDER", action="append", default=[], help="compare what a sink wrote")
    arguments = parser.parse_args()
    files = sorted(glob.glob(arguments.events))
    if not files:
        sys.exit(f"no file is {arguments.events}")
    connection = database(files)
    good = True
    for pair in arguments.compare:
        query, folder = pair.split("=", 1)
        good &= compare(connection, query, folder)
    if arguments.write or arguments.check:
        digests = {query: digest(answer(connection, query)) for query in QUERIES}
        if arguments.write:
            with open(arguments.write, "w", encoding="utf-8") as file:
                json.dump(digests, file, indent=1)
                file.write("\n")
        if arguments.check:
            with open(arguments.check, encoding="utf-8") as file:
                expected = json.load(file)
            different = [query for query in QUERIES if expected.get(query) != digests[query]]
            print(f"{len(QUERIES) - len(different)} of {len(QUERIES)} digests are as in {arguments.check}")
            if different:
                print("  others:", ", ".join(different))
            good &= not different
    sys.exit(not good)


if __name__ == "__main__":
    main()
