"""Which importers there are, and what holds of each."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.importers.findings import BrokenPayload, Reading
from app.importers.importer import Importer, importers
from app.importers.places import Places
from app.places.schemas import CrossingIn
from app.seeding.files import SEEDS, Seeds
from app.vocabulary import Traffic
from tests.importers import samples

SEEDED = {
    seed.body.id: seed.body for seed in Seeds(SEEDS).load() if isinstance(seed.body, CrossingIn)
}
SAMPLES = {
    "us-cbp": samples.cbp(samples.port(car=samples.lanes(), truck=samples.CLOSED)),
    "ca-cbsa": samples.cbsa(samples.office(), samples.office("Coutts")),
    "ua-echerha": samples.echerha(samples.queue(), samples.queue(1, "Ягодин – Дорогуськ")),
}
each = pytest.mark.parametrize("name", sorted(importers()))
each_sampled = pytest.mark.parametrize("name", sorted(SAMPLES))


def test_each_is_found_by_being_there() -> None:
    assert importers().keys() >= SAMPLES.keys()


@each
def test_its_places_are_crossings_of_the_seeds(name: str) -> None:
    for place in importers()[name].places.place:
        crossing = SEEDED[place.crossing]
        assert place.to in crossing.sides, place
        assert set(place.traffic or ()) <= set(crossing.traffic), place


@each
def test_it_may_open_lanes_of_the_side_whose_authority_runs_it_or_say_nothing(name: str) -> None:
    policy = importers()[name].policy

    assert (policy.status, policy.side) == {
        "us-cbp": ("open", "US"),
        "ca-cbsa": ("open", "CA"),
    }.get(name, ("nothing", None))
    if policy.side is not None:
        assert {place.to for place in importers()[name].places.place} == {policy.side}


@each
def test_it_is_fetched_by_https_and_not_too_often(name: str) -> None:
    importer = importers()[name]

    assert all(one.startswith("https://") for one in importer.addresses)
    assert importer.interval.total_seconds() >= 300


@each
@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"\xff\xfe[\x00", "is not UTF-8: see byte 0"),
        ("[é]".encode("cp1252"), "is not UTF-8: see byte 1"),
    ],
)
def test_what_is_not_text_breaks_the_payload(name: str, payload: bytes, reason: str) -> None:
    assert broken(importers()[name], payload) == reason


@pytest.mark.parametrize("name", sorted(importers().keys() - {"ca-cbsa"}))
@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"<!DOCTYPE html><html></html>", "is not JSON but HTML or XML"),
        (b'[{"port_number": "0', "is cut off: "),
        (b"[1, 2", "is cut off: "),
        (b"nothing", "is not JSON: "),
        (b"[NaN]", "is not JSON: "),
        (b"[" * 100_000, "is not JSON: "),
        (b"12", ""),
        (b"null", ""),
        (b'"text"', ""),
    ],
)
def test_what_is_not_its_json_breaks_the_payload(name: str, payload: bytes, reason: str) -> None:
    assert broken(importers()[name], payload).startswith(reason)


def broken(importer: Importer, payload: bytes) -> str:
    with pytest.raises(BrokenPayload) as raised:
        list(importer.parse(payload, importer.places))
    return str(raised.value)


@each_sampled
@given(data=st.data())
def test_a_damaged_payload_gives_findings_or_is_broken(name: str, data: st.DataObject) -> None:
    """Whatever became of some of its bytes; never anything else."""
    payload = bytearray(SAMPLES[name])
    kind = data.draw(st.sampled_from(["cut", "replace", "insert"]))
    place = data.draw(st.integers(0, len(payload)))
    junk = data.draw(st.binary(max_size=8) | st.sampled_from([b"null", b"-1", b'"', b"{}", b"9e9"]))
    match kind:
        case "cut":
            del payload[place:]
        case "replace":
            payload[place : place + len(junk)] = junk
        case _:
            payload[place:place] = junk
    try:
        findings = samples.parse(name, bytes(payload))
    except BrokenPayload:
        return
    for one in findings:
        if isinstance(one, Reading):
            assert one.observation.crossing == one.place.crossing


@each_sampled
@given(payload=st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_other_bytes_are_broken(name: str, payload: bytes) -> None:
    with pytest.raises(BrokenPayload):
        samples.parse(name, payload)


# The map of its places


def test_a_map_may_say_once_what_holds_for_all() -> None:
    places = Places.model_validate(
        {
            "to": "US",
            "zone": "America/Denver",
            "place": [
                {"key": "1", "crossing": "one"},
                {"key": "2", "crossing": "two", "zone": "America/Phoenix", "traffic": ["car"]},
            ],
            "left_out": [{"key": "3", "reason": "is the same as 1"}],
        }
    )

    assert [(one.to, one.zone) for one in places.place] == [
        ("US", "America/Denver"),
        ("US", "America/Phoenix"),
    ]
    assert places.place[1].traffic == (Traffic.CAR,)
    assert places.find("2") == places.place[1]
    assert places.find("3") == places.left_out[0]
    assert places.find("4") is None


@pytest.mark.parametrize(
    "given",
    [
        {"place": [{"key": "1", "crossing": "one"}]},
        {"place": [{"key": "1", "crossing": "one", "to": "XX"}]},
        {"place": [{"key": "1", "crossing": "one", "to": "US", "zone": "America/Nowhere"}]},
        {"place": [{"key": "1", "crossing": "one", "to": "US"}] * 2},
        {"place": [{"key": "1", "crossing": "one", "to": "US", "side": "US"}]},
    ],
)
def test_a_map_that_is_not_right_is_refused(given: object) -> None:
    with pytest.raises(ValueError, match="validation error"):
        Places.model_validate(given)
