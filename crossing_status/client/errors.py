"""What can go wrong, as one hierarchy of exceptions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus

from pydantic import JsonValue


class CrossingStatusError(Exception):
    """Anything that the client raises of its own accord."""


class Unreachable(CrossingStatusError):
    """The service could not be reached, or the connection broke, each time it was tried.

    A write may have been done all the same: repeat it with the same ``idempotency_key``.
    """

    def __init__(self, message: str, *, idempotency_key: str | None = None) -> None:
        super().__init__(message)
        self.idempotency_key = idempotency_key


class UnexpectedAnswer(CrossingStatusError):
    """The answer is not what the API promises: perhaps something else is at this address."""


class ChangesDropped(CrossingStatusError):
    """A standby took over without the changes after number ``after``: those are void.

    Follow again from there.
    """

    def __init__(self, after: int) -> None:
        super().__init__(f"The changes after {after} are no longer in the log.")
        self.after = after


@dataclass(frozen=True, slots=True)
class FieldError:
    """One fault of what was sent: where it is, in which field, and what is wrong."""

    where: str
    """``body``, ``query``, ``path`` or ``header``."""
    field: str
    message: str


class ProblemError(CrossingStatusError):
    """The service answered with a problem (RFC 9457)."""

    def __init__(
        self,
        status: int,
        members: Mapping[str, JsonValue],
        *,
        retry_after: float | None = None,
        idempotency_key: str | None = None,
    ) -> None:
        self.status = status
        self.type = str(members.get("type", "about:blank"))
        self.title = str(members.get("title", _phrase(status)))
        self.detail = str(members.get("detail", ""))
        self.members = members
        """All that the problem has, extensions included."""
        self.retry_after = retry_after
        """Seconds after which it may be tried again, if the service said so."""
        self.idempotency_key = idempotency_key
        """Of the write that was refused."""
        super().__init__(self.detail or f"{status} {self.title}")

    @property
    def slug(self) -> str:
        """The last part of the type, such as ``crossing-not-found``."""
        return self.type.rpartition("/")[2]

    @property
    def errors(self) -> Sequence[FieldError]:
        """The faults of the input, if the problem is `Invalid`."""
        errors = self.members.get("errors")
        if not isinstance(errors, list):
            return []
        return [
            FieldError(str(error.get("in")), str(error.get("field")), str(error.get("message")))
            for error in errors
            if isinstance(error, dict)
        ]


class Unauthorized(ProblemError):
    """401: a valid key is needed."""


class Forbidden(ProblemError):
    """403: the key does not allow this."""


class NotFound(ProblemError):
    """404: there is no such crossing, lane, border or event."""


class Conflict(ProblemError):
    """409: what was recorded before does not allow this."""


class Invalid(ProblemError):
    """422: what was sent is not valid; `errors` names the fields."""


class RateLimited(ProblemError):
    """429: too many requests, and the service asks for more patience than there is."""


class Unavailable(ProblemError):
    """502, 503 or 504: the service, or its database, cannot answer now."""


_BY_STATUS: Mapping[int, type[ProblemError]] = {
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    422: Invalid,
    429: RateLimited,
    502: Unavailable,
    503: Unavailable,
    504: Unavailable,
}


def problem_error(
    status: int,
    members: Mapping[str, JsonValue],
    *,
    retry_after: float | None = None,
    idempotency_key: str | None = None,
) -> ProblemError:
    """Return the error of a response; ``members`` is empty if its body is not a problem."""
    return _BY_STATUS.get(status, ProblemError)(
        status, members, retry_after=retry_after, idempotency_key=idempotency_key
    )


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"
