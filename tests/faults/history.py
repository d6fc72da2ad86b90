"""Whether one order of changes explains every answer that concurrent clients were given.

Pure: a history goes in, and what contradicts it comes out. The order is that of the log. What a
read should have answered is computed by the resolution rule, from the log up to a single change.
"""

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import accumulate, chain, islice
from operator import itemgetter
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, JsonValue

from app.status.rule.history import (
    Confirmation,
    Declaration,
    Event,
    EventRetraction,
    History,
    Lane,
    Scope,
)
from app.status.rule.resolution import Present, ResolvedHistory
from app.vocabulary import Certainty, EventKind, Status, Traffic

CLOCK_TOLERANCE = timedelta(seconds=1)
"""By how much the clock of a client may differ from the one by which its question is answered."""

MAX_VIOLATIONS = 20


# What clients asked, and what they were told


@dataclass(frozen=True, slots=True)
class Write:
    """A request to record something, whose citations have the token as their locator."""

    token: str


@dataclass(frozen=True, slots=True)
class StatusQuery:
    """The status of a crossing, or of its lanes into a country, now or at an instant."""

    crossing: str
    to: str | None = None
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ListQuery:
    """All crossings with their present status."""


@dataclass(frozen=True, slots=True)
class ChangesQuery:
    """A page of the log."""

    after: int
    limit: int


Request = Write | StatusQuery | ListQuery | ChangesQuery


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """A request and its answer; instants are seconds of one clock that only runs forward.

    A connection leads to one worker. A 304 has the body that the client kept under its ETag.
    """

    connection: int
    request: Request
    at_least: int = 0
    """The `At-Least-Change` that was sent."""
    invoked: float
    answered: float
    status: int | None
    """None where the connection broke before there was an answer."""
    change: int | None = None
    """The `Change-Number` of the answer."""
    etag: str | None = None
    body: bytes = b""

    @property
    def is_acknowledged(self) -> bool:
        return self.status in {200, 201, 304}


# The log, and the bodies of answers as far as they are compared


class Cited(BaseModel):
    locator: str | None


class LoggedEvent(BaseModel):
    id: UUID
    kind: EventKind
    crossing: str
    change: int
    recorded_at: AwareDatetime
    sides: frozenset[str]
    status: Status | None
    effective: dict[str, AwareDatetime | None] | None
    expected_until: AwareDatetime | None
    traffic: frozenset[Traffic] | None
    to: str | None
    certainty: Certainty | None
    announced_at: AwareDatetime | None
    confirmed_at: AwareDatetime | None
    supersedes: UUID | None
    retracts: UUID | None
    citations: list[Cited]

    def value(self) -> Event:
        """Return it as the rule's value."""
        scope = Scope(self.traffic, self.to)
        match self.kind:
            case EventKind.DECLARATION:
                assert self.effective
                assert self.effective["from"]
                assert self.status
                assert self.certainty
                return Declaration(
                    id=self.id,
                    recorded_at=self.recorded_at,
                    sides=self.sides,
                    status=self.status,
                    start=self.effective["from"],
                    end=self.effective["until"],
                    expected_until=self.expected_until,
                    scope=scope,
                    certainty=self.certainty,
                    announced_at=self.announced_at,
                    supersedes=self.supersedes,
                )
            case EventKind.CONFIRMATION:
                assert self.confirmed_at
                return Confirmation(
                    id=self.id,
                    recorded_at=self.recorded_at,
                    sides=self.sides,
                    confirmed_at=self.confirmed_at,
                    scope=scope,
                )
            case EventKind.RETRACTION:
                assert self.retracts
                return EventRetraction(
                    id=self.id, recorded_at=self.recorded_at, retracts=self.retracts
                )


class LoggedCrossing(BaseModel):
    id: str
    sides: tuple[str, ...]
    traffic: list[Traffic]
    confirm_within_days: int

    @property
    def lanes(self) -> tuple[Lane, ...]:
        return tuple(Lane(traffic, side) for traffic in self.traffic for side in self.sides)


class Payload(BaseModel):
    events: list[LoggedEvent] = []
    crossings: list[LoggedCrossing] = []


