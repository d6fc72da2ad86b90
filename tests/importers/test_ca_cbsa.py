"""Canada Border Services Agency: what its table says, and what cannot be relied on."""

import pytest

from app.importers.findings import BrokenPayload, Refusal
from tests.importers.samples import cbsa, office, parse, readings, refusals, told, unknown

NAME = "ca-cbsa"


def test_a_flow_is_a_wait_of_those_who_enter_canada() -> None:
    truck, car = map(told, readings(NAME, cbsa(office())))

    assert truck == {
        "crossing": "peace-bridge",
        "traffic": "truck",
        "to": "CA",
        "wait": {"state": "known", "minutes": 27},
        "observed_at": "2022-07-08T00:10:00Z",
        "method": "official",
    }
    assert car == truck | {"traffic": "car", "wait": {"state": "known", "minutes": 61}}


@pytest.mark.parametrize(
    ("flow", "minutes"),
    [
        ("No delay", 0),
        ("No Delay", 0),
        ("1 minute", 1),
        ("45 minutes", 45),
        ("2 hours", 120),
        ("1 hour 10 minutes", 70),
        ("  1   hour\n 10 minutes ", 70),
    ],
)
def test_a_wait_in_words_is_read(flow: str, minutes: int) -> None:
    (one,) = readings(NAME, cbsa(office(commercial="Not applicable", travellers=flow)))

    assert told(one)["wait"] == {"state": "known", "minutes": minutes}


@pytest.mark.parametrize("flow", ["Not applicable", "Not Applicable"])
def test_a_flow_that_does_not_exist_says_nothing(flow: str) -> None:
    assert parse(NAME, cbsa(office(commercial=flow, travellers=flow))) == []


@pytest.mark.parametrize(
    ("flow", "reason"),
    [
        ("15", "is a number without a unit"),
        ("", "is not a wait as the feed has told them"),
        ("Closed", "is not a wait as the feed has told them"),
        ("10 min", "is not a wait as the feed has told them"),
        ("5 to 10 minutes", "is not a wait as the feed has told them"),
        ("-5 minutes", "is not a wait as the feed has told them"),
        ("10 minutes 1 hour", "is not a wait as the feed has told them"),
    ],
)
def test_a_wait_that_is_not_sure_is_refused(flow: str, reason: str) -> None:
    payload = cbsa(office(commercial=flow))

    assert [told(one)["traffic"] for one in readings(NAME, payload)] == ["car"]
    assert refusals(NAME, payload) == {"truck": reason}


@pytest.mark.parametrize(
    ("instant", "updated", "reason"),
    [
        ("", "2022-07-07 20:10 EDT", "has no instant"),
        ("yesterday", "2022-07-07 20:10 EDT", "has no instant"),
        ("2022-07-07T20:10", "2022-07-07 20:10 EDT", "has an instant without an offset"),
        ("2022-07-07T20:10-0400", "2022-07-07 20:10 EST", "is not what a clock in Canada shows"),
        ("2022-07-07T20:10-0500", "2022-07-07 20:10 EST", "is not what a clock in Canada shows"),
        ("2022-07-07T20:10-0400", "2022-07-07 21:10 EDT", "is not what a clock in Canada shows"),
        ("2022-01-07T20:10-0400", "2022-01-07 20:10 EDT", "is not what a clock in Canada shows"),
        ("2022-07-07T20:10-0400", "", "is not what a clock in Canada shows"),
    ],
)
def test_an_instant_that_contradicts_its_zone_or_season_is_refused(
    instant: str, updated: str, reason: str
) -> None:
    payload = cbsa(office(instant=instant, updated=updated))

    assert readings(NAME, payload) == []
    found = refusals(NAME, payload)
    assert found.keys() == {"truck", "car"}
    assert all(one.startswith(reason) for one in found.values())


@pytest.mark.parametrize(
    ("instant", "updated", "observed_at"),
    [
        ("2022-07-07T20:53-0300", "2022-07-07 20:53 ADT", "2022-07-07T23:53:00Z"),
        ("2022-07-07T18:02-0600", "2022-07-07 18:02 MDT", "2022-07-08T00:02:00Z"),
        ("2022-07-07T18:02-0600", "2022-07-07 18:02 CST", "2022-07-08T00:02:00Z"),  # Regina
        ("2022-01-07T17:10-0800", "2022-01-07 17:10 PST", "2022-01-08T01:10:00Z"),
    ],
)
def test_every_clock_of_the_border_is_known(instant: str, updated: str, observed_at: str) -> None:
    one, *_ = readings(NAME, cbsa(office(instant=instant, updated=updated)))

    assert told(one)["observed_at"] == observed_at


def test_an_office_that_is_not_ours_is_named() -> None:
    assert unknown(NAME, cbsa(office("Nowhere"), office())) == ["Nowhere"]


def test_an_office_that_stands_twice_is_refused_and_the_others_go_on() -> None:
    payload = cbsa(office(), office(commercial="No delay"), office("Coutts"))

    assert {told(one)["crossing"] for one in readings(NAME, payload)} == {"coutts-sweetgrass"}
    assert refusals(NAME, payload) == {"office": "appears 2 times in the table"}


def test_a_row_with_other_cells_is_refused_and_the_others_go_on() -> None:
    payload = cbsa("<tr><th>Emerson</th><td>No delay</td></tr>", office("Coutts"))

    assert len(readings(NAME, payload)) == 2
    (refusal,) = [one for one in parse(NAME, payload) if isinstance(one, Refusal)]
    assert (refusal.place, refusal.reason) == ("Emerson", "does not have 4 cells")


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b'{"waits": []}', "is not HTML"),
        (b"<html><body>Down for maintenance</body></html>", "has no table with the columns"),
        (cbsa(office()).replace(b"Travellers Flow", b"Flow"), "has no table with the columns"),
        (cbsa(), "has a table without offices"),
        (cbsa(office())[:-60], "is cut off within the table"),
    ],
)
def test_another_page_breaks_the_payload(payload: bytes, reason: str) -> None:
    with pytest.raises(BrokenPayload, match=reason):
        parse(NAME, payload)
