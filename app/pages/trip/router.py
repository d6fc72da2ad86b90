"""HTTP of the page about a trip."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Annotated

from fastapi import Depends, Path, Query, Response

from app.board.board import Board
from app.board.views import BoardEntry, Moment
from app.errors import CrossingNotFound, Unavailable, invalid
from app.http.bodies import BorderId, CrossingId
from app.http.caching import Validity
from app.http.origin import query_of
from app.http.problems import RETRY_AFTER
from app.http.routing import hidden_router
from app.pages.lanes.vehicle import Vehicle
from app.pages.page_cache import cached
from app.pages.rendering import CurrentReader, Filled, OptionalQuery, PageReader, VehicleQuery, page
from app.pages.trip.days import CrossingDay, crossing_day
from app.places.zones import Clocks
from app.status.rule.history import OutOfReach
from app.vocabulary import Traffic

router = hidden_router()

MAX_CROSSINGS = 20
"""Crossings of one trip."""
MAX_SHOWN = 60
"""Crossings shown where none is chosen."""
FURTHEST = timedelta(days=366)
"""How far ahead a trip may be."""
_SEPARATOR = "+"
"""What stands between crossings in the short address of a trip."""

_Ids = Annotated[list[CrossingId], Filled, Query(max_length=MAX_CROSSINGS, default_factory=list)]


def _ids_in_query(crossing: _Ids) -> list[str]:
    return list(dict.fromkeys(crossing))


TripCrossings = Annotated[list[str], Depends(_ids_in_query)]


@router.get("/trip")
@cached
async def show_trip(
    reader: CurrentReader,
    vehicle: VehicleQuery,
    crossings: TripCrossings,
    border: OptionalQuery[BorderId] = None,
    on: OptionalQuery[date] = None,
) -> Response:
    """Show what is announced for a vehicle on a day, at chosen crossings or at all of a border."""
    return await _trip(reader, vehicle, crossings, border, on)


@router.get("/trip/{crossings}")
@cached
async def show_short_trip(
    reader: CurrentReader,
    vehicle: VehicleQuery,
    crossings: Annotated[str, Path(max_length=1_000)],
    on: OptionalQuery[date] = None,
) -> Response:
    """Show a trip by its short address, which people send each other."""
    ids = list(dict.fromkeys(crossings.replace(" ", _SEPARATOR).split(_SEPARATOR)))
    return await _trip(reader, vehicle, ids[:MAX_CROSSINGS], None, on)


async def _trip(
    reader: PageReader,
    vehicle: Vehicle,
    ids: Sequence[str],
    border: str | None,
    on: date | None,
) -> Response:
    await reader.require_loaded_board()
    board = reader.board
    entries = _entries(board, ids, border)
    moment = board.moment()
    clocks = entries[0].present.record.clocks if entries else Clocks([""])
    today = moment.now.astimezone(clocks.zones[0]).date()
    # Yesterday is still today somewhere.
    if on is not None and not today - timedelta(days=1) <= on <= today + FURTHEST:
        raise invalid("on", "must be a day from today to a year from now", where="query")
    day = max(on or today, today)
    days, is_cut = _days(entries, moment, vehicle, day)
    due = min((crossing.parts[0].end for crossing in days), default=None)
    chosen = [entry.present.details.id for entry in entries] if ids else []
    return page(
        reader,
        "trip.html",
        validity=Validity(None, due),
        vehicle=vehicle,
        days=days,
        is_cut=is_cut,
        excluded=[
            entry.present.record
            for entry in entries
            if ids and not entry.present.details.lanes_for(vehicle.traffic, vehicle.to)
        ],
        chosen=chosen,
        border=border,
        borders=board.borders(after=None, limit=MAX_SHOWN),
        sides=sorted({side for entry in entries for side in entry.present.details.sides}),
        traffic=list(Traffic),
        day=day,
        today=today,
        furthest=today + FURTHEST,
        now=moment.now,
        clocks=clocks,
        short_path=_short_path(chosen, vehicle, on),
    )


def _entries(board: Board, ids: Sequence[str], border: str | None) -> list[BoardEntry]:
    """Return the chosen crossings, or those of a border or of all that are in use."""
    if ids:
        entries = []
        for crossing_id in ids:
            entry = board.entry(crossing_id)
            if entry is None:
                raise CrossingNotFound(f"There is no crossing {crossing_id!r}.")
            entries.append(entry)
        return entries
    borders = [border] if border else board.borders(after=None, limit=MAX_SHOWN)
    entries = [entry for each in borders for entry in board.entries(each)]
    if not entries and border:
        raise invalid("border", f"there is no crossing of {border}", where="query")
    return [entry for entry in entries if not entry.present.details.is_retired()]


def _days(
    entries: Sequence[BoardEntry], moment: Moment, vehicle: Vehicle, day: date
) -> tuple[list[CrossingDay], bool]:
    """Return each crossing on the day, without those that the vehicle cannot use in any case.

    Also returns whether there are more than are shown.
    """
    days: list[CrossingDay] = []
    for entry in entries:
        try:
            answer = crossing_day(entry, moment, vehicle, day)
        except OutOfReach as error:
            raise Unavailable(
                "The data for this day is not loaded.", headers={"Retry-After": RETRY_AFTER}
            ) from error
        if answer is None:
            continue
        if len(days) == MAX_SHOWN:
            return days, True
        days.append(answer)
    return days, False


def _short_path(ids: Sequence[str], vehicle: Vehicle, on: date | None) -> str:
    """Return the shortest address of a trip, without the language: each reads it in their own."""
    path = f"/trip/{_SEPARATOR.join(ids)}" if ids else "/trip"
    return path + query_of(vehicle.parameters, {"on": on.isoformat() if on else None})