class LoggedChange(BaseModel):
    change: int
    recorded_at: AwareDatetime
    payload: Payload


class WriteAnswer(BaseModel):
    change: int
    events: list[LoggedEvent]


class Summary(BaseModel):
    """What lists and statuses have in common."""

    status: Status
    last_known: Status | None
    since: AwareDatetime | None
    stale: bool
    overdue: bool
    last_confirmed_at: AwareDatetime | None


class CrossingAnswer(Summary):
    id: str


class ListAnswer(BaseModel):
    items: list[CrossingAnswer]


class LaneAnswer(BaseModel):
    traffic: Traffic
    to: str
    status: Status
    last_known: Status | None
    stale: bool
    overdue: bool
    decided_by: UUID | None


class EventAnswer(BaseModel):
    id: UUID


class StatusAnswer(Summary):
    crossing: str
    at: AwareDatetime | None
    until: AwareDatetime | None
    expires_at: AwareDatetime | None
    expected_until: AwareDatetime | None
    next_change_at: AwareDatetime | None
    sides: dict[str, Status]
    lanes: list[LaneAnswer]
    decided_by: list[EventAnswer]
    also_said: list[EventAnswer]
    change: int


class ChangesAnswer(BaseModel):
    items: list[dict[str, JsonValue]]


# What the log says


class Log:
    """The log of changes, as JSON in their order; what it says as of each of them."""

    def __init__(self, records: Sequence[Mapping[str, JsonValue]]) -> None:
        self.records = records
        self.changes = [LoggedChange.model_validate(record) for record in records]
        self.crossings: dict[str, LoggedCrossing] = {}
        self.numbers_by_token: defaultdict[str, list[int]] = defaultdict(list)
        self._touching: defaultdict[str, list[int]] = defaultdict(list)
        self._events: defaultdict[str, list[tuple[int, Event]]] = defaultdict(list)
        self._resolved = lru_cache(maxsize=512)(self._resolve)
        self._presents = lru_cache(maxsize=512)(self._first_present)
        for change in self.changes:
            self._add(change.change, change.payload)

    def _add(self, number: int, payload: Payload) -> None:
        self.crossings |= {crossing.id: crossing for crossing in payload.crossings}
        for event in payload.events:
            self._events[event.crossing].append((number, event.value()))
        for token in {cited.locator for event in payload.events for cited in event.citations}:
            self.numbers_by_token[token or ""].append(number)
        touched = {crossing.id for crossing in payload.crossings}
        for crossing in touched | {event.crossing for event in payload.events}:
            self._touching[crossing].append(number)

    def faults(self) -> Iterator[str]:
        numbers = [change.change for change in self.changes]
        if numbers != list(range(1, len(numbers) + 1)):
            yield "the numbers of the log have gaps, or are not in order"
        instants = [change.recorded_at for change in self.changes]
        if instants != sorted(set(instants)):
            yield "the instants of the log are not in the order of its numbers"

    def statuses(
        self, query: StatusQuery, number: int, start: datetime, end: datetime
    ) -> Iterator[StatusAnswer | None]:
        """Yield each answer as of a change between two instants; None is that there is none.

        Where the question names an instant of its own, there is only one answer.
        """
        touching = self._touching[query.crossing]
        index = bisect_right(touching, number)
        if index == 0:
            yield None
            return
        last = touching[index - 1]
        resolved = self._resolved(query.crossing, query.to, last)
        if query.at is not None:
            yield _status_answer(query, resolved.present(query.at), last)
            return
        presents = self._presents(query, last)
        while (following := presents[-1].next_change) is not None and following <= end:
            presents.append(resolved.present(following))
        for present in presents:
            if present.at <= end and (present.next_change is None or present.next_change >= start):
                yield _status_answer(query, present, last)

    def summaries(
        self, crossing: str, number: int, start: datetime, end: datetime
    ) -> Iterator[CrossingAnswer | None]:
        """Yield each answer about a crossing in a list, as of a change, between two instants."""
        for answer in self.statuses(StatusQuery(crossing), number, start, end):
            yield (
                None
                if answer is None
                else CrossingAnswer(
                    id=crossing, **answer.model_dump(include=set(Summary.model_fields))
                )
            )

    def _first_present(self, query: StatusQuery, number: int) -> list[Present]:
        """Return a list to be continued, which begins when a change was recorded."""
        resolved = self._resolved(query.crossing, query.to, number)
        return [resolved.present(self.changes[number - 1].recorded_at)]

    def _resolve(self, crossing_id: str, to: str | None, number: int) -> ResolvedHistory:
        crossing = self.crossings[crossing_id]
        events = self._events[crossing_id]
        count = bisect_right(events, number, key=itemgetter(0))
        return ResolvedHistory(
            History(
                sides=crossing.sides,
                lanes=tuple(lane for lane in crossing.lanes if to in {None, lane.to}),
                confirm_within=timedelta(days=crossing.confirm_within_days),
                events=tuple(event for _, event in events[:count]),
            )
        )


