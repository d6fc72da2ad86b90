"""The catalogue of problems. Each class has its status, title and slug."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar

from pydantic import JsonValue
from sqlalchemy.exc import DBAPIError

FAULTS_TOLD = 50
"""Faults of one input that are listed, so that the size of an answer is bounded."""
_QUOTED_CHARACTERS = 200
_MESSAGE_CHARACTERS = 1_000


def clipped(text: str, characters: int = _QUOTED_CHARACTERS) -> str:
    """Return a text as an error message quotes it: shortened if it is long."""
    return text if len(text) <= characters else f"{text[: characters - 1]}…"


class Problem(Exception):
    """A problem that is answered to a client. ``detail`` is a sentence for people."""

    status: ClassVar[int]
    slug: ClassVar[str]
    title: ClassVar[str]

    def __init__(
        self,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        **extensions: JsonValue,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.headers = dict(headers or {})
        self.extensions = extensions


@dataclass(frozen=True, slots=True)
class FieldError:
    """One fault of the input: where it is, in which field, and what is wrong."""

    where: str
    field: str
    message: str

    def clipped(self) -> "FieldError":
        """Return it with a long name of a field shortened."""
        return FieldError(
            self.where, clipped(self.field), clipped(self.message, _MESSAGE_CHARACTERS)
        )


class Malformed(Problem):
    """The body is not JSON."""

    status, slug, title = 400, "malformed", "The body is not JSON"


class BadRequest(Problem):
    """What was sent is not a request of HTTP/1.1."""

    status, slug, title = 400, "bad-request", "The request is not valid HTTP"


class RequestTimeout(Problem):
    """The headers or the body of the request took too long to arrive."""

    status, slug, title = 408, "request-timeout", "The request did not arrive in time"


class HeadersTooLarge(Problem):
    """The request line and headers are longer than the service takes."""

    status, slug, title = 431, "headers-too-large", "The headers are too large"


class TooManyConnections(Problem):
    """The client has as many connections open as one client may."""

    status, slug, title = 429, "too-many-connections", "Too many connections from this client"


class RateLimited(Problem):
    """The client or the key has asked too often: `Retry-After` says when to come back."""

    status, slug, title = 429, "rate-limited", "Too many requests"


class HostRefused(Problem):
    """The Host header is missing, given more than once, malformed, or not a name of the service."""

    status, slug, title = 400, "host-refused", "The Host header cannot be used"


class Unauthorized(Problem):
    """No key, or none that is valid now."""

    status, slug, title = 401, "unauthorized", "A valid API key is needed"


class Forbidden(Problem):
    """The key is valid but not for this."""

    status, slug, title = 403, "forbidden", "The API key does not allow this"


class NotFound(Problem):
    """Nothing is at this address."""

    status, slug, title = 404, "not-found", "Nothing found at this address"


class CrossingNotFound(NotFound):
    """No crossing has this id."""

    slug, title = "crossing-not-found", "Crossing not found"


class BorderNotFound(NotFound):
    """No border has this id."""

    slug, title = "border-not-found", "Border not found"


class LaneNotFound(NotFound):
    """The crossing is not authorised for this traffic or direction."""

    slug, title = "lane-not-found", "The crossing has no such lane"


class EventNotFound(NotFound):
    """No status event has this id."""

    slug, title = "event-not-found", "Status event not found"


class SourceNotFound(NotFound):
    """No source has this id."""

    slug, title = "source-not-found", "Source not found"


class NoticeNotFound(NotFound):
    """No notice has this id."""

    slug, title = "notice-not-found", "Notice not found"


class IncidentNotFound(NotFound):
    """No incident has this id."""

    slug, title = "incident-not-found", "Incident not found"


class CountryNotFound(NotFound):
    """There is no border and no notice of this country."""

    slug, title = "country-not-found", "Country not found"


class SubscriptionNotFound(NotFound):
    """No subscription of this key's reporter has this id."""

    slug, title = "subscription-not-found", "Subscription not found"


class AlertNotFound(NotFound):
    """No alert has this id and this token; it may have been deleted."""

    slug, title = "alert-not-found", "Alert not found"


class AlertsFull(Problem):
    """The service has as many alerts as it may keep; nothing was stored."""

    status, slug, title = 503, "alerts-full", "No more alerts can be taken"


class DeliveryNotFound(NotFound):
    """No delivery of the subscription has this id. Each is deleted 30 days after its end."""

    slug, title = "delivery-not-found", "Delivery not found"


class CrossSite(Problem):
    """A page of another site sent this in the name of its reader."""

    status, slug, title = 403, "cross-site", "Not from another site"


