"""`crossings download`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.commands import client as options
from app.commands.client import DEFAULT_SERVER, DEFAULT_TIMEOUT, ExitStatus, connected, stop

if TYPE_CHECKING:
    from crossing_status.client import Export

app = typer.Typer()

_MEGABYTE = 1_000_000
_KILOBYTE = 1_000


def _complete(incomplete: str) -> list[str]:
    from crossing_status.client import EXPORTS  # noqa: PLC0415

    return [export for export in EXPORTS if export.startswith(incomplete)]


def _export(name: str) -> "Export":
    from crossing_status.client import EXPORTS  # noqa: PLC0415

    for export in EXPORTS:
        if name == export:
            return export
    raise typer.BadParameter(f"{name!r} is not one of {', '.join(EXPORTS)}")


@app.command(
    epilog="Ends with 0: the file is whole, 21: the server cannot be reached, 2: wrong usage, or no"
    " such crossing, border or country, 1: anything else. A file that was there stays until then."
)
def download(
    export: Annotated[
        str,
        typer.Argument(help="Such as events.csv or timelines.ndjson.", autocompletion=_complete),
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", dir_okay=False, show_default="its name")
    ] = None,
    crossing: Annotated[
        list[str] | None, typer.Option(help="Only of this crossing, by its id; repeatable.")
    ] = None,
    border: Annotated[
        list[str] | None, typer.Option(help="Only of this border, like BY-LT; repeatable.")
    ] = None,
    country: Annotated[
        list[str] | None, typer.Option(help="Only of this country, like LT; repeatable.")
    ] = None,
    server: options.Server = DEFAULT_SERVER,
    timeout: options.Timeout = DEFAULT_TIMEOUT,
) -> None:
    """Download the log, the timelines or the statistics as a whole, in one consistent state."""
    name = _export(export)
    path = output or Path(name)
    is_shown = sys.stderr.isatty()

    def progress(size: int) -> None:
        if is_shown:
            typer.echo(f"\r{path}: {_size(size)} ", nl=False, err=True)

    try:
        with connected(server, timeout) as client:
            change = client.download(
                name,
                path,
                crossings=crossing or (),
                borders=border or (),
                countries=country or (),
                progress=progress,
            )
    except OSError as error:
        stop(ExitStatus.FAILED, f"{path} cannot be written: {error.strerror}")
    finally:
        if is_shown:
            typer.echo(err=True)
    typer.echo(f"{path}: {_size(path.stat().st_size)}, as of change {change}")


def _size(size: int) -> str:
    if size < _MEGABYTE:
        return f"{size / _KILOBYTE:.1f} kB"
    return f"{size / _MEGABYTE:.1f} MB"
