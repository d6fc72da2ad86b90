"""HTTP of the pages of alerts, and of the form for Web Push.

A link in a mail changes nothing by itself, because mail servers follow links to check them: its
page has a button. Only mail programs end an alert without one, by the POST of RFC 8058.
"""

from collections.abc import Sequence
from typing import Annotated, TypeVar
from urllib.parse import parse_qsl, urlsplit
from uuid import UUID

from fastapi import Depends, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse
from pydantic import BaseModel, Field, ValidationError

from app.alerts.service import (
    MOST_SUBJECTS,
    About,
    AlertBook,
    AlertOut,
    MailAlertIn,
    PushAlertIn,
)
from app.database.sessions import Session, WriteSession
from app.errors import AlertNotFound, CrossSite, NotFound, TooLarge, UnsupportedMediaType
from app.http.bodies import BorderId, CrossingId
from app.http.origin import origin_of, query_of
from app.http.routing import StrictRoute, hidden_router
from app.limits.requests import RequestLimits
from app.pages.rendering import CurrentReader, HtmlPage, PageReader, VehicleQuery, page
from app.subscriptions.addresses import AddressPolicy

_FORM = "application/x-www-form-urlencoded"
_FORM_BYTES = 16 * 2**10
_FORM_FIELDS = 3 * MOST_SUBJECTS
_MAX_TOKEN = 100
_SAME_ORIGIN = {"same-origin", "none"}

Model = TypeVar("Model", bound=BaseModel)
Token = Annotated[str, Query(max_length=_MAX_TOKEN)]


class _Manage(BaseModel):
    token: str = Field("", max_length=_MAX_TOKEN)


