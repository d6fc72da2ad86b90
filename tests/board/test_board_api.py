"""What the board answers: the same as the routes behind it, as of the right change and instant."""

import threading
from datetime import UTC, datetime, timedelta
from itertools import groupby

import anyio
import httpx2
import pytest

from app.board.board import Board
from app.board.questions import question_of
from app.status import histories
from tests.api import MEDININKAI, SUMSKAS, TVERECIUS, Json, citation, crossing, problem
from tests.board.conftest import Sides, sides_of
from tests.conftest import Database
from tests.marks import full
from tests.waiting import PATIENCE, until

STATUS = f"/v1/crossings/{SUMSKAS}/status"
ADDRESSES = [
    STATUS,
    f"{STATUS}?traffic=car",
    f"{STATUS}?to=LT",
    f"{STATUS}?to=LT&traffic=truck",
    f"/v1/crossings/{SUMSKAS}",
    "/v1/crossings",
    "/v1/crossings?limit=5",
    "/v1/crossings?limit=999",
    "/v1/crossings?border=BY-LT",
    "/v1/crossings?border=LT-BY&limit=2",
    "/v1/crossings?retired=true",
    "/v1/crossings?retired=false&border=BY-LT",
    "/v1/borders",
    "/v1/borders?limit=1",
    "/v1/borders?retired=true",
]
LEFT_TO_THE_ROUTES = [
    f"{STATUS}?at=2023-09-01T00:00:00Z",
    f"{STATUS}?known_change=100",
    f"{STATUS}?traffic=cars",
    f"{STATUS}?traffic=bus",
    f"{STATUS}?traffic=car&traffic=car",
    f"{STATUS}?unknown=1",
    f"{STATUS}?to=",
    "/v1/crossings?limit=0",
    "/v1/crossings?limit=+5",
    "/v1/crossings?cursor=nonsense",
    "/v1/crossings?retired=yes",
    "/v1/crossings?retired=never",
    "/v1/crossings?status=closed",
    "/v1/crossings?border=Lithuania",
    "/v1/borders?country=LT",
    "/v1/borders/BY-LT",
    "/v1/crossings/nowhere",
    "/v1/crossings/nowhere/status",
    f"/v1/crossings/{SUMSKAS}/",
    f"/v1/crossings/{SUMSKAS}/timeline",
]


def told(answer: httpx2.Response) -> tuple[int, dict[str, str], bytes]:
    headers = dict(answer.headers)
    # The routes give each answer an id; the board's may be kept for many readers.
    headers.pop("x-request-id", None)
    return answer.status_code, headers, answer.content


@pytest.mark.parametrize("address", ADDRESSES)
async def test_the_board_and_the_routes_give_the_same_bytes_and_headers(
    read_sides: Sides, address: str
) -> None:
    path, _, query = address.partition("?")
    assert question_of(path, query.encode())
    for accepted in ("gzip", "identity", "br, gzip;q=0.5"):
        headers = {"Accept-Encoding": accepted}
        by_board, by_routes = await read_sides.both(address, **headers)
        assert told(by_board) == told(by_routes)
        assert by_board.status_code == 200

        headers["If-None-Match"] = f'"other", W/{by_board.headers["etag"]}'
        by_board, by_routes = await read_sides.both(address, **headers)
        assert told(by_board) == told(by_routes)
        assert (by_board.status_code, by_board.content) == (304, b"")


@full
async def test_every_crossing_every_lane_and_every_page_is_answered_alike(sides: Sides) -> None:
    """Also what is planned, corrected, retracted, and a crossing that was just added."""
    soon = datetime.now(UTC) + timedelta(days=2)
    await sides.front.declare(crossings=[MEDININKAI], status="open")
    await sides.front.declare(crossings=[MEDININKAI], effective={"from": soon.isoformat()})
    wrong = await sides.front.declare(crossings=[TVERECIUS], status="restricted")
    await sides.front.declare(
        crossings=[TVERECIUS],
        status="open",
        supersedes=[wrong["events"][0]["id"]],  # type: ignore[index,call-overload]
    )
    await sides.front.declare(certainty="unconfirmed", status="open", sides=["BY"])
    assert (await sides.front.post("/v1/crossings", crossing())).status_code == 201
    await retire(sides, TVERECIUS, replaced_by=SUMSKAS)
    addresses = ["/v1/crossings?limit=7&retired=true", "/v1/borders?limit=2"]
    while addresses:
        address = addresses.pop()
        by_board, by_routes = await sides.both(address)
        assert told(by_board) == told(by_routes)
        page = by_board.json()
        if page["next"]:
            assert by_board.links["next"]["url"] == page["next"]
            addresses.append(page["next"].removeprefix("http://crossings.test"))
        for one in page["items"]:
            if "border" not in one:
                continue
            here = f"/v1/crossings/{one['id']}"
            for path in (here, f"{here}/status", *lanes_of(here, one)):
                by_board, by_routes = await sides.both(path)
                assert told(by_board) == told(by_routes)


