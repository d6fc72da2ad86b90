"""Exports: everything the API has, from one state of the log, whole or visibly broken off."""

import codecs
import csv
import json
import os
import tempfile
from collections import deque
from collections.abc import Iterable, Iterator
from errno import ENOSPC
from io import BytesIO, StringIO
from pathlib import Path
from unittest.mock import patch
from zipfile import ZipFile

import httpx2
import pytest
from python_calamine import CalamineWorkbook

from app.embedded.server import SUPERUSER
from app.feeds import exports, revisions, tables, workbooks
from app.feeds.words import writable
from app.status import log
from bench.crowd import Crowd, fill
from tests import clients
from tests.api import SUMSKAS, Api, citation, fields_of, problem
from tests.conftest import Database
from tests.feeds.conftest import (
    HERE,
    HOSTILE,
    THERE,
    Body,
    correct,
    days,
    declare,
    declare_there,
    withdraw,
    write,
)
from tests.marks import full
from tests.servers import Service, service

EVENTS, TIMELINES = "/feeds/events", "/feeds/timelines"


async def lines(api: Api, path: str) -> list[Body]:
    response = await api.client.get(path)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/x-ndjson"
    assert not response.text or response.text.endswith("\n")
    return [json.loads(line) for line in response.text.splitlines()]


async def rows(api: Api, path: str) -> list[dict[str, str]]:
    response = await api.client.get(path)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "text/csv; charset=utf-8"
    return list(csv.DictReader(StringIO(response.content.decode("utf-8"), newline=""), strict=True))


async def items(api: Api, path: str) -> list[Body]:
    """Return all items of a list of the API, page by page."""
    found: list[Body] = []
    following: str | None = path
    while following:
        page = (await api.client.get(following)).json()
        found += page["items"]
        following = page["next"]
    return found


@pytest.fixture
def small_pages() -> Iterator[None]:
    """Pages of three, so that there are some."""
    with (
        patch.object(exports, "CHAINS_PER_READ", 3),
        patch.object(revisions, "CHAINS_PER_READ", 3),
    ):
        yield


@pytest.mark.usefixtures("small_pages")
async def test_every_event_is_a_line_as_the_api_has_it(seeded_api: Api) -> None:
    listed = await items(seeded_api, "/v1/events?limit=200")

    found = await lines(seeded_api, f"{EVENTS}.ndjson")

    assert len(found) > 100
    assert found == listed[::-1]


async def test_every_period_is_a_line_as_the_api_has_it(seeded_api: Api) -> None:
    crossings = await items(seeded_api, "/v1/crossings?limit=200")
    wanted = [
        {**period, "crossing": one["id"]}
        for one in crossings
        for period in await items(seeded_api, f"/v1/crossings/{one['id']}/timeline?limit=200")
    ]

    assert await lines(seeded_api, f"{TIMELINES}.ndjson") == wanted


async def test_a_row_has_what_the_line_has(seeded_api: Api) -> None:
    events = await lines(seeded_api, f"{EVENTS}.ndjson")
    periods = await lines(seeded_api, f"{TIMELINES}.ndjson")

    for told, found in (
        (events, await rows(seeded_api, f"{EVENTS}.csv")),
        (periods, await rows(seeded_api, f"{TIMELINES}.csv")),
    ):
        assert len(found) == len(told) > 50
        for line, row in zip(told, found, strict=True):
            added = {
                name: row[name]
                for name in row
                if name.startswith("local_") or name in {"crossing_name", "border"}
            }
            assert row == _as_row(line, row.keys()) | added
    assert tuple(found[0]) == tables.TIMELINES.columns


async def test_a_row_names_the_crossing_and_its_border(seeded_api: Api) -> None:
    for path in (EVENTS, TIMELINES, "/feeds/statistics"):
        for row in await rows(seeded_api, f"{path}.csv?crossing={SUMSKAS}"):
            assert (row["crossing_name"], row["border"]) == ("Šumskas – Losha", "BY-LT")


COLUMNS_OF_0_1 = {
    EVENTS: (
        "id,kind,crossing,decision,change,sides,status,effective_from,effective_until,"
        "expected_until,traffic,to,reason_code,reason_text,exceptions,max_weight_kg,max_height_m,"
        "certainty,precision,time_zone,local_from,local_until,announced_at,confirmed_at,"
        "recorded_at,recorded_by,supersedes,retracts,superseded_by,retracted_by,incident,citations"
    ),
    TIMELINES: "crossing,from,until,status,last_known,stale,overdue,decided_by,lanes",
    "/feeds/statistics": (
        "crossing,from,until,seconds_open,seconds_restricted,seconds_closed,seconds_unknown,"
        "shares_open,shares_restricted,shares_closed,shares_unknown,closures_count,closures_total,"
        "closures_median,closures_longest,closures_began_before,closures_continued_after,waits"
    ),
}


