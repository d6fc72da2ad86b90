"""`crossings wait`."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import typer

from app.commands import client as options
from app.commands.client import (
    DEFAULT_SERVER,
    DEFAULT_TIMEOUT,
    ExitStatus,
    connected,
    find_crossings,
)
from app.commands.status import wait_text
from app.commands.terminal import ago, as_sent, print_json, print_table

if TYPE_CHECKING:
    from crossing_status.client import LatestWait

app = typer.Typer()


@app.command(
    epilog="Ends with 0: there are waits, 12: none are known, 20: no such crossing or lane,"
    " 21: the server cannot be reached, 2: wrong usage, 1: anything else."
)
def wait(
    crossing: options.Named,
    traffic: options.LaneTraffic = None,
    to: options.LaneTo = None,
    as_json: options.AsJson = False,
    server: options.Server = DEFAULT_SERVER,
    timeout: options.Timeout = DEFAULT_TIMEOUT,
    no_color: options.NoColor = None,
) -> None:
    """How long is the wait? By lane, with its age and its source."""
    with connected(server, timeout) as client:
        waits = [
            (found.id, one)
            for found in find_crossings(client, crossing, traffic=traffic, to=to)
            for one in client.status(found.id, traffic=traffic, to=to).waits
        ]
    if as_json:
        print_json([{"crossing": found, **as_sent(one)} for found, one in waits])
    elif not waits:
        typer.echo("No waits are known now.")
    else:
        now = datetime.now(UTC)
        heads = ("CROSSING", "TRAFFIC", "TO", "QUEUE", "WAIT", "VEHICLES", "AGE", "SOURCE", "NOTE")
        print_table([heads, *(_row(found, one, now) for found, one in waits)], no_color=no_color)
    raise typer.Exit(ExitStatus.OPEN if waits else ExitStatus.UNKNOWN)


def _row(crossing: str, wait: "LatestWait", now: datetime) -> tuple[str, ...]:
    notes = [
        "estimate" if wait.estimate else "",
        "paused" if wait.paused else "",
        "disagrees with the status" if wait.disagrees else "",
    ]
    return (
        crossing,
        str(wait.traffic),
        wait.to,
        _queue(wait),
        wait_text(wait),
        "" if wait.vehicles is None else str(wait.vehicles),
        ago(wait.observed_at, now),
        wait.source_name,
        ", ".join(filter(None, notes)),
    )


def _queue(wait: "LatestWait") -> str:
    """Return which of the queues of a lane it is."""
    queue = wait.queue
    if queue is None:
        return ""
    weight = queue.weight_kg
    kinds = [
        f"over {weight.from_} kg" if weight and weight.from_ is not None else "",
        f"up to {weight.to} kg" if weight and weight.to is not None else "",
        "empty" if queue.empty else "",
        "priority" if queue.priority else "",
        "booked" if queue.pre_booked else "",
        queue.goods or "",
    ]
    return ", ".join(filter(None, kinds))
