"""How long a start takes, and how much memory a crossing."""

import statistics
from collections.abc import Iterator

from bench.crowd import Crowd
from bench.findings import Finding, median_of
from bench.parts.board import STATUS, good
from bench.stage import Stage


def start(stage: Stage) -> Iterator[Finding]:
    """Start the service on databases that exist: from its process to its being ready."""
    memory = {}
    crowds = [(stage.usual, 3)] if stage.quick else [(stage.usual, 3), (stage.wide, 6)]
    for crowd, at_most in crowds:
        runs = [_run(stage, crowd) for _ in range(2 if stage.quick else 3)]
        memory[crowd] = statistics.median(resident for _, resident in runs)
        yield median_of(
            f"start, {crowd.crossings:,} crossings, {crowd.events:,} events",
            [seconds for seconds, _ in runs],
            unit="s",
            at_most=at_most,
        )
    if stage.quick:
        return
    more = stage.wide.crossings - stage.usual.crossings
    yield Finding(
        name="memory of a crossing",
        value=(memory[stage.wide] - memory[stage.usual]) / more / 1024,
        unit="KiB",
        at_most=12,
        rounds=[{"few": memory[stage.usual], "many": memory[stage.wide], "more_crossings": more}],
    )


def _run(stage: Stage, crowd: Crowd) -> tuple[float, int]:
    """Return the seconds until it was ready, and the bytes that it then held."""
    with stage.service(stage.database(crowd)) as service:
        good(service, STATUS)
        return service.ready_after, service.process.memory_info().rss