@pytest.mark.parametrize("path", COLUMNS_OF_0_1)
async def test_columns_stay_where_they_are(here: Api, path: str) -> None:
    """New ones are appended, so that what reads a table by position goes on."""
    header = (await here.get(f"{path}.csv")).text.partition("\r\n")[0]

    assert header.startswith(COLUMNS_OF_0_1[path])


@pytest.mark.parametrize("path", [EVENTS, TIMELINES, "/feeds/statistics"])
async def test_a_byte_order_mark_comes_first_if_it_is_asked_for(here: Api, path: str) -> None:
    await declare(here, reason={"code": "other", "text": "Žąsų"})
    query = {"until": days(-1)} if "statistics" in path else {}
    plain = await here.get(f"{path}.csv", **query)
    marked = await here.get(f"{path}.csv", bom=1, **query)

    assert not plain.content.startswith(codecs.BOM_UTF8)
    assert marked.content == codecs.BOM_UTF8 + plain.content
    problem(await here.get(f"{path}.csv", bom="maybe"), 422, "invalid")


@pytest.mark.parametrize("path", [EVENTS, TIMELINES, "/feeds/statistics"])
async def test_a_workbook_has_what_the_csv_has(seeded_api: Api, path: str) -> None:
    query = "from=2024-01-01T00:00:00Z&until=2025-01-01T00:00:00Z" if "stat" in path else ""
    lines = await rows(seeded_api, f"{path}.csv?{query}")
    response = await seeded_api.client.get(f"{path}.xlsx?{query}")

    assert response.headers["content-type"] == workbooks.XLSX
    ((sheet, (header, *cells)),) = sheets(response.content).items()
    assert sheet == path.rpartition("/")[2]
    assert header == list(lines[0])
    assert [[*map(value_of, row)] for row in cells] == [
        [*map(value_of, line.values())] for line in lines
    ]


def sheets(workbook: bytes) -> dict[str, list[list[object]]]:
    """Return the rows of each sheet of a workbook, as another library reads them."""
    book = CalamineWorkbook.from_filelike(BytesIO(workbook))
    return {
        name: [[*row] for row in book.get_sheet_by_name(name).to_python()]
        for name in book.sheet_names
    }


def value_of(cell: object) -> object:
    """Return a text, or a number as exactly as a workbook has it."""
    try:
        return f"{float(str(cell)):.15g}"
    except ValueError:
        return cell


@pytest.mark.usefixtures("small_pages")
async def test_a_long_table_goes_on_in_another_sheet(here: Api) -> None:
    events = [await declare(here, effective={"from": days(n)}) for n in range(5)]

    with patch.object(workbooks, "MAX_ROWS", 3):
        response = await here.get(f"{EVENTS}.xlsx")

    found = sheets(response.content)
    assert list(found) == ["events", "events 2", "events 3"]
    assert {tuple(rows[0]) for rows in found.values()} == {tables.EVENTS.columns}
    assert [row[0] for rows in found.values() for row in rows[1:]] == [one["id"] for one in events]


async def test_a_workbook_for_which_there_is_no_room_is_refused(here: Api, tmp_path: Path) -> None:
    """It leaves nothing behind."""
    await declare(here)
    with (
        patch.object(tempfile, "tempdir", str(tmp_path)),
        patch.object(workbooks._TableWorkbook, "append", side_effect=OSError(ENOSPC, "full")),
    ):
        problem(await here.get(f"{EVENTS}.xlsx"), 503, "history-overloaded")

    assert [name for _, folders, files in os.walk(tmp_path) for name in (*folders, *files)] == []


def _as_row(line: Body, columns: Iterable[str]) -> dict[str, str]:
    """Return a line as the documentation says that a row is."""
    flat: Body = {}
    for name, value in line.items():
        if name in {"effective", "reason"}:
            flat |= {f"{name}_{within}": one for within, one in (value or {}).items()}
        else:
            flat[name] = value
    return {name: _as_cell(flat.get(name)) for name in columns}


def _as_cell(value: object) -> str:
    match value:
        case None | []:
            return ""
        case str():
            return value
        case [str(), *_]:
            return " ".join(str(one) for one in value)
        case _:
            return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


