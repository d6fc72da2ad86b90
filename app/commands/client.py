"""What the commands for people share: the service that they ask, and how they end.

They use `crossing_status.client` and import nothing of the server, nor the client before they are
called: to complete a command's options in a shell has to be fast.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from enum import IntEnum
from itertools import islice
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from crossing_status.vocabulary import ExceptionCode, Traffic

if TYPE_CHECKING:
    from crossing_status.client import Client, CrossingSummary, Traveller

_ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_ATTEMPTS = 3
_MOST_MATCHES = 20


class ExitStatus(IntEnum):
    """How a command ends, for scripts."""

    OPEN = 0
    FAILED = 1
    USAGE = 2
    RESTRICTED = 10
    CLOSED = 11
    UNKNOWN = 12
    NO_SUCH_CROSSING = 20
    NOT_REACHED = 21


ENDS = (
    "Ends with 0: open, 10: restricted, 11: closed, 12: unknown, 20: no such crossing or lane,"
    " 21: the server cannot be reached, 2: wrong usage, 1: anything else."
)


def stop(status: ExitStatus, message: str) -> NoReturn:
    """End the command with a message on standard error."""
    typer.echo(message, err=True)
    raise typer.Exit(status)


def _instant(text: str | datetime) -> datetime:
    """Parse an RFC 3339 instant; a default is one already."""
    if isinstance(text, datetime):
        return text
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is not an instant like {_EXAMPLE}") from error
    if instant.tzinfo is None:
        raise typer.BadParameter(f"{text!r} needs an offset, as in {_EXAMPLE}")
    return instant


_EXAMPLE = "2023-08-18T00:00:00+03:00"
INSTANT = {"parser": _instant, "metavar": "INSTANT"}
"""What an option for an instant has."""

Named = Annotated[
    str, typer.Argument(metavar="CROSSING", help="Its id, or a name in any spelling.")
]
Server = Annotated[str, typer.Option(envvar="CROSSINGS_SERVER", help="Address of the service.")]
DEFAULT_SERVER = "http://127.0.0.1:8000"
Timeout = Annotated[
    float, typer.Option(min=0.001, help="Seconds to wait for a connection, and for its silence.")
]
DEFAULT_TIMEOUT = 10.0
AsJson = Annotated[bool, typer.Option("--json", help="Print what the service answers, as JSON.")]
NoColor = Annotated[str | None, typer.Option(envvar="NO_COLOR", hidden=True)]
"""As https://no-color.org has it: anything but an empty text means that there are no colours."""
LaneTraffic = Annotated[Traffic | None, typer.Option(help="Only lanes of this traffic.")]
LaneTo = Annotated[
    str | None, typer.Option(metavar="COUNTRY", help="Only lanes entering this country, like LT.")
]
At = Annotated[
    datetime | None, typer.Option(**INSTANT, help=f"At another instant, like {_EXAMPLE}.")
]
KnownAt = Annotated[datetime | None, typer.Option(**INSTANT, help="As known at this instant.")]
Groups = Annotated[
    list[ExceptionCode] | None,
    typer.Option("--as", help="A group that the traveller belongs to; repeatable."),
]
CitizenOf = Annotated[
    list[str] | None,
    typer.Option(metavar="COUNTRY", help="A citizenship of the traveller; repeatable."),
]
Empty = Annotated[bool, typer.Option("--empty", help="The vehicle is empty.")]
Weight = Annotated[int | None, typer.Option(help="The vehicle's weight.")]
Height = Annotated[float | None, typer.Option(help="The vehicle's height.")]


@contextmanager
def connected(server: str, timeout: float, key: str | None = None) -> Iterator["Client"]:
    """Give a client of the service; what goes wrong with it ends the command with a sentence."""
    from crossing_status.client import (  # noqa: PLC0415
        Client,
        CrossingStatusError,
        Invalid,
        NotFound,
        RateLimited,
        Retries,
        Unavailable,
        UnexpectedAnswer,
        Unreachable,
    )

    try:
        client = Client(server, key=key, timeout=timeout, retries=Retries(attempts=_ATTEMPTS))
    except ValueError as error:
        stop(ExitStatus.USAGE, f"--server: {error}")
    try:
        with client:
            yield client
    except NotFound as error:
        stop(ExitStatus.NO_SUCH_CROSSING, str(error))
    except Invalid as error:
        stop(ExitStatus.USAGE, str(error))
    except (Unreachable, UnexpectedAnswer, Unavailable, RateLimited) as error:
        stop(ExitStatus.NOT_REACHED, str(error))
    except CrossingStatusError as error:
        stop(ExitStatus.FAILED, str(error))


def traveller_of(
    groups: list[ExceptionCode] | None,
    citizen_of: list[str] | None,
    weight_kg: int | None,
    height_m: float | None,
    *,
    empty: bool,
) -> "Traveller":
    """Return who asks, as the options say."""
    from crossing_status.client import Traveller  # noqa: PLC0415

    return Traveller(
        groups=groups or (),
        citizen_of=citizen_of or (),
        empty=empty,
        weight_kg=weight_kg,
        height_m=height_m,
    )


def find_crossings(
    client: "Client", text: str, *, traffic: str | None = None, to: str | None = None
) -> "list[CrossingSummary]":
    """Return the crossing with this id, or those that the search finds; ends if there is none.

    With ``traffic`` or ``to`` the search finds only crossings that are authorised for them.
    """
    from crossing_status.client import NotFound  # noqa: PLC0415

    if _ID.fullmatch(text):
        try:
            return [client.crossing(text)]
        except NotFound:
            pass  # a name, then
    matches = list(islice(client.crossings(q=text, traffic=traffic, to=to), _MOST_MATCHES))
    if not matches:
        of = f" for {traffic}" if traffic else ""
        into = f" into {to}" if to else ""
        stop(ExitStatus.NO_SUCH_CROSSING, f"There is no crossing {text!r}{of}{into}.")
    exact = [crossing for crossing in matches if text.casefold() in _names_of(crossing)]
    return [*(exact or matches)]


def find_crossing(
    client: "Client", text: str, *, traffic: str | None = None, to: str | None = None
) -> "CrossingSummary":
    """Return the one crossing that is called so; ends if there is none, or if there are several."""
    matches = find_crossings(client, text, traffic=traffic, to=to)
    if len(matches) > 1:
        listed = "\n".join(
            f"  {crossing.id}  {name_of(crossing)} ({crossing.mode})" for crossing in matches
        )
        stop(ExitStatus.USAGE, f"{text!r} may be one of these; give its id:\n{listed}")
    return matches[0]


def name_of(crossing: "CrossingSummary") -> str:
    """Return what its sides call it, in English where there is an English name."""
    names = []
    for side in crossing.sides:
        of_side = [name for name in crossing.names if name.side == side]
        of_side.sort(key=lambda name: name.lang != "en")
        names += [name.name for name in of_side[:1]]
    return " – ".join(names)


def _names_of(crossing: "CrossingSummary") -> set[str]:
    names = [crossing.id, *crossing.aliases, *(name.name for name in crossing.names)]
    return {name.casefold() for name in names}
