"""A timeline as a drawing."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from app.pages.crossings.band import Band, Zoom, band, window
from app.status.rule.history import Lane, LaneState, TimelinePeriod
from app.vocabulary import Status, Traffic

VILNIUS = ZoneInfo("Europe/Vilnius")
NOW = datetime(2026, 11, 24, tzinfo=UTC)


def day(number: int) -> datetime:
    return NOW + timedelta(days=number)


def stretch(
    start: datetime | None,
    end: datetime | None,
    status: Status,
    **lanes: Status,
) -> TimelinePeriod:
    return TimelinePeriod(
        start=start,
        end=end,
        status=status,
        last_known=None,
        stale=False,
        overdue=False,
        decided_by=(),
        lanes=tuple(
            LaneState(
                lane=Lane(Traffic(traffic), to),
                status=found,
                last_known=None,
                stale=False,
                overdue=False,
                decided_by=None,
            )
            for traffic, found in (lanes or {"car": status}).items()
            for to in ("BY", "LT")
        ),
    )


def drawn(stretches: list[TimelinePeriod], zoom: Zoom = Zoom.ALL) -> Band:
    start, end = window(stretches, zoom, NOW)
    return band(stretches, start=start, end=end, at=NOW, zone=VILNIUS)


@given(
    st.lists(st.integers(-4000, 800), min_size=1, max_size=12, unique=True),
    st.lists(st.sampled_from(Status), min_size=13, max_size=13),
    st.sampled_from(Zoom),
)
def test_it_is_covered_from_end_to_end(
    bounds: list[int], statuses: list[Status], zoom: Zoom
) -> None:
    """No gap, no overlap, no two neighbours of one status, whatever the history."""
    edges = [None, *(day(number) for number in sorted(bounds)), None]
    found = drawn(
        [
            stretch(start, end, status)
            for (start, end), status in zip(pairwise(edges), statuses, strict=False)
        ],
        zoom,
    )
    segments = found.rows[0].segments

    assert segments[0].x == 0
    assert abs(segments[-1].x + segments[-1].width - 100) < 0.01
    for one, following in pairwise(segments):
        assert abs(one.x + one.width - following.x) < 0.01
        assert one.status is not following.status
    assert 0 <= found.now <= 100
    assert 0 < len(found.ticks) <= 8 or found.end - found.start < timedelta(days=62)
    assert all(0 <= tick.x <= 100 for tick in found.ticks)


def test_ticks_are_midnights_of_the_place() -> None:
    ticks = drawn([stretch(None, None, Status.OPEN)], Zoom.YEAR).ticks

    assert [tick.at.isoformat() for tick in ticks] == [
        "2026-01-01T00:00:00+02:00",
        "2026-04-01T00:00:00+03:00",
        "2026-07-01T00:00:00+03:00",
        "2026-10-01T00:00:00+03:00",
        "2027-01-01T00:00:00+02:00",
    ]


def test_traffic_gets_rows_only_where_it_differs() -> None:
    alike = stretch(None, day(-9), Status.OPEN, car=Status.OPEN, truck=Status.OPEN)
    apart = stretch(day(-9), None, Status.RESTRICTED, car=Status.OPEN, truck=Status.CLOSED)
    closed = stretch(day(-9), None, Status.CLOSED, car=Status.CLOSED, truck=Status.CLOSED)

    assert [row.traffic for row in drawn([alike, closed]).rows] == [None]
    assert [row.traffic for row in drawn([alike, apart]).rows] == [
        None,
        Traffic.CAR,
        Traffic.TRUCK,
    ]


def test_all_of_it_shows_what_is_planned() -> None:
    planned = [stretch(None, day(200), Status.CLOSED), stretch(day(200), None, Status.OPEN)]

    assert [one.status for one in drawn(planned).rows[0].segments] == [Status.CLOSED, Status.OPEN]
    assert [one.status for one in drawn(planned, Zoom.MONTHS).rows[0].segments] == [Status.CLOSED]
