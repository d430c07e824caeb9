"""Counts the words of the six novels, independently of Wasmill, into wordcount.tsv beside this file.

A word is a run of ASCII letters and digits, in lower case. Run again only when the novels or the rule change:

    python3 tests/pipelines/wordcount.py
"""

import collections
import gzip
import pathlib
import re

here = pathlib.Path(__file__).parent
novels = sorted((here / "../../examples/wordcount/data").glob("*.txt.gz"))
counts = collections.Counter()
for novel in novels:
    with gzip.open(novel, "rt", encoding="utf-8") as text:
        for line in text:
            counts.update(re.findall(r"[a-z0-9]+", line.lower()))
assert len(novels) == 6
with open(here / "wordcount.tsv", "w") as out:
    for word, count in sorted(counts.items()):
        out.write(f"{word}\t{count}\n")
print(len(counts), "words,", sum(counts.values()), "in all:", counts.most_common(10))
