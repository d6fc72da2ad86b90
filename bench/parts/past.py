"""Questions about an instant of the past, which the database answers."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlencode

from bench.crowd import WATCHED, WATCHED_EVENTS
from bench.findings import Finding
from bench.load import Asking, Transacting, alternate
from bench.parts.board import STATUS, good
from bench.stage import Stage

CLIENTS = 4

_LOG = Path(__file__).with_name("log.sql")


def past(stage: Stage) -> Iterator[Finding]:
    """Compare with the main query alone, and a long log of other crossings with a short one."""
    instant = datetime.now(UTC) - timedelta(days=365)
    path = f"{STATUS}?{urlencode({'at': f'{instant:%Y-%m-%dT%H:%M:%SZ}'})}"
    long, few = stage.database(stage.long), stage.database(stage.few)
    with stage.service(long) as of_long, stage.service(few) as of_few:
        good(of_long, path), good(of_few, path)
        subject = Asking(of_long.url(path), connections=CLIENTS)
        baseline = Asking(of_few.url(path), connections=CLIENTS)
        contest = alternate(stage, subject.load, baseline.load)
        name = f"status at an instant, {stage.long.events:,} events / {stage.few.events:,}"
        yield contest.rate(name, at_least=0.9, note=f"{WATCHED_EVENTS} of the crossing's own")
        if stage.quick:
            return
        query = Transacting(long, _LOG, CLIENTS, {"crossing": WATCHED})
        contest = alternate(stage, subject.load, query.load)
        yield contest.rate("status at an instant / its main query by pgbench")
