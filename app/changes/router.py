"""HTTP of the change log."""

from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Header, Query, Request, Response

from app.changes import service
from app.changes.checkpoints import Checkpoint, newest_checkpoint
from app.changes.cloudevents import CLOUDEVENTS_JSON as CLOUDEVENT
from app.changes.cloudevents import CloudEvent, EnvelopeKind
from app.changes.filters import Filter
from app.changes.schemas import ChangeOut, ChangePage
from app.changes.stream.endpoint import ADMIT, EVENT_STREAM, Admit
from app.changes.stream.stream import StreamQuery
from app.database.sessions import transaction
from app.errors import invalid
from app.http.bodies import CountryCode
from app.http.origin import address_of
from app.http.paging import MAX_LIMIT
from app.http.parameters import Borders, Countries, Crossings, require_existing
from app.http.problems import responses
from app.http.routing import feature_router
from app.vocabulary import ChangeKind, Traffic

router = feature_router(prefix="/v1/changes", tag="changes")
webhooks = APIRouter()
"""Requests that the service sends to subscribers."""

# Any: an OpenAPI fragment.
_STREAM: dict[str, Any] = {
    "description": "A page of changes; as `text/event-stream`, each change when it is committed.",
    "content": {
        EVENT_STREAM: {
            "itemSchema": {
                "type": "object",
                "description": "`event` is the kind of the change, and `id` its number. `dropped`"
                " says that changes after `id` are no longer in the log; the stream ends. An `id`"
                " alone says how far the stream has come.",
                "properties": {
                    "id": {"type": "string", "pattern": "^[0-9]+$"},
                    "event": {"type": "string", "examples": ["decision"]},
                    "retry": {"type": "integer", "minimum": 0},
                    "data": {
                        "type": "string",
                        "contentMediaType": "application/json",
                        "contentSchema": {
                            "anyOf": [
                                {"$ref": "#/components/schemas/ChangeOut"},
                                {"$ref": "#/components/schemas/CloudEvent"},
                            ]
                        },
                    },
                },
            },
            "example": 'id: 58\nevent: decision\ndata: {"change":58,"kind":"decision"}\n\n',
        }
    },
}


def _change_filter(
    crossings: Crossings,
    borders: Borders,
    countries: Countries,
    kind: Annotated[
        list[ChangeKind],
        Query(
            description="Only changes of this kind; repeatable.",
            max_length=200,
            default_factory=list,
        ),
    ],
    traffic: Annotated[
        Traffic | None,
        Query(
            description="Only changes that concern a lane of this traffic or alter its answer.",
            examples=["car"],
        ),
    ] = None,
    to: Annotated[
        CountryCode | None,
        Query(description="Only changes that concern a lane entering this country."),
    ] = None,
) -> Filter:
    return Filter(
        frozenset(crossings), frozenset(borders), frozenset(countries), frozenset(kind), traffic, to
    )


@router.get(
    "",
    summary="List changes, or stream them (SSE)",
    response_model=ChangePage,
    responses={**responses(), 200: _STREAM},
)
async def list_changes(
    request: Request,
    response: Response,
    change_filter: Annotated[Filter, Depends(_change_filter)],
    after: Annotated[
        int | None,
        Query(
            ge=0,
            le=2**62,
            description="The last change seen. Without it, a stream begins with the next change.",
        ),
    ] = None,
    limit: Annotated[
        int, Query(ge=1, description="Items on a page; values over 200 are lowered to 200.")
    ] = 50,
    envelope: Annotated[
        EnvelopeKind,
        Query(description="For the stream: `cloudevents` wraps each change in a CloudEvent."),
    ] = EnvelopeKind.NONE,
    last_event_id: Annotated[
        int | None,
        Header(
            alias="Last-Event-ID",
            ge=0,
            le=2**62,
            description="For the stream: the last id seen. It takes precedence over `after`.",
        ),
    ] = None,
) -> ChangePage | Response:
    """Return every committed change in order: reading by number misses none.

    `next` always leads on; at the end of the log it is the page's own address. With
    `Accept: text/event-stream` the answer is a stream that goes on: its ids are change numbers,
    and `Last-Event-ID` resumes it. An `after` beyond the newest change is a 422.
    """
    if ADMIT in request.scope:
        if "limit" in request.query_params:
            raise invalid(
                "limit", "applies to JSON pages only, not to the event stream", where="query"
            )
        admit: Admit = request.scope[ADMIT]
        resumes = last_event_id is not None
        admit(StreamQuery(change_filter, envelope, last_event_id if resumes else after, resumes))
        return Response()
    if envelope is not EnvelopeKind.NONE:
        raise invalid(
            "envelope", f"applies to the event stream only: accept {EVENT_STREAM}", where="query"
        )
    async with transaction(request) as session:
        await require_existing(session, change_filter.ids_to_check())
        await service.require_recorded(session, after or 0)
        changes, last_checked = await service.matching_changes(
            session, change_filter, after=after or 0, limit=min(limit, MAX_LIMIT)
        )
    address = address_of(request, after=last_checked)
    response.headers["Link"] = f'<{address}>; rel="next"'
    response.headers["Vary"] = "Accept"
    items = [ChangeOut.model_validate(service.change_record(change)) for change in changes]
    return ChangePage(items=items, next=address)


@router.get("/checkpoint", summary="Get the newest change, signed", responses=responses())
async def get_checkpoint(request: Request) -> Checkpoint:
    """Return the number and the hash of the newest change, to keep and to compare later.

    Anyone who kept one can detect that the log was cut off or rewritten: it must contain that
    change with that hash.
    """
    async with transaction(request) as session:
        return await newest_checkpoint(session, request.app.state.signing_key)


@webhooks.post(
    "change",
    summary="Receive a change",
    tags=["changes"],
    status_code=204,
    response_description="Received; so is any other 2xx.",
    responses={"4XX": {"description": "It is sent again later; 410 disables the subscription."}},
)
async def change(message: Annotated[CloudEvent, Body(media_type=CLOUDEVENT)]) -> None:
    """Sent to a subscriber for each change that matches; any 2xx confirms it."""