def lanes_of(here: str, listed: Json) -> list[str]:
    traffic, to = listed["traffic"], listed["sides"]
    assert isinstance(traffic, list)
    assert isinstance(to, list)
    return [f"{here}/status?traffic={one}&to={side}" for one in traffic for side in to]


async def retire(sides: Sides, name: str, replaced_by: str | None = None) -> None:
    body = {
        "retired_at": "2024-03-01T00:00:00Z",
        "replaced_by": replaced_by,
        "citations": [citation()],
    }
    assert (await sides.front.patch(f"/v1/crossings/{name}", body)).status_code == 200


@full
async def test_a_retired_crossing_leaves_the_lists_of_both_alike(sides: Sides) -> None:
    """Wherever on a page it was: also the bounds of pages and since when they are so."""
    listed = (await sides.front.get("/v1/crossings", border="BY-LT")).json()["items"]
    ids = [one["id"] for one in listed]
    for name in (ids[0], ids[2], ids[3], ids[-1]):
        await retire(sides, name)
        for limit in range(1, len(ids) + 1):
            for query in (
                f"border=BY-LT&limit={limit}",
                f"border=BY-LT&limit={limit}&retired=true",
            ):
                address = f"/v1/crossings?{query}"
                while address:
                    by_board, by_routes = await sides.both(address)
                    assert told(by_board) == told(by_routes)
                    following = by_board.json()["next"] or ""
                    address = following.removeprefix("http://crossings.test")
        for address in ("/v1/borders", "/v1/borders?retired=true", "/feeds/crossings.geojson"):
            by_board, by_routes = await sides.both(address)
            assert told(by_board) == told(by_routes)


@pytest.mark.parametrize("address", LEFT_TO_THE_ROUTES)
async def test_what_the_board_does_not_know_is_left_to_the_routes(
    read_sides: Sides, address: str
) -> None:
    by_board, by_routes = await read_sides.both(address)

    assert told(by_board) == told(by_routes)


async def test_the_present_asks_nothing_of_the_database(sides: Sides, seeded: Database) -> None:
    """Even with all tables gone the answers stay; a question about the past needs them."""
    before = [await sides.front.get(address) for address in ADDRESSES]
    with seeded.connect() as connection:
        connection.execute("ALTER TABLE status_event RENAME TO gone")
        try:
            after = [await sides.front.get(address) for address in ADDRESSES]
            past = await sides.front.get(STATUS, at="2023-09-01T00:00:00Z")
        finally:
            connection.execute("ALTER TABLE gone RENAME TO status_event")
    assert [one.content for one in after] == [one.content for one in before]
    problem(past, 500, "internal")


# Right to the instant


async def test_what_is_planned_comes_true_to_the_instant(sides: Sides) -> None:
    """Nobody writes anything, no cache is told to keep it beyond, and the board goes along."""
    await sides.front.declare(status="open")
    closes = await sides.front.soon(SUMSKAS)
    reopens = closes + (closes - datetime.now(UTC))
    effective = {"from": closes.isoformat(), "until": reopens.isoformat()}
    await sides.front.declare(effective=effective)
    seen = [await sides.get_timed(STATUS)]
    while seen[-1][0] < reopens:
        await anyio.sleep(0.002)
        seen.append(await sides.get_timed(STATUS))

    for before, answer, after in seen:
        status = answer.json()["sides"]["LT"]
        if status == "closed":
            assert closes <= after
            assert before < reopens
        else:
            assert before < closes or after >= reopens
        due = answer.json()["next_change_at"]
        kept = int(answer.headers["cache-control"].split("max-age=")[1].split(",")[0])
        if due is not None:
            assert before + timedelta(seconds=kept) <= datetime.fromisoformat(due)
    statuses = [answer.json()["sides"]["LT"] for _, answer, _ in seen]
    assert [status for status, _ in groupby(statuses)] == ["open", "closed", "open"]


async def test_the_validators_change_with_the_answer_and_only_with_it(sides: Sides) -> None:
    first = await sides.front.get(STATUS)
    await sides.front.declare(crossings=[MEDININKAI])
    elsewhere = await sides.front.get(STATUS)
    await sides.front.declare(crossings=[SUMSKAS])
    here = await sides.front.get(STATUS)

    assert elsewhere.content == first.content
    assert elsewhere.headers["etag"] == first.headers["etag"]
    assert elsewhere.headers["last-modified"] == first.headers["last-modified"]
    assert int(elsewhere.headers["change-number"]) == int(first.headers["change-number"]) + 1
    assert here.headers["etag"] != first.headers["etag"]
    assert here.headers["cache-control"].startswith("public, max-age=2, stale-while-revalidate=3")


async def test_a_head_has_the_headers_of_a_get(read_sides: Sides) -> None:
    for address in (STATUS, f"{STATUS}?at=2023-09-01T00:00:00Z", "/v1/events"):
        got = await read_sides.front.client.get(address)
        headed = await read_sides.front.client.head(address)
        assert (headed.status_code, headed.content) == (200, b"")
        assert headed.headers["etag"] == got.headers["etag"]
        assert headed.headers["content-length"] == got.headers["content-length"]


