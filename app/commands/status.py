"""`crossings status`."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import typer

from app.commands import client as options
from app.commands.client import (
    DEFAULT_SERVER,
    DEFAULT_TIMEOUT,
    ENDS,
    ExitStatus,
    connected,
    find_crossing,
    name_of,
    traveller_of,
)
from app.commands.terminal import ago, as_sent, colored, length, local, print_json, print_table

if TYPE_CHECKING:
    from crossing_status.client import CrossingStatus, LatestWait, StatusEvent

app = typer.Typer()

_SOURCES_SHOWN = 3
_ENDS = {
    "open": ExitStatus.OPEN,
    "restricted": ExitStatus.RESTRICTED,
    "closed": ExitStatus.CLOSED,
}


@app.command("status", epilog=ENDS)
def show_status(
    crossing: options.Named,
    traffic: options.LaneTraffic = None,
    to: options.LaneTo = None,
    groups: options.Groups = None,
    citizen_of: options.CitizenOf = None,
    empty: options.Empty = False,
    weight_kg: options.Weight = None,
    height_m: options.Height = None,
    at: options.At = None,
    known_at: options.KnownAt = None,
    as_json: options.AsJson = False,
    server: options.Server = DEFAULT_SERVER,
    timeout: options.Timeout = DEFAULT_TIMEOUT,
    no_color: options.NoColor = None,
) -> None:
    """Is a crossing open? For whom, since when, until when, and who says so."""
    traveller = traveller_of(groups, citizen_of, weight_kg, height_m, empty=empty)
    with connected(server, timeout) as client:
        found = find_crossing(client, crossing, traffic=traffic, to=to)
        status = client.status(
            found.id, traffic=traffic, to=to, traveller=traveller, at=at, known_at=known_at
        )
    if as_json:
        print_json(as_sent(status))
    else:
        typer.echo(f"{name_of(found)} ({found.id}, {found.border})")
        _print(status, no_color)
    raise typer.Exit(_ENDS.get(status.status, ExitStatus.UNKNOWN))


def _print(status: "CrossingStatus", no_color: str | None) -> None:
    instant = status.at or datetime.now(UTC)
    typer.echo(colored(f"{status.status} {_period(status)}".rstrip(), no_color=no_color))
    for remark in _remarks(status, instant):
        typer.echo(remark)
    typer.echo()
    waits = {(wait.traffic, wait.to): wait for wait in status.waits if wait.queue is None}
    rows = [("TRAFFIC", "TO", "STATUS", "WAIT", "NOTE")]
    for lane in status.lanes:
        wait = waits.get((lane.traffic, lane.to))
        notes = [
            f"last known: {lane.last_known}" if lane.last_known else "",
            str(lane.reason or ""),
            "stale" if lane.stale else "",
            "overdue" if lane.overdue else "",
        ]
        rows.append(
            (
                str(lane.traffic),
                lane.to,
                str(lane.status),
                f"{wait_text(wait)}, {ago(wait.observed_at, instant)}" if wait else "",
                ", ".join(filter(None, notes)),
            )
        )
    print_table(rows, no_color=no_color)
    for event in status.decided_by:
        typer.echo()
        typer.echo(_statement(event))


def wait_text(wait: "LatestWait") -> str:
    """Return a wait in words: a number of minutes, or that it is closed or unknown."""
    minutes = wait.wait.minutes
    return str(wait.wait.state) if minutes is None else f"{minutes} min"


def _period(status: "CrossingStatus") -> str:
    since = f"since {local(status.since)}" if status.since else ""
    if status.status == "unknown":
        return since
    until = f"until {local(status.until)}" if status.until else "until further notice"
    return f"{since}, {until}".lstrip(", ")


def _remarks(status: "CrossingStatus", now: datetime) -> Iterator[str]:
    if status.last_known:
        yield f"Last known: {status.last_known}."
    if status.overdue:
        yield "The announced end has passed, but nobody has reopened it."
    elif status.expected_until:
        yield f"Expected until {local(status.expected_until)}."
    if status.opens_at:
        yield f"Opens by its regular hours at {local(status.opens_at)}."
    if status.last_confirmed_at is None:
        yield "Not confirmed."
    else:
        unconfirmed = now - status.last_confirmed_at
        yield (
            f"Not confirmed for {length(unconfirmed)}."
            if (status.stale or status.last_known)
            else f"Confirmed {length(unconfirmed)} ago."
        )
    if status.retired_at:
        successor = f": see {status.replaced_by}" if status.replaced_by else ""
        yield f"Retired on {local(status.retired_at)}{successor}."


def _statement(event: "StatusEvent") -> str:
    """Return what a side says, and why."""
    reason = event.reason
    why = ": ".join(filter(None, [reason.code, reason.text])) if reason else ""
    who = " and ".join(event.sides)
    verb = "says" if len(event.sides) == 1 else "say"
    sources = list(dict.fromkeys(str(citation.source) for citation in event.citations))
    more = len(sources) - _SOURCES_SHOWN
    listed = ", ".join(sources[:_SOURCES_SHOWN]) + (f" and {more} more" if more > 0 else "")
    return f"{who} {verb} {event.status} ({event.certainty}). {why}\nSources: {listed}"
