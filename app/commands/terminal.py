"""What people read on a terminal: tables, colours, instants and ages."""

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from unicodedata import combining

import typer

if TYPE_CHECKING:
    from pydantic import BaseModel, JsonValue

_COLOURS = {
    "open": typer.colors.GREEN,
    "restricted": typer.colors.YELLOW,
    "closed": typer.colors.RED,
}
_GAP = "  "


def as_sent(answer: "BaseModel") -> "dict[str, JsonValue]":
    """Return an answer as the service sent it."""
    return answer.model_dump(mode="json", exclude_unset=True)


def print_json(value: "JsonValue", *, indent: int | None = 2) -> None:
    typer.echo(json.dumps(value, ensure_ascii=False, indent=indent))


def print_table(rows: Sequence[Sequence[str]], *, no_color: str | None) -> None:
    """Print rows in aligned columns; the first has their heads.

    Columns without a value are left out. A cell that begins with a status has its colour; where
    standard output is not a terminal, colours are dropped.
    """
    columns = [column for column in zip(*rows, strict=True) if any(column[1:])]
    widths = [max(map(_width, column)) for column in columns]
    for row in zip(*columns, strict=True):
        padded = [
            cell + " " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True)
        ]
        padded[-1] = padded[-1].rstrip()
        typer.echo(_GAP.join(colored(cell, no_color=no_color) for cell in padded).rstrip())


def colored(text: str, *, no_color: str | None) -> str:
    """Return a text in the colour of the status that it begins with."""
    colour = _COLOURS.get(text.partition(" ")[0])
    return text if no_color or colour is None else typer.style(text, fg=colour)


def local(instant: datetime) -> str:
    """Return an instant by the clock of this machine, with its offset."""
    return instant.astimezone().isoformat(" ", "minutes")


def ago(instant: datetime, now: datetime) -> str:
    """Return how long ago it was, in the largest unit that is there twice."""
    return f"{length(now - instant)} ago"


def length(duration: timedelta) -> str:
    """Return a duration in the largest unit that is there twice; negative ones are none."""
    minutes = max(0, round(duration / timedelta(minutes=1)))
    for unit, size in (("days", 24 * 60), ("h", 60)):
        if minutes >= 2 * size:
            return f"{minutes // size} {unit}"
    return f"{minutes} min"


def _width(text: str) -> int:
    return sum(not combining(character) for character in text)
