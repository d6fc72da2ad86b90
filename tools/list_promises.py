"""Write `docs/promises.md`: what we promise, what tests it, and the last figures of that."""

import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.figures import Figures, read_figures

ROOT = Path(__file__).parents[1]
FILE = ROOT / "docs" / "promises.md"
HEAD = """\
# What we promise

Each promise, what tests it, and the figures that its last run wrote. `make promises` runs these
tests and writes the table; `make soak`, which takes half an hour, writes its own row. What reads
and streams promise in detail is in [api.md](api.md), how fast the service is in
[benchmarks.md](benchmarks.md).

| we promise | tested by | last figures |
|---|---|---|
"""


@dataclass(frozen=True, slots=True)
class Promise:
    """A promise; ``figures`` is a format for what the tests in the file recorded."""

    text: str
    file: str
    figures: str = ""

    def row(self, measured: Figures | None) -> str:
        return f"| {self.text} | [`{self.file}`](../{self.file}) | {self._result(measured)} |\n"

    def _result(self, measured: Figures | None) -> str:
        if measured is None:
            return "not measured yet"
        result = self.figures.format_map(defaultdict(int, measured))
        if "passed" in measured:
            count = measured["passed"]
            tests = f"{count:,} test{'' if count == 1 else 's'} passed"
            if measured["failed"]:
                tests += f", **{measured['failed']:,} failed**"
            result = f"{result}; {tests}" if result else tests
        return f"{result} ({measured['date']})"


PROMISES = (
    Promise(
        "**Durability.** After `kill -9` of the service, of a worker, of PostgreSQL or of all"
        " of them, each write that was acknowledged is in the log once, and none in half.",
        "tests/faults/test_crashes.py",
        "{acknowledged:,} acknowledged writes, none lost, none doubled",
    ),
    Promise(
        "**One order.** The order of change numbers explains every answer that concurrent"
        " clients of two workers are given, although one worker is killed meanwhile.",
        "tests/faults/test_history.py",
        "{operations:,} operations, {writes:,} of them writes; {violations:,} unexplained",
    ),
    Promise(
        "**No gaps.** Who reads the log by change number misses nothing, however many write;"
        " one `Idempotency-Key` is one write.",
        "tests/faults/test_concurrency.py",
    ),
    Promise(
        "**The past stays.** The database refuses to alter or delete what was recorded, even"
        " to the service itself.",
        "tests/database/test_refusals.py",
    ),
    Promise(
        "**Alterations are found.** `crossings check` tells when the owner of the database,"
        " past every trigger, edits, deletes or swaps rows of the log, or cuts it off.",
        "tests/audit/test_tampering.py",
        "{alterations:,} alterations, all found",
    ),
    Promise(
        "**The board is the log.** The present in memory is what the whole log says, on every"
        " worker, at every instant.",
        "tests/board/test_consistency.py",
    ),
    Promise(
        "**Fresh.** A writer's next read reflects its write on any worker.",
        "tests/board/test_workers.py",
    ),
    Promise(
        "**Streams.** Followers receive exactly the log, in order, whichever process is killed.",
        "tests/faults/test_streams.py",
    ),
    Promise(
        "**Webhooks at least once.** A delivery worker that is killed loses nothing; a message"
        " that is repeated has the same id.",
        "tests/subscriptions/test_mishaps.py",
        "{changes:,} changes, all received",
    ),
    Promise(
        "**Reads in an outage.** Without its database the service goes on answering about the"
        " present, and says so; no outage is a fault of the service.",
        "tests/faults/test_outages.py",
    ),
    Promise(
        "**Overload.** A write that cannot be served in time is refused before anything is"
        " written.",
        "tests/faults/test_overload.py",
    ),
    Promise(
        "**A full disk, a wrong clock.** While the disk is full writes are refused, and nothing"
        " acknowledged is lost; a clock that jumps leaves the log in order and answers current.",
        "tests/faults/test_disk_and_clock.py",
    ),
    Promise(
        "**Failover.** With synchronous replication, a promoted standby has every acknowledged"
        " change.",
        "tests/scale/test_replication.py",
    ),
    Promise(
        "**Backups.** A backup of a data directory has all that was acknowledged before it,"
        " and comes back, to an instant if there is an archive.",
        "tests/backup/test_clusters.py",
    ),
    Promise(
        "**Dumps.** A dump restored to an empty database is the same log.",
        "tests/backup/test_dumps.py",
    ),
    Promise(
        "**No input breaks it.** No answer is a 5xx, or one that the OpenAPI document does not"
        " promise.",
        "tests/test_fuzz.py",
        "{operations:,} operations, each with every kind of input",
    ),
    Promise(
        "**Light pages.** The first visit of a phone to the home page, a crossing or a story"
        " transfers at most 200 kB, and nothing shifts while it loads.",
        "tests/pages/test_page_figures.py",
        "home {home_bytes:,} bytes, a crossing {crossing_bytes:,}, a story {story_bytes:,};"
        " on slow 4G the largest paint came after {home_paint:,}, {crossing_paint:,} and"
        " {story_paint:,} ms",
    ),
    Promise(
        "**Long use.** Half an hour at 70 % of the limit has no error, and no process whose"
        " memory goes on growing.",
        "bench/soak.py",
        "{minutes} minutes, {requests:,} requests, {errors} errors;"
        " memory grows by at most {steepest} KiB a minute",
    ),
)


def rows() -> Iterator[str]:
    figures = read_figures()
    for promise in PROMISES:
        yield promise.row(figures.get(promise.file))


def document() -> str:
    """Return the text of the file."""
    return HEAD + "".join(rows())


def main() -> None:
    """Write the file; with `--tests`, print the files of tests instead."""
    if "--tests" in sys.argv:
        tests = [promise.file for promise in PROMISES if promise.file.startswith("tests/")]
        sys.stdout.write(" ".join(tests))
    else:
        FILE.write_text(document(), encoding="utf-8")


if __name__ == "__main__":
    main()
