"""Pages of a list: opaque cursors, and the address of the next page."""

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import accumulate
from typing import Annotated, Any, Generic, TypeVar, get_args
from uuid import UUID

from fastapi import Depends, Query, Request, Response
from pydantic import AfterValidator, AwareDatetime, BaseModel, Field, TypeAdapter

from app.errors import Invalid, invalid
from app.http.bodies import Body
from app.http.origin import address_of
from app.validation import BORDER_CODE, COUNTRY_CODE, SLUG

MAX_LIMIT = 200
Item = TypeVar("Item")
Key = TypeVar("Key")


class Page(Body, Generic[Item]):
    """A page of a list. There is no count of all: it would be wrong before it arrived."""

    items: list[Item]
    next: str | None = Field(
        description="Address of the next page, null on the last; also in the `Link` header."
    )

    # Any: Pydantic's own type for parameters.
    @classmethod
    def model_parametrized_name(cls, params: tuple[Any, ...]) -> str:
        """Return what the documentation calls a page of such items, like ``PageOfNotices``."""
        # Of several types the last is the most general.
        (item,) = params
        model: type[BaseModel] = get_args(item)[-1] if get_args(item) else item
        name = str(model.model_config.get("title", model.__name__))
        return f"PageOf{name[:-1]}ies" if name.endswith("y") else f"PageOf{name}s"


def encode_cursor(*parts: str) -> str:
    """Return a cursor that names the last item of a page."""
    return base64.urlsafe_b64encode("\n".join(parts).encode()).decode().rstrip("=")


def decode_cursor(cursor: str, shape: TypeAdapter[Key]) -> Key:
    """Return the key in a cursor, of type ``shape``. Raises Invalid for one that is not valid."""
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        parts = base64.b64decode(padded, altchars=b"-_", validate=True).decode().split("\n")
        return shape.validate_python(parts[0] if len(parts) == 1 else parts)
    except (binascii.Error, ValueError, OverflowError) as error:
        raise invalid_cursor() from error


def invalid_cursor() -> Invalid:
    """Return the problem of a cursor that is not one of this list."""
    return invalid("cursor", "is not a valid cursor; use the value from `next`", where="query")


def within(rows: Sequence[Item], weigh: Callable[[Item], int], *, limit: int) -> list[Item]:
    """Return the first ``limit`` rows, fewer if they are too heavy for a page, but at least one.

    An item may contain many others, and the size of an answer must stay bounded.
    """
    weights = accumulate(weigh(row) for row in rows)
    return [
        row
        for place, (row, weight) in enumerate(zip(rows, weights, strict=True))
        if place == 0 or (place < limit and weight <= MAX_LIMIT)
    ]


_Number = Annotated[int, Field(ge=0, lt=2**62)]
_Instant = Annotated[AwareDatetime, AfterValidator(lambda value: value.astimezone(UTC))]

change_and_id: TypeAdapter[tuple[int, UUID]] = TypeAdapter(tuple[_Number, UUID])
"""The cursor of a row of the log."""
instant_change_and_id: TypeAdapter[tuple[datetime, int, UUID]] = TypeAdapter(
    tuple[_Instant, _Number, UUID]
)
"""The cursor of an item of a story."""
instant_and_number: TypeAdapter[tuple[datetime, int]] = TypeAdapter(tuple[_Instant, _Number])
"""The cursor of an observation: when it was made, and its series."""
row_id: TypeAdapter[UUID] = TypeAdapter(UUID)
number: TypeAdapter[int] = TypeAdapter(_Number)
slug: TypeAdapter[str] = TypeAdapter(Annotated[str, Field(pattern=SLUG)])
border_code: TypeAdapter[str] = TypeAdapter(Annotated[str, Field(pattern=BORDER_CODE)])
country_code: TypeAdapter[str] = TypeAdapter(Annotated[str, Field(pattern=COUNTRY_CODE)])
instant: TypeAdapter[datetime] = TypeAdapter(_Instant)
"""The cursor of a period: the instant at which the next one begins."""


@dataclass(frozen=True, slots=True)
class Pagination:
    """The requested page of a list, and the address of the next one."""

    request: Request
    response: Response
    limit: int
    cursor: str | None

    def start(self, shape: TypeAdapter[Key]) -> Key | None:
        """Return the key of the last item of the page before; None on the first page."""
        return None if self.cursor is None else decode_cursor(self.cursor, shape)

    def page(
        self,
        rows: Sequence[Item],
        name: Callable[[Item], Sequence[str]],
        **pinned: str,
    ) -> Page[Item]:
        """Make a page of ``rows``, which have an item more than the page if there is a next one."""
        items = list(rows[: self.limit])
        if len(rows) <= self.limit:
            return Page(items=items, next=None)
        return Page(
            items=items, next=self.address(cursor=encode_cursor(*name(items[-1])), **pinned)
        )

    def part(
        self, items: Sequence[Item], name: Callable[[Item], Sequence[str]], *, more: bool
    ) -> Page[Item]:
        """Make a page of exactly ``items``; ``more`` tells whether others follow."""
        if not more or not items:
            return Page(items=list(items), next=None)
        return Page(items=list(items), next=self.address(cursor=encode_cursor(*name(items[-1]))))

    def address(self, **changed: str) -> str:
        """Return the full address of this list with ``changed`` parameters, and link to it."""
        address = address_of(self.request, **changed)
        self.response.headers["Link"] = f'<{address}>; rel="next"'
        return address


def _pagination(
    request: Request,
    response: Response,
    limit: Annotated[
        int,
        Query(ge=1, description="Items on a page; values over 200 are lowered to 200."),
    ] = 50,
    cursor: Annotated[
        str | None,
        Query(max_length=200, description="Where the page starts; use the value from `next`."),
    ] = None,
) -> Pagination:
    return Pagination(request, response, min(limit, MAX_LIMIT), cursor)


def _long_pagination(
    request: Request,
    response: Response,
    limit: Annotated[
        int, Query(ge=1, description="Items of the inner list; values over 200 are lowered to 200.")
    ] = MAX_LIMIT,
    cursor: Annotated[
        str | None,
        Query(
            max_length=200, description="Where the inner list starts; use the value from `next`."
        ),
    ] = None,
) -> Pagination:
    return _pagination(request, response, limit, cursor)


PageQuery = Annotated[Pagination, Depends(_pagination)]
LongPageQuery = Annotated[Pagination, Depends(_long_pagination)]
"""For a list within an answer, of which most clients want everything."""
