"""What a request and its answer are, apart from how they travel: shared by both clients."""

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import update_wrapper
from importlib.metadata import version
from typing import Generic, ParamSpec, TypedDict, TypeVar
from urllib.parse import parse_qsl, urlsplit
from uuid import UUID

import httpx2
from pydantic import BaseModel, JsonValue, TypeAdapter, ValidationError

from crossing_status.client.errors import (
    ProblemError,
    UnexpectedAnswer,
    Unreachable,
    problem_error,
)
from crossing_status.client.retries import Retries, is_passing, retry_after

P = ParamSpec("P")
Answer = TypeVar("Answer", bound=BaseModel)
Item = TypeVar("Item", bound=BaseModel)
Method = TypeVar("Method", bound=Callable[..., object])
Value = str | float | bool | datetime | UUID | None
Parameters = Sequence[tuple[str, str]]

_MOST_ON_A_PAGE = ("limit", "200")
_json: TypeAdapter[dict[str, JsonValue]] = TypeAdapter(dict[str, JsonValue])


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request below the address of the service. A write has an ``idempotency_key``."""

    path: str
    method: str = "GET"
    parameters: Parameters = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: BaseModel | None = None
    idempotency_key: str | None = None
    silence: float | None = None
    """Seconds without a byte after which the connection is given up; None: those of the client."""

    def build(self, http: httpx2.Client | httpx2.AsyncClient) -> httpx2.Request:
        """Return it as the HTTP library sends it."""
        headers = dict(self.headers)
        content = None
        if self.body is not None:
            headers["Content-Type"] = "application/json"
            content = self.body.model_dump_json(exclude_unset=True)
        if self.idempotency_key is not None:
            headers["Idempotency-Key"] = self.idempotency_key
        limits = http.timeout.as_dict()
        if self.silence is not None:
            limits["read"] = self.silence
        return http.build_request(
            self.method,
            self.path,
            params=list(self.parameters),
            headers=headers,
            content=content,
            timeout=httpx2.Timeout(**limits),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Request, Generic[Answer]):
    """A request with one answer."""

    answer: type[Answer]

    def parse(self, response: httpx2.Response) -> Answer:
        """Return the answer. Raises UnexpectedAnswer if it is another."""
        return parsed(self.answer, response.content, response.url)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing(Request, Generic[Item]):
    """A list, which comes in pages."""

    item: type[Item]

    def first_page(self) -> Request:
        """Return the request for the first page, which is as long as a page may be."""
        parameters = [*self.parameters, _MOST_ON_A_PAGE]
        return Request(path=self.path, parameters=parameters, headers=self.headers)

    def page(
        self, request: Request, response: httpx2.Response
    ) -> tuple[list[Item], Request | None]:
        """Return the items of a page, and the request for the next one; None after the last.

        The log of changes always has a next page: at its end that is the same page again.
        """
        try:
            page = _json.validate_json(response.content)
            items = [self.item.model_validate(item) for item in _items(page)]
        except ValidationError as error:
            raise _unexpected(response.url) from error
        address = page.get("next")
        if address is None:
            return items, None
        # Only its query: the service may know itself by another address than we reach it at.
        parameters = parse_qsl(urlsplit(str(address)).query, keep_blank_values=True)
        if sorted(parameters) == sorted(request.parameters):
            return items, None
        return items, Request(path=self.path, parameters=parameters, headers=self.headers)


@dataclass(slots=True)
class Attempts:
    """The attempts at a request: each that fails is followed by a delay, or by giving up."""

    retries: Retries
    idempotency_key: str | None = None
    number: int = field(default=0, init=False)
    """How many have failed."""

    def failed(self, error: httpx2.TransportError) -> float:
        """Return the seconds to wait after a broken connection. Raises Unreachable."""
        self.number += 1
        delay = self.retries.delay(self.number)
        if delay is None:
            raise _unreachable(error, self.idempotency_key) from error
        return delay

    def refused(self, response: httpx2.Response) -> float:
        """Return the seconds to wait after a refusal that passes. Raises ProblemError."""
        self.number += 1
        problem = problem_of(response, self.idempotency_key)
        delay = None
        if is_passing(problem.status, problem.slug):
            delay = self.retries.delay(self.number, problem.retry_after)
        if delay is None:
            raise problem
        return delay


def problem_of(response: httpx2.Response, idempotency_key: str | None = None) -> ProblemError:
    """Return the problem of an answer that is no success; its body must have been read."""
    members: dict[str, JsonValue] = {}
    if media_type_of(response) == "application/problem+json":
        try:
            members = _json.validate_json(response.content)
        except ValidationError as error:
            raise _unexpected(response.url) from error
    return problem_error(
        response.status_code,
        members,
        retry_after=retry_after(response.headers),
        idempotency_key=idempotency_key,
    )


def media_type_of(response: httpx2.Response) -> str:
    content_type: str = response.headers.get("content-type", "")
    return content_type.partition(";")[0].strip().lower()


def parsed(model: type[Answer], content: str | bytes, url: httpx2.URL) -> Answer:
    """Return the answer of this type. Raises UnexpectedAnswer if it is another."""
    try:
        return model.model_validate_json(content)
    except ValidationError as error:
        raise _unexpected(url) from error


def parameters_of(**values: Value | Iterable[Value]) -> Parameters:
    """Return query parameters; a name may end with ``_``, and what is None or False is left out.

    Raises ValueError for an instant without an offset.
    """
    return [
        (name.removesuffix("_"), _text(value))
        for name, several in values.items()
        for value in _each(several)
        if value is not None and value is not False
    ]


class HttpOptions(TypedDict):
    """How both clients of the HTTP library are made."""

    base_url: httpx2.URL
    headers: Mapping[str, str]
    timeout: float
    verify: bool


def http_options(base_url: str, *, key: str | None, timeout: float) -> HttpOptions:
    """Return how to make a client of the HTTP library. Raises ValueError for another address."""
    url = httpx2.URL(base_url)
    if url.scheme not in {"http", "https"} or not url.host:
        raise ValueError(f"{base_url!r} is not an http or https address")
    headers = {"User-Agent": f"crossing-status/{version('crossing-status')}"}
    if key is not None:
        headers["Authorization"] = f"Bearer {key}"
    # Certificates are loaded only where they are needed: that takes longer than to ask.
    return {
        "base_url": url,
        "headers": headers,
        "timeout": timeout,
        "verify": url.scheme == "https",
    }


def as_method(method: Method, operation: Callable[..., object]) -> Method:
    """Give a method the name, the description and the parameters of its operation."""
    update_wrapper(method, operation)
    myself = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    parameters = inspect.signature(operation).parameters.values()
    method.__signature__ = inspect.Signature([myself, *parameters])  # type: ignore[attr-defined]  # `inspect` reads it
    return method


def _unreachable(error: httpx2.TransportError, idempotency_key: str | None) -> Unreachable:
    reason = str(error) or type(error).__name__
    url = error.request.url
    origin = f"{url.scheme}://{url.netloc.decode()}"
    return Unreachable(f"{origin} cannot be reached: {reason}", idempotency_key=idempotency_key)


def _unexpected(url: httpx2.URL) -> UnexpectedAnswer:
    return UnexpectedAnswer(f"{url} does not answer as Crossing Status does")


def _items(page: Mapping[str, JsonValue]) -> list[JsonValue]:
    items = page.get("items")
    return items if isinstance(items, list) else [None]  # which is no item


def _each(value: Value | Iterable[Value]) -> Iterable[Value]:
    if isinstance(value, str) or not isinstance(value, Iterable):
        return [value]
    return value


def _text(value: Value) -> str:
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError(f"{value} needs an offset: it may be one of several instants")
        return value.isoformat()
    return "true" if value is True else str(value)
