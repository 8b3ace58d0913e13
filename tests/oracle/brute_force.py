#!/usr/bin/env python3
"""An independent oracle of the query language: brute force over the events, against `holdfast search`.

    tests/oracle/brute_force.py EVENTS.jsonl ARCHIVE [--holdfast PATH] [--only TEXT]
    tests/oracle/brute_force.py EVENTS.jsonl                 counts and digests alone, nothing is compared

EVENTS.jsonl holds the events as they were fed to `holdfast-ingest --source jsonl:EVENTS.jsonl`; ARCHIVE is what
came of them. Exit 0 when every query finds the same event ids on both sides, 1 when one does not, 2 on a mistake.

It is written from the language's description alone and shares nothing with the program: no parser (each query
stands beside a predicate that says in Python what it means), no index, no analyzer but its own (analysis.py;
predicates.py has the meanings, queries.py the queries). An error that parser, matcher and compiler share, which
tests of one against the other cannot see, shows here. Python's standard library is all it needs; its Unicode tables
may be some versions older than the program's, which matters only for characters assigned since.

Every event is read once, by two processes; a field is normalised once and cut into terms at most once.

The meaning of the parts, as used here:

* Text is normalised by NFKC, case folding, NFKC, then decomposed, stripped of U+0300..U+036F and recomposed.
* A term is a maximal run of alphanumerics, the marks that follow them, and `_`. An emoji is a term of its own.
* In runs of Han, Kana, Hangul, Thai, Lao, Khmer and Burmese every character starts a term (a bigram, or the last
  character), so a character is one step of distance there, and any substring of a run is found.
* "At most n other terms between" counts the terms that start after the last character of the one and before the
  first of the other.
* A word that holds separators must occur as it is spelled (after normalisation), beginning and ending where its
  first and last terms begin and end.
"""
import argparse
import hashlib
import json
import multiprocessing
import os
import subprocess
import sys

sys.dont_write_bytecode = True  # no __pycache__ in the source tree

from predicates import Event  # noqa: E402
from queries import QUERIES  # noqa: E402

PROCESSES = 2
CHUNK_BYTES = 8 << 20
SHOWN_DIFFERENCES = 5


def chunks(path):
    """Byte ranges of whole lines."""
    size, start = os.path.getsize(path), 0
    with open(path, "rb") as file:
        while start < size:
            file.seek(min(start + CHUNK_BYTES, size))
            file.readline()
            end = file.tell()
            yield path, start, end
            start = end


def judge(chunk):
    """For each query, the ids of the events of one chunk it finds."""
    path, start, end = chunk
    found = [[] for _ in CHOSEN]
    read = 0
    with open(path, "rb") as file:
        file.seek(start)
        while file.tell() < end:
            event = Event(json.loads(file.readline()))
            read += 1
            for at, (_, _, predicate) in enumerate(CHOSEN):
                if predicate.judge(event):
                    found[at].append(event.id)
    return read, found


def by_oracle(path):
    """(events read, for each query the set of ids)."""
    read, found = 0, [set() for _ in CHOSEN]
    with multiprocessing.Pool(PROCESSES) as pool:
        for more, ids in pool.imap_unordered(judge, chunks(path)):
            read += more
            for at, some in enumerate(ids):
                found[at].update(some)
    return read, found


def by_holdfast(program, archive, query, options):
    """The ids `holdfast search` finds, or its message as a string."""
    command = [program, "--archive", archive, "--format", "jsonl", "--quiet", "--no-progress", "search", *options]
    with subprocess.Popen([*command, "--", query], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        ids = [json.loads(line)["event_id"] for line in child.stdout]
        message = child.stderr.read().decode(errors="replace").strip()
    if child.returncode not in (0, 1):
        return f"exit {child.returncode}: {message}"
    if len(set(ids)) != len(ids):
        return f"{len(ids) - len(set(ids))} events shown more than once"
    return set(ids)


def digest(ids):
    """SHA-256 over the sorted ids, a newline after each."""
    return hashlib.sha256("".join(f"{id_}\n" for id_ in sorted(ids)).encode()).hexdigest()


def report(query, options, expected, answer):
    """Prints one query's line; True when both agree."""
    title = " ".join([query, *options])
    if answer is None:
        print(f"{len(expected):>8}  {digest(expected)[:16]}  {title}")
        return True
    if isinstance(answer, str):
        print(f"{len(expected):>8} {'-':>8}  FAILED  {title}\n         {answer}")
        return False
    print(f"{len(expected):>8} {len(answer):>8}  {'equal ' if answer == expected else 'DIFFER'}  {title}", flush=True)
    for name, ids in (("the oracle alone", expected - answer), ("holdfast alone", answer - expected)):
        if ids:
            print(f"         {name}: {len(ids)}, " + " ".join(sorted(ids)[:SHOWN_DIFFERENCES]))
    return answer == expected


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("events", metavar="EVENTS.jsonl")
    arguments.add_argument("archive", metavar="ARCHIVE", nargs="?")
    arguments.add_argument("--holdfast", metavar="PATH", default="holdfast", help="the program to hold to account")
    arguments.add_argument("--only", metavar="TEXT", default="", help="only queries that contain this")
    options = arguments.parse_args()
    global CHOSEN
    CHOSEN = [query for query in QUERIES if options.only in query[0]]
    read, found = by_oracle(options.events)
    print(f"{read} events, {len(CHOSEN)} queries")
    print(f"{'oracle':>8} {'holdfast':>8}" if options.archive else f"{'oracle':>8}  SHA-256 of the ids")
    differing = 0
    for (query, extra, _), expected in zip(CHOSEN, found):
        answer = by_holdfast(options.holdfast, options.archive, query, extra) if options.archive else None
        differing += not report(query, extra, expected, answer)
    if differing:
        print(f"{differing} of {len(CHOSEN)} queries differ")
    return 1 if differing else 0


CHOSEN = QUERIES

if __name__ == "__main__":
    try:
        sys.exit(main())
    except (OSError, ValueError, KeyError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