async def _require_same_origin(request: Request) -> None:
    """Refuse what a page of another site sends in the name of its reader. Raises CrossSite."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        is_ours = site in _SAME_ORIGIN
    else:
        ours = urlsplit(origin_of(request))
        is_ours = request.headers.get("origin") in {None, f"{ours.scheme}://{ours.netloc}"}
    if not is_ours:
        raise CrossSite("Use the form on a page of this service.")


async def _count(request: Request) -> None:
    """Count a request for an alert. Raises RateLimited."""
    limits: RequestLimits = request.app.state.limits
    await limits.count_alert(request.scope)


def _book(request: Request) -> AlertBook:
    """Return the alerts. Raises NotFound where the service has none."""
    book: AlertBook | None = request.app.state.alerts
    if book is None:
        raise NotFound("This service sends no alerts.")
    return book


async def _form(request: Request) -> dict[str, Sequence[str]]:
    """Return the fields of a form. Raises UnsupportedMediaType, TooLarge and Invalid."""
    declared = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if declared != _FORM:
        raise UnsupportedMediaType(f"Send the form as {_FORM}.")
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > _FORM_BYTES:
            raise TooLarge(f"The form may have {_FORM_BYTES} bytes at most.")
    try:
        pairs = parse_qsl(content.decode(), keep_blank_values=True, max_num_fields=_FORM_FIELDS)
    except ValueError as error:
        fault = {"loc": ("body", "form"), "msg": "is not a form in UTF-8", "type": "form"}
        raise RequestValidationError([fault]) from error
    fields: dict[str, list[str]] = {}
    for name, value in pairs:
        fields.setdefault(name, []).append(value)
    return {**fields}


def _validated(model: type[Model], fields: dict[str, object]) -> Model:
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        # The values are left out: an address is repeated nowhere.
        faults = error.errors(include_input=False, include_url=False)
        raise RequestValidationError(
            [{**fault, "loc": ("body", *fault["loc"])} for fault in faults]
        ) from error


Book = Annotated[AlertBook, Depends(_book)]
Form = Annotated[dict[str, Sequence[str]], Depends(_form)]

router = hidden_router(prefix="/alerts", route_class=StrictRoute)


@router.get("")
async def show_form(
    reader: CurrentReader,
    _: Book,
    vehicle: VehicleQuery,
    crossing: Annotated[list[CrossingId], Query(default_factory=list, max_length=MOST_SUBJECTS)],
    border: Annotated[list[BorderId], Query(default_factory=list, max_length=MOST_SUBJECTS)],
) -> Response:
    """Offer to tell of changes at some crossings and borders."""
    return page(
        reader,
        "alert_form.html",
        about=_named(reader, crossing, border) if crossing or border else [],
        crossings=crossing,
        borders=border,
        vehicle=vehicle,
    )


@router.post("", dependencies=[Depends(_require_same_origin), Depends(_count)])
async def post_mail_alert(
    request: Request, reader: CurrentReader, book: Book, form: Form, session: WriteSession
) -> Response:
    """Write to an address and ask whether it wants to be told. The answer is always the same."""
    if not reader.alert_offer.mail:
        raise NotFound("This service sends no e-mail.")
    alert = _validated(
        MailAlertIn,
        {
            "email": _first(form, "email").strip(),
            "crossings": form.get("crossing", []),
            "borders": form.get("border", []),
            "traffic": _first(form, "traffic") or None,
            "to": _first(form, "to") or None,
            "language": reader.language.code,
            "is_digest": _first(form, "often") == "daily",
        },
    )
    limits: RequestLimits = request.app.state.limits
    asks = await limits.may_write_to(alert.email)
    await book.add_mail(session, alert, asks=asks)
    return RedirectResponse(reader.link("/alerts/sent"), 303)


@router.post("/push", dependencies=[Depends(_require_same_origin), Depends(_count)])
async def post_push_alert(
    request: Request, book: Book, alert: PushAlertIn, session: WriteSession
) -> AlertOut:
    """Tell a browser of changes. The token in the answer ends it."""
    if request.app.state.alert_offer.push_key is None:
        raise NotFound("This service has no Web Push.")
    reach: AddressPolicy = request.app.state.reach
    return await book.add_push(session, alert, reach)


@router.get("/sent")
async def show_sent(reader: CurrentReader) -> Response:
    """Say that there is a mail to look for."""
    return page(reader, "alert.html", state="sent")


@router.get("/{alert_id}")
async def show_alert(
    reader: CurrentReader, book: Book, session: Session, alert_id: UUID, token: Token = ""
) -> Response:
    """Show what an alert is about, with the button that confirms it or ends it."""
    alert = await book.find(session, alert_id, token)
    about = About(
        crossings=alert.crossings,
        borders=alert.borders,
        traffic=alert.traffic,
        to=alert.to,
    )
    return _private(
        page(
            reader,
            "alert.html",
            state="unconfirmed" if alert.confirmed_at is None else "confirmed",
            about=_named(reader, about.crossings, about.borders),
            whom=reader.words.for_whom(
                [] if about.traffic is None else [about.traffic],
                [] if about.to is None else [about.to],
            ),
            address=f"/alerts/{alert_id}",
            token=token,
        )
    )


@router.post("/{alert_id}/confirm")
async def confirm_alert(
    reader: CurrentReader, book: Book, form: Form, session: WriteSession, alert_id: UUID
) -> Response:
    """Begin to write to an address. Doing it again changes nothing."""
    token = _token(form)
    await book.confirm(session, alert_id, token)
    target = reader.root + f"/alerts/{alert_id}"
    return RedirectResponse(target + query_of(more={"token": token, **_lang(reader)}), 303)


@router.get("/{alert_id}/unsubscribe")
async def show_end(
    reader: CurrentReader, book: Book, session: Session, alert_id: UUID, token: Token = ""
) -> Response:
    """Show the button that ends an alert."""
    return await show_alert(reader, book, session, alert_id, token)


@router.post("/{alert_id}/unsubscribe")
async def end_alert(
    reader: CurrentReader,
    book: Book,
    form: Form,
    session: WriteSession,
    alert_id: UUID,
    token: Token = "",
) -> Response:
    """Delete an alert and its address, by the button or by a mail program (RFC 8058).

    Doing it again changes nothing.
    """
    await book.remove(session, alert_id, token or _token(form))
    return _private(page(reader, "alert.html", state="ended"))


def _token(form: dict[str, Sequence[str]]) -> str:
    token = _first(form, "token")
    if len(token) > _MAX_TOKEN:
        raise AlertNotFound("This link is not valid.")
    return token


def _first(form: dict[str, Sequence[str]], name: str) -> str:
    return form.get(name, [""])[0]


def _lang(reader: PageReader) -> dict[str, str]:
    return {"lang": reader.language.code} if reader.has_chosen_language else {}


def _named(reader: PageReader, crossings: Sequence[str], borders: Sequence[str]) -> list[str]:
    """Return the names of crossings and borders; a crossing that the board lacks by its id."""
    entries = [(crossing, reader.board.entry(crossing)) for crossing in crossings]
    return [
        *(
            crossing
            if entry is None
            else reader.words.crossing_of(entry.present.record.names, entry.present.record.mode)
            for crossing, entry in entries
        ),
        *map(reader.words.border, borders),
    ]


def _private(response: HtmlPage) -> HtmlPage:
    """Keep a page with a token out of caches."""
    response.headers["Cache-Control"] = "no-store"
    return response