def _status_answer(query: StatusQuery, present: Present, change: int) -> StatusAnswer:
    answer, period = present.answer, present.period
    return StatusAnswer(
        crossing=query.crossing,
        at=query.at,
        status=answer.status,
        last_known=answer.last_known,
        since=period.since,
        until=period.until,
        expires_at=period.expires_at,
        expected_until=answer.expected_until,
        next_change_at=present.next_change,
        overdue=answer.overdue,
        stale=answer.stale,
        last_confirmed_at=answer.last_confirmed_at,
        sides=dict(answer.sides),
        lanes=[
            LaneAnswer(
                traffic=lane.lane.traffic,
                to=lane.lane.to,
                status=lane.status,
                last_known=lane.last_known,
                stale=lane.stale,
                overdue=lane.overdue,
                decided_by=lane.decided_by.id if lane.decided_by else None,
            )
            for lane in answer.lanes
        ],
        decided_by=[EventAnswer(id=event.id) for event in answer.decided_by],
        also_said=[EventAnswer(id=event.id) for event in answer.also_said],
        change=change,
    )


# Whether it explains the answers


class Checker:
    """Compares what clients were told with the log; ``epoch`` is when their clock was at 0."""

    def __init__(self, operations: Sequence[Operation], log: Log, epoch: datetime) -> None:
        self.operations = operations
        self.log = log
        self._epoch = epoch
        self._writes: defaultdict[str, list[Operation]] = defaultdict(list)
        for operation in operations:
            if isinstance(operation.request, Write):
                self._writes[operation.request.token].append(operation)
        numbered = sorted(
            (operation.answered, operation.change)
            for operation in operations
            if operation.change is not None
        )
        self._answered = [answered for answered, _ in numbered]
        self._newest = list(accumulate((change for _, change in numbered), max))

    def violations(self) -> list[str]:
        """Return what one order of changes does not explain; no more than a few."""
        faults = list(self.log.faults())
        if faults:
            return faults
        every = chain(
            self._of_writes(),
            self._of_tags(),
            self._of_ages(),
            chain.from_iterable(map(self._of_read, self._reads())),
        )
        return list(islice(every, MAX_VIOLATIONS))

    def _reads(self) -> list[Operation]:
        """Return the reads that were answered, in the order of their changes."""
        reads = [
            operation
            for operation in self.operations
            if operation.status in {200, 304, 404} and not isinstance(operation.request, Write)
        ]
        return sorted(reads, key=lambda read: (read.change or 0, read.invoked))

    def _committed_before(self, instant: float) -> int:
        """Return the newest change that anybody had been told of."""
        index = bisect_left(self._answered, instant)
        return self._newest[index - 1] if index else 0

    def _of_writes(self) -> Iterator[str]:
        for token in self.log.numbers_by_token.keys() - self._writes.keys():
            yield f"nobody wrote {token}, but the log has it"
        for token, tries in self._writes.items():
            numbers = self.log.numbers_by_token[token]
            acknowledged = [one for one in tries if one.is_acknowledged]
            refused = all(one.status and 400 <= one.status < 500 for one in tries)
            if len(numbers) > 1:
                yield f"{token} is in the log {len(numbers)} times"
            if refused and numbers:
                yield f"{token} was refused, but is in the log"
            for operation in acknowledged:
                if numbers != [operation.change]:
                    yield f"{token} was acknowledged as {operation.change}; the log has {numbers}"
                    continue
                answer = WriteAnswer.model_validate_json(operation.body)
                recorded = self.log.changes[numbers[0] - 1]
                if (answer.change, answer.events) != (recorded.change, recorded.payload.events):
                    yield f"the answer to {token} is not what the log has"
            before = self._committed_before(min(one.invoked for one in tries))
            if numbers and min(numbers) <= before:
                yield f"{token} is at {min(numbers)}, before {before}, which was known earlier"

    def _of_tags(self) -> Iterator[str]:
        """Compare the bodies that have one ETag at one address."""
        bodies: dict[tuple[Request, str], bytes] = {}
        for operation in self.operations:
            if operation.status in {200, 304} and operation.etag is not None:
                key = (operation.request, operation.etag)
                if bodies.setdefault(key, operation.body) != operation.body:
                    yield f"{operation.request} has two bodies with the ETag {operation.etag}"

    def _of_ages(self) -> Iterator[str]:
        """Check that no answer is older than what was promised.

        Whatever asks the database reflects all that was acknowledged to anybody. What the board
        answers reflects what was demanded, and what the same worker told on the connection before.
        """
        newest_by_connection: Counter[int] = Counter()
        for operation in sorted(self.operations, key=lambda operation: operation.invoked):
            if operation.change is None:
                continue
            connection, least = operation.connection, operation.at_least
            match operation.request:
                case Write():
                    least = 0
                case StatusQuery(at=None) | ListQuery():
                    least = max(least, newest_by_connection[connection])
                case StatusQuery() | ChangesQuery():
                    least = max(least, self._committed_before(operation.invoked))
            if operation.change < least:
                yield f"{operation.request} is answered as of {operation.change}, not {least}"
            if operation.change > len(self.log.changes):
                yield f"{operation.request} is answered as of {operation.change}: no such change"
            # What the database answered the board need not know yet, except of writes.
            if not isinstance(operation.request, StatusQuery) or operation.request.at is None:
                newest_by_connection[connection] = max(
                    operation.change, newest_by_connection[connection]
                )

    def _of_read(self, read: Operation) -> Iterator[str]:
        start = self._epoch + timedelta(seconds=read.invoked) - CLOCK_TOLERANCE
        end = self._epoch + timedelta(seconds=read.answered) + CLOCK_TOLERANCE
        number = min(read.change or 0, len(self.log.changes))
        violation = f"{read.request} was answered otherwise than the log says as of {number}"
        match read.request:
            case StatusQuery() as query:
                is_absent = read.status == 404
                answer = None if is_absent else StatusAnswer.model_validate_json(read.body)
                if answer not in self.log.statuses(query, number, start, end):
                    yield f"{violation}: {answer}"
            case ListQuery():
                items = {item.id: item for item in ListAnswer.model_validate_json(read.body).items}
                for crossing in self.log.crossings.keys() | items.keys():
                    expected = self.log.summaries(crossing, number, start, end)
                    if items.get(crossing) not in expected:
                        yield f"{violation}: {items.get(crossing) or crossing}"
            case ChangesQuery(after=after, limit=limit):
                page = ChangesAnswer.model_validate_json(read.body).items
                if page != self.log.records[after : after + len(page)]:
                    yield f"{read.request} was answered with changes that the log does not have"
                elif len(page) < limit and after + len(page) < self._committed_before(read.invoked):
                    yield f"{read.request} was answered without changes that were known earlier"
            case Write():
                raise AssertionError


def violations(
    operations: Sequence[Operation], log: Iterable[Mapping[str, JsonValue]], epoch: datetime
) -> list[str]:
    """Return what one order of changes, that of the log, does not explain.

    ``epoch`` is the instant at which the clock of the operations was at 0.
    """
    return Checker(operations, Log(list(log)), epoch).violations()