@pytest.mark.parametrize(
    ("precision", "start", "end"),
    [
        ("minute", "2026-12-01T00:00+02:00", "2027-01-01T00:00+02:00"),
        ("day", "2026-12-01", "2027-01-01"),
        ("month", "2026-12", "2027-01"),
        ("unknown", "", ""),
    ],
)
async def test_a_row_has_local_dates_as_exact_as_they_are_known(
    here: Api, precision: str, start: str, end: str
) -> None:
    effective = {"from": "2026-12-01T00:00:00+02:00", "until": "2027-01-01T00:00:00+02:00"}
    await declare(here, effective=effective, precision=precision)

    (row,) = await rows(here, f"{EVENTS}.csv")

    assert (row["time_zone"], row["effective_from"]) == ("Europe/Vilnius", "2026-11-30T22:00:00Z")
    assert (row["local_from"], row["local_until"]) == (start, end)
    if precision != "unknown":
        periods = await rows(here, f"{TIMELINES}.csv?crossing={HERE}")
        starts, ends = ([one[name] for one in periods] for name in ("local_from", "local_until"))
        assert (starts[:2], starts[-1]) == (["", start], end)
        assert ends == [*starts[1:], ""]


@pytest.mark.parametrize("lead", ["=", "+", "-", "@", "\t", "\r", "＝"])
async def test_no_cell_begins_like_a_formula(here: Api, lead: str) -> None:
    text = f'{lead}HYPERLINK("http://evil.example","x")'
    await declare(here, reason={"code": "other", "text": text})

    (row,) = await rows(here, f"{EVENTS}.csv")
    workbook = await here.get(f"{EVENTS}.xlsx")

    assert row["reason_text"] == f"'{text}"
    assert (await lines(here, f"{EVENTS}.ndjson"))[0]["reason"]["text"] == text
    (_, cells) = sheets(workbook.content)["events"]
    assert cells[tables.EVENTS.columns.index("reason_text")] == writable(text)
    with ZipFile(BytesIO(workbook.content)) as parts:
        assert b"<f>" not in parts.read("xl/worksheets/sheet1.xml")


async def test_hostile_text_stays_in_its_cell(here: Api) -> None:
    await declare(here, reason={"code": "other", "text": HOSTILE})

    response = await here.get(f"{EVENTS}.csv")
    (row,) = await rows(here, f"{EVENTS}.csv")

    assert row["reason_text"] == HOSTILE
    assert response.content.count(b"\r\n") == 3  # one of them in the text
    assert (await lines(here, f"{EVENTS}.ndjson"))[0]["reason"]["text"] == HOSTILE


@pytest.mark.parametrize(
    "query",
    [
        f"crossing={HERE}",
        "border=LT-BY",
        "country=LT",
        f"crossing={THERE}&crossing={HERE}&country=LT",
    ],
)
async def test_it_is_narrowed_to_places(here: Api, query: str) -> None:
    event = await declare(here)
    await declare_there(here)

    assert [one["id"] for one in await lines(here, f"{EVENTS}.ndjson?{query}")] == [event["id"]]
    periods = await lines(here, f"{TIMELINES}.ndjson?{query}")
    assert {one["crossing"] for one in periods} == {HERE}


async def test_it_can_be_asked_as_known_then(here: Api) -> None:
    """Also what became of an event is told as known then."""
    event = await declare(here)
    change = event["change"]
    before = await lines(here, f"{EVENTS}.ndjson")
    periods = await lines(here, f"{TIMELINES}.ndjson")
    later = await correct(here, event, status="open")
    await write(
        here, f"/v1/crossings/{HERE}/confirmations", {"sides": ["LT"], "citations": [citation()]}
    )

    now = await lines(here, f"{EVENTS}.ndjson")
    assert [one["id"] for one in now][:2] == [event["id"], later["id"]]
    assert now[0]["superseded_by"] == later["id"]
    for knowledge in (f"known_change={change}", f"known_at={event['recorded_at']}"):
        response = await here.client.get(f"{EVENTS}.ndjson?{knowledge}")
        assert [json.loads(line) for line in response.text.splitlines()] == before
        assert response.headers["change-number"] == str(change)
        assert response.headers["cache-control"] == "public, max-age=3600"
        assert await lines(here, f"{TIMELINES}.ndjson?{knowledge}") == periods
    assert await lines(here, f"{TIMELINES}.ndjson?known_change=1&crossing={THERE}") == []


@pytest.mark.usefixtures("small_pages")
async def test_what_is_written_meanwhile_is_not_in_it(here: Api) -> None:
    """Neither a new event nor what became of an old one: it tells the state it began with."""
    events = [await declare(here, effective={"from": days(n)}) for n in range(8)]
    wanted = await lines(here, f"{EVENTS}.ndjson")

    found: list[Body] = []
    events_out = log.events_out

    async def meddling(*given: object, **named: object) -> object:
        if not found:
            found.append(await withdraw(here, events[7]))
            await declare(here)
        return await events_out(*given, **named)  # type: ignore[arg-type]

    with patch.object(exports, "events_out", meddling):
        response = await here.get(f"{EVENTS}.ndjson")

    assert [json.loads(line) for line in response.text.splitlines()] == wanted
    assert response.headers["change-number"] == str(events[7]["change"])
    assert found