async def test_an_answer_about_the_past_as_known_then_may_be_kept(read_sides: Sides) -> None:
    past = await read_sides.front.get(STATUS, at="2023-09-01T00:00:00Z", known_change=300)
    present = await read_sides.front.get(STATUS, at="2023-09-01T00:00:00Z")

    assert past.headers["cache-control"] == "public, max-age=3600"
    assert present.headers["cache-control"] == "public, no-cache"


# As of a change


async def test_whoever_demands_a_change_is_answered_from_it(sides: Sides) -> None:
    await sides.front.declare()
    newest = sides.board.change
    answer = await sides.front.client.get(STATUS, headers={"At-Least-Change": str(newest)})

    assert answer.status_code == 200
    assert int(answer.headers["change-number"]) >= newest


async def test_whoever_demands_a_change_to_come_waits_for_it(sides: Sides) -> None:
    demanded = {"At-Least-Change": str(sides.board.change + 1)}
    async with anyio.create_task_group() as group:
        group.start_soon(sides.front.declare)
        answer = await sides.front.client.get(STATUS, headers=demanded)

    assert answer.status_code == 200
    assert answer.headers["change-number"] == demanded["At-Least-Change"]


async def test_a_change_that_does_not_come_is_a_503(read_sides: Sides) -> None:
    demanded = {"At-Least-Change": str(read_sides.board.change + 1)}
    for address in (STATUS, "/v1/events"):
        answer = await read_sides.front.client.get(address, headers=demanded)
        problem(answer, 503, "unavailable")
        assert int(answer.headers["retry-after"]) > 0


async def test_a_change_that_cannot_come_is_refused_at_once(read_sides: Sides) -> None:
    answer = await read_sides.front.client.get(STATUS, headers={"At-Least-Change": str(10**15)})

    assert "At-Least-Change" in str(problem(answer, 422, "invalid")["errors"])


@pytest.mark.parametrize("demanded", ["", "-1", "newest", "1.5", "9" * 30, "٣"])
async def test_a_change_that_is_no_number_is_refused_by_name(
    read_sides: Sides, demanded: str
) -> None:
    headers = [(b"At-Least-Change", demanded.encode())]
    answer = await read_sides.front.client.get(STATUS, headers=headers)

    assert "At-Least-Change" in str(problem(answer, 422, "invalid")["errors"])


# Following what is committed


async def test_a_notification_that_is_lost_is_made_up_for(sides: Sides, seeded: Database) -> None:
    with seeded.connect() as connection:
        connection.execute("ALTER TABLE change DISABLE TRIGGER tell_change")
    written = await sides.front.declare(crossings=[MEDININKAI])

    assert await sides.board.reached(int(str(written["change"])), within=PATIENCE)
    assert (await sides.front.status(MEDININKAI))["sides"]["LT"] == "closed"  # type: ignore[index,call-overload]


async def test_a_change_that_went_past_the_service_is_followed(
    sides: Sides, seeded: Database
) -> None:
    """Another worker's write, the command line's: whatever commits to the log."""
    async with sides_of(seeded) as other:
        written = await other.front.declare(crossings=[MEDININKAI])
        demanded = {"At-Least-Change": str(written["change"])}
        answer = await sides.front.client.get(
            f"/v1/crossings/{MEDININKAI}/status", headers=demanded
        )

    assert answer.json()["sides"]["LT"] == "closed"


async def test_a_notice_that_names_a_crossing_touches_its_answer(sides: Sides) -> None:
    notice = {
        "kind": "travel_advice",
        "issuer": {"country": "LT", "name": "Ministry"},
        "subjects": {"crossings": [SUMSKAS]},
        "text": {"en": "Do not travel."},
        "citations": [citation()],
    }
    response = await sides.front.post("/v1/notices", notice)
    assert response.status_code == 201, response.text

    assert (await sides.front.status())["change"] == response.json()["change"]


async def test_a_board_that_is_loaded_in_many_slices_is_the_same(
    seeded: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On both connections: each has several of them."""
    monkeypatch.setattr(histories, "_CROSSINGS_PER_LOAD", 3)
    async with sides_of(seeded) as sides:
        for address in ("/v1/crossings?limit=999", "/v1/borders"):
            by_board, by_routes = await sides.both(address)
            assert told(by_board) == told(by_routes)
        for one in (await sides.routes.get("/v1/crossings?limit=999")).json()["items"]:
            by_board, by_routes = await sides.both(f"/v1/crossings/{one['id']}/status")
            assert told(by_board) == told(by_routes)


async def test_the_board_alters_only_in_the_thread_of_its_readers(
    sides: Sides, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else an answer could be made of two states."""
    altering: list[int] = []

    def noted(method: str) -> None:
        act = getattr(Board, method)

        def alter(board: Board, *given: object, **named: object) -> None:
            if board is sides.board:
                altering.append(threading.get_ident())
            act(board, *given, **named)

        monkeypatch.setattr(Board, method, alter)

    for method in ("update", "confirm"):
        noted(method)
    await sides.front.declare(crossings=[MEDININKAI])
    await until(lambda: len(altering) > 3)  # some of them by the heartbeat

    assert set(altering) == {threading.get_ident()}
