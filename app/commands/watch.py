"""`crossings watch`."""

import re
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

from app.commands import client as options
from app.commands.client import DEFAULT_SERVER, DEFAULT_TIMEOUT, connected, find_crossing
from app.commands.terminal import as_sent, colored, local, print_json
from crossing_status.vocabulary import ChangeKind

if TYPE_CHECKING:
    from pydantic import JsonValue

    from crossing_status.client import Change, Client

app = typer.Typer()

_BORDER = re.compile(r"[A-Za-z]{2}-[A-Za-z]{2}")
_KIND_WIDTH = max(map(len, ChangeKind))


@app.command(
    epilog="Ends with 0: it was interrupted, 20: no such crossing or border, 21: the server cannot"
    " be reached at first, 2: wrong usage, 1: anything else. A connection that breaks later is"
    " resumed without loss."
)
def watch(
    place: Annotated[
        str,
        typer.Argument(metavar="BORDER|CROSSING", help="BY-LT, or a crossing's id or name."),
    ],
    traffic: options.LaneTraffic = None,
    to: options.LaneTo = None,
    kind: Annotated[
        list[ChangeKind] | None, typer.Option(help="Only changes of this kind; repeatable.")
    ] = None,
    after: Annotated[
        int | None,
        typer.Option(min=0, help="Begin after this change, instead of with the next one."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print each change as a line of JSON.")
    ] = False,
    server: options.Server = DEFAULT_SERVER,
    timeout: options.Timeout = DEFAULT_TIMEOUT,
    no_color: options.NoColor = None,
) -> None:
    """Print each change of a border or a crossing, until interrupted."""
    with suppress(KeyboardInterrupt), connected(server, timeout) as client:
        crossings, borders = [], []
        if _BORDER.fullmatch(place):
            borders = [client.border(place.upper()).id]
        else:
            crossings = [find_crossing(client, place, traffic=traffic, to=to).id]
        if sys.stderr.isatty():
            typer.echo(f"Watching {', '.join(crossings + borders)}. Ctrl-C ends it.", err=True)
        for change in _changes(client, crossings, borders, kind or [], traffic, to, after):
            if as_json:
                print_json(as_sent(change), indent=None)
            else:
                typer.echo(_line(change, no_color))
            sys.stdout.flush()


def _changes(
    client: "Client",
    crossings: list[str],
    borders: list[str],
    kinds: list[ChangeKind],
    traffic: str | None,
    to: str | None,
    after: int | None,
) -> "Iterator[Change]":
    """Yield changes, and say when some have become void."""
    from crossing_status.client import ChangesDropped  # noqa: PLC0415

    while True:
        try:
            yield from client.follow(
                crossings=crossings,
                borders=borders,
                kinds=kinds,
                traffic=traffic,
                to=to,
                after=after,
            )
        except ChangesDropped as error:
            typer.echo(f"{error} A standby has taken over.", err=True)
            after = error.after


def _line(change: "Change", no_color: str | None) -> str:
    """Return a change as a line: when, what kind, and how answers differ."""
    answers = change.payload.get("answers")
    differences = [
        _difference(answer, no_color)
        for answer in (answers if isinstance(answers, list) else [])
        if isinstance(answer, dict)
    ]
    places = (change.subjects.get(kind) for kind in ("crossings", "borders", "countries"))
    what = "; ".join(differences) or ", ".join(next(filter(None, places), []))
    return f"{local(change.recorded_at)}  {change.change}  {change.kind:{_KIND_WIDTH}}  {what}"


def _difference(answer: "dict[str, JsonValue]", no_color: str | None) -> str:
    """Return how the answer about a crossing differs: its status, or else some of its lanes."""
    before, after = _status(answer.get("before")), _status(answer.get("after"))
    if before != after:
        return f"{answer.get('crossing')}: {before} → {colored(after, no_color=no_color)}"
    lanes = answer.get("lanes")
    differing = [
        f"{lane.get('traffic')} to {lane.get('to')} {lane.get('before')} →"
        f" {colored(str(lane.get('after')), no_color=no_color)}"
        for lane in (lanes if isinstance(lanes, list) else [])
        if isinstance(lane, dict) and lane.get("before") != lane.get("after")
    ]
    return f"{answer.get('crossing')}: {', '.join(differing) or f'still {after}'}"


def _status(answer: "JsonValue") -> str:
    return str(answer.get("status")) if isinstance(answer, dict) else "new"