async def test_an_empty_export_is_a_whole_one(here: Api) -> None:
    assert await lines(here, f"{EVENTS}.ndjson") == []
    response = await here.get(f"{EVENTS}.csv")

    assert response.text == ",".join(tables.EVENTS.columns) + "\r\n"


async def test_what_has_not_changed_is_not_sent_again(here: Api) -> None:
    for path in (
        f"{EVENTS}.csv?crossing={HERE}",
        f"{EVENTS}.xlsx?crossing={HERE}",
        f"{TIMELINES}.ndjson?border=BY-LT",
    ):
        event = await declare(here)
        first = await here.client.get(path)
        tag = {"If-None-Match": first.headers["etag"]}
        again = await here.client.get(path, headers=tag)
        await declare_there(here)
        elsewhere = await here.client.get(path, headers=tag)
        await withdraw(here, event)
        news = await here.client.get(path, headers=tag)

        statuses = [one.status_code for one in (first, again, elsewhere, news)]
        assert statuses == [200, 304, 304, 200]
        assert {"cache-control", "change-number", "last-modified"} <= first.headers.keys()
        plain = await here.client.get(path, headers={"Accept-Encoding": "identity"})
        assert "content-encoding" not in plain.headers
        assert plain.content == news.content
        if ".xlsx" in path:  # It is a ZIP archive already.
            assert plain.headers["etag"] == news.headers["etag"]
            assert "content-encoding" not in news.headers
        else:
            assert plain.headers["etag"] != news.headers["etag"]
            assert news.headers["content-encoding"] == "gzip"
            assert plain.headers["vary"] == "Accept-Encoding"
        head = await here.client.head(path)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["etag"] == news.headers["etag"]
        assert head.headers["content-type"] == news.headers["content-type"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("colour=red", "colour"),
        ("limit=5", "limit"),
        ("crossing=No Slug", "crossing.0"),
        ("border=LT", "border.0"),
        ("known_change=99999", "known_change"),
        ("known_at=2999-01-01T00:00:00Z", "known_at"),
    ],
)
async def test_what_cannot_be_is_refused_before_it_begins(
    seeded_api: Api, query: str, field: str
) -> None:
    for path in (f"{EVENTS}.csv", f"{TIMELINES}.ndjson"):
        body = problem(await seeded_api.client.get(f"{path}?{query}"), 422, "invalid")
        assert fields_of(body) == [field]


@full
def test_a_long_export_takes_no_memory_and_one_that_breaks_off_shows_it(
    empty: Database, tmp_path: Path
) -> None:
    """By a real server: 30,000 events are 20 MB of NDJSON."""
    with empty.connect(SUPERUSER) as superuser:
        fill(superuser, Crowd(50, 30_000))
    with service(tmp_path / "serve.log", database_url=empty.url, worker=False) as running:
        # It is made some seconds after the start, and takes memory.
        assert clients.get(f"{running.url}/openapi.json").status_code == 200
        worker = max(running.family(), key=lambda one: one.memory_info().rss)
        before = worker.memory_info().rss
        peak, length, count = 0, 0, 0
        for piece in pieces(running):
            peak = max(peak, worker.memory_info().rss)
            length += len(piece)
            count += piece.count(b"\n")
        assert count == 30_000
        assert length > 15_000_000
        assert peak - before < length / 2

        before = worker.memory_info().rss
        workbook = b""
        for piece in pieces(running, f"{EVENTS}.xlsx"):
            peak = max(peak, worker.memory_info().rss)
            workbook += piece
        assert peak - before < length / 2
        assert len(sheets(workbook)["events"]) == 30_001

        broken = pieces(running)
        assert next(broken)
        with empty.connect() as owner:
            owner.execute("ALTER TABLE citation RENAME TO gone")
        with pytest.raises(httpx2.RemoteProtocolError, match="incomplete chunked read"):
            deque(broken, maxlen=0)


def pieces(running: Service, path: str = f"{EVENTS}.ndjson") -> Iterator[bytes]:
    """Yield an export of all events as it comes."""
    headers = {"Accept-Encoding": "identity"}
    with (
        clients.client(base_url=running.url) as client,
        client.stream("GET", path, headers=headers) as response,
    ):
        yield from response.iter_raw()