class MethodNotAllowed(Problem):
    """The address exists but not with this method."""

    status, slug, title = 405, "method-not-allowed", "Method not allowed at this address"


class Superseded(Problem):
    """The entry was already corrected or withdrawn."""

    status, slug, title = 409, "superseded", "Already corrected or withdrawn"


class NotCorrectable(Problem):
    """The correction cannot supersede this entry."""

    status, slug, title = 409, "not-correctable", "This correction is not possible"


class NotRetractable(Problem):
    """The entry cannot be withdrawn."""

    status, slug, title = 409, "not-retractable", "This cannot be retracted"


class CrossingExists(Problem):
    """The id is taken."""

    status, slug, title = 409, "crossing-exists", "The crossing id is already in use"


class CrossingRetired(Problem):
    """The crossing is retired: write about the successor that `retired` names, or bring it back."""

    status, slug, title = 409, "crossing-retired", "The crossing is retired"


class QuotaExceeded(Problem):
    """The key has as many of these as it may: delete one first."""

    status, slug, title = 409, "quota-exceeded", "The key has as many as it may"


class KeyReused(Problem):
    """The idempotency key was used for another request."""

    status, slug, title = 409, "idempotency-key-reused", "The Idempotency-Key is already used"


class KeyInFlight(Problem):
    """A request with the same idempotency key has not finished."""

    status, slug, title = 409, "idempotency-key-in-flight", "The first request is still running"


class TooLarge(Problem):
    """The body is larger than the service takes."""

    status, slug, title = 413, "too-large", "The body is too large"


class UnsupportedMediaType(Problem):
    """The body is not declared as JSON."""

    status, slug, title = 415, "unsupported-media-type", "The body must be application/json"


class Invalid(Problem):
    """The input has faults, each with the field it is in."""

    status, slug, title = 422, "invalid", "The input is not valid"

    def __init__(self, errors: Sequence[FieldError], *, count: int | None = None) -> None:
        """List the first faults, and how many more there are; ``count`` is the number of all."""
        self.errors = [error.clipped() for error in errors[:FAULTS_TOLD]]
        untold = max(len(errors), count or 0) - len(self.errors)
        told = [f"{error.field}: {error.message}" for error in self.errors]
        super().__init__(
            "; ".join([*told, f"and {untold} more"] if untold else told),
            errors=[
                {"in": error.where, "field": error.field, "message": error.message}
                for error in self.errors
            ],
        )
        if untold:
            self.extensions["more_errors"] = untold


class Internal(Problem):
    """A bug of the service. The answer has no details."""

    status, slug, title = 500, "internal", "Internal error"


class Unavailable(Problem):
    """The database cannot be reached or is too busy; nothing was changed."""

    status, slug, title = 503, "unavailable", "The database is not available"


class ServerFull(Problem):
    """The service has as many connections open as it can serve; nothing was changed."""

    status, slug, title = 503, "server-full", "All connections are in use"


class HistoryOverloaded(Problem):
    """More questions about history are waiting than can be answered in time."""

    status, slug, title = 503, "history-overloaded", "Too many questions about history are waiting"


class SecretsUnavailable(Problem):
    """The service has no key under which to keep secrets, or not the one of this; see its log."""

    status, slug, title = 503, "secrets-unavailable", "The service cannot read or keep secrets"


class Overloaded(Problem):
    """More writes are waiting than can be served in time; nothing was written."""

    status, slug, title = 503, "overloaded", "Too many writes are waiting"


def invalid(field: str, message: str, *, where: str = "body") -> Invalid:
    """Return the problem of a single faulty field."""
    return Invalid([FieldError(where, field, message)])


@contextmanager
def raising(constraints: Mapping[str, tuple[type[Problem], str]]) -> Iterator[None]:
    """Turn the violation of a named constraint into its problem; others are raised again."""
    try:
        yield
    except DBAPIError as error:
        refusal = constraints.get(constraint_name(error) or "")
        if refusal is None:
            raise
        problem, detail = refusal
        raise problem(detail) from error


DAMAGED = frozenset({"XX001", "XX002"})
"""SQLSTATEs of a damaged table or index."""


def sqlstate_of(error: DBAPIError) -> str | None:
    """Return the SQLSTATE of an error; None if the database did not answer."""
    state = getattr(error.orig, "sqlstate", None)
    return state if isinstance(state, str) else None


def constraint_name(error: DBAPIError) -> str | None:
    diagnostics = getattr(error.orig, "diag", None)
    name = getattr(diagnostics, "constraint_name", None)
    return name if isinstance(name, str) else None
