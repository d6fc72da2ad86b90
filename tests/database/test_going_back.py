"""Going down and up again with rows in the way: the change log forgets nothing."""

from collections.abc import Mapping
from typing import Any

from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

from app import schema
from app.audit.service import find_faults
from app.embedded.server import SERVICE
from app.seeding.service import load_seeds
from app.status.due import announce_due
from tests.api import MEDININKAI, SUMSKAS, TVERECIUS, Api, citation, decision
from tests.conftest import Database
from tests.marks import full
from tests.seeds import SETS

Body = dict[str, Any]
Rows = dict[str, list[str]]

BELOW = "0001"
"""The revision that knows no notices."""


def last_without(word: str) -> str:
    """Return the newest revision below the one that is about this."""
    revisions = ScriptDirectory.from_config(schema._config()).walk_revisions()
    (found,) = (str(one.down_revision) for one in revisions if word in str(one.doc))
    return found


SUBJECTS = "event_id, crossing_id, version, notice_id, incident_id, retraction_id"
EXACTLY = {
    table: f"SELECT row::text FROM {table} row ORDER BY 1"  # noqa: S608
    for table in schema.metadata.tables
} | {
    # All of a citation but its id, which tells no more than its place among those of its subject.
    "citation": f"""
        SELECT (source_id, {SUBJECTS}, locator, basis,
                row_number() OVER (PARTITION BY {SUBJECTS} ORDER BY id))::text
        FROM citation ORDER BY 1
    """,  # noqa: S608
    # What still matters is found anew, as of another instant.
    "compacted_log": "SELECT (crossing_id, due_at)::text FROM compacted_log ORDER BY 1",
}


NOT_RESTORED = {
    "fan_out",  # made anew, it begins at the newest change
    "alert_fan_out",  # the same
    "write_attempt",  # the change log does not hold it
}


def rows_of(database: Database) -> Rows:
    """Return every row that going up restores, as PostgreSQL itself spells it."""
    with database.connect() as connection:
        return {
            table: [row for (row,) in connection.execute(query.encode())]
            for table, query in EXACTLY.items()
            if table not in NOT_RESTORED
        }


def go_down(database: Database, revision: str = BELOW) -> None:
    engine = create_engine(database.owner_url)
    try:
        with engine.connect() as connection:
            command.downgrade(schema._config(connection), revision)
    finally:
        engine.dispose()


def go_up(database: Database) -> None:
    schema.migrate(database.owner_url, service_role=SERVICE)


async def write(api: Api, path: str, body: Mapping[str, object]) -> Body:
    response = await api.post(path, body)
    assert response.status_code == 201, response.text
    told: Body = response.json()
    return told


def notice(**fields: object) -> Body:
    return {
        "kind": "security_measure",
        "issuer": {"country": "LT", "name": "VSAT"},
        "subjects": {"crossings": [TVERECIUS, SUMSKAS]},
        "text": {"lt": 'Patruliai "dvigubi"\n', "en": "Патрули\\удвоены"},
        "citations": [citation(locator="line 2"), citation(), citation(locator=None)],
        **fields,
    }


async def tell_everything(api: Api) -> None:
    """Write what the seeds have none of: corrections, withdrawals, odd numbers and bounds."""
    text: Body = {"title": {"en": "A story"}, "summary": {"en": "It begins."}}
    cited: Body = {"citations": [citation(), citation(locator="line 2")]}
    story = await write(api, "/v1/incidents", text | cited)
    claim = await write(
        api,
        "/v1/notices",
        notice(
            figures=[
                {"value": 1e-7, "unit": "share", "qualifier": "up_to"},
                {"value": 4500.5, "unit": "persons", "of": "Guards", "hedge": "may be"},
                {"value": -1e15, "unit": "persons"},
            ],
            effective={"from": None, "until": "2199-01-01T00:00:00.000001Z"},
            precision="unknown",
            certainty="unconfirmed",
            announced_at="2023-08-16T10:00:00.123456+03:00",
            incident=story["id"],
        ),
    )
    denial = await write(
        api,
        "/v1/notices",
        notice(
            issuer={"name": "Somebody"},
            subjects={"countries": ["US", "LT"], "borders": ["BY-LT"]},
            effective={"from": "2023-08-16T00:00:00Z", "until": None},
            contradicts=[claim["id"]],
        ),
    )
    await write(api, "/v1/notices", notice(supersedes=claim["id"], contradicts=[denial["id"]]))
    reason: Body = {"reason": {"code": "other", "text": "Told twice"}}
    await write(api, denial["undo"][0], reason | cited)
    await api.declare(crossings=[SUMSKAS, MEDININKAI], incident=story["id"])
    wrong = decision(crossings=[TVERECIUS], incident=story["id"])
    await write(api, (await write(api, "/v1/events", wrong))["undo"][0], reason)
    await write(api, "/v1/incidents", text | cited | {"supersedes": story["id"]})
    gone = await write(api, "/v1/incidents", text | cited)
    await write(api, gone["undo"][0], {"reason": {"code": "other"}})
    for path, body in (("/v1/incidents", text | cited), ("/v1/notices", notice())):
        first = await write(api, path, body)
        correction = await write(api, path, body | {"supersedes": first["id"]})
        await write(api, f"{path}/{correction['id']}/retraction", reason)
    hours = {"side": "BY", "time_zone": "Europe/Minsk", "opening_hours": "06:00-22:00; PH off"}
    response = await api.patch(f"/v1/crossings/{SUMSKAS}", cited | {"hours": [hours]})
    assert response.status_code == 200, response.text
    for retired in ({"retired_at": "2024-02-29T12:00:00.000001Z"}, {"replaced_by": MEDININKAI}):
        response = await api.patch(f"/v1/crossings/{TVERECIUS}", cited | retired)
        assert response.status_code == 200, response.text


async def load(database: Database) -> int:
    async with database.session() as session:
        return await load_seeds(session, only=SETS)


async def announce(database: Database) -> None:
    """Look at what may have come due: it is noted anew, and nothing has."""
    more = True
    while more:
        async with database.session() as session:
            more = await announce_due(session)


async def faults(database: Database) -> list[str]:
    async with database.session() as session:
        return [fault async for fault in find_faults(session)]


@full
async def test_down_and_up_again_restores_every_row(seeded: Database) -> None:
    """Of seeds and of what was written since, citations in their order and all; twice."""
    async with seeded.api() as api:
        await tell_everything(api)
    before = rows_of(seeded)
    for table in ("notice", "incident", "retraction"):
        assert len(before[table]) > 1, table

    for _ in range(2):
        go_down(seeded)
        with seeded.connect() as connection:
            gone = connection.execute("SELECT to_regclass('notice'), to_regclass('incident')")
            assert gone.fetchone() == (None, None)
        go_up(seeded)
        await announce(seeded)

        assert rows_of(seeded) == before
    assert await faults(seeded) == []
    assert await load(seeded) == 0


@full
async def test_a_crossing_that_was_retired_is_so_again_after_going_down_and_up(
    seeded: Database,
) -> None:
    """Below, it is in use like any other."""
    async with seeded.api() as api:
        retired = {"retired_at": "2024-02-29T12:00:00Z", "replaced_by": MEDININKAI}
        path = f"/v1/crossings/{SUMSKAS}"
        cited: Body = {"citations": [citation()]}
        assert (await api.patch(path, cited | retired)).status_code == 200
        assert (await api.patch(path, cited | {"aliases": ["X"]})).status_code == 200
        before = (await api.get(path)).json()
    rows = rows_of(seeded)

    go_down(seeded, last_without("retired"))
    with seeded.connect() as connection:
        columns = connection.execute(
            "SELECT column_name FROM information_schema.columns"
            " WHERE table_name = 'crossing_version'"
        ).fetchall()
    assert {"retired_at", "replaced_by"}.isdisjoint(name for (name,) in columns)
    go_up(seeded)

    assert rows_of(seeded) == rows
    assert await faults(seeded) == []
    async with seeded.api() as api:
        assert (await api.get(path)).json() == before
        refused = await api.post("/v1/events", decision(crossings=[SUMSKAS]))
        assert refused.status_code == 409


@full
async def test_contacts_are_there_again_after_going_down_and_up(seeded: Database) -> None:
    """Those of each version; one without any has none."""
    contact = {"side": "LT", "authority": "Border guard", "phone": "+37031234567"}
    async with seeded.api() as api:
        path = f"/v1/crossings/{SUMSKAS}"
        cited: Body = {"citations": [citation()]}
        for contacts in ([contact], [], [contact, {**contact, "side": "BY"}]):
            assert (await api.patch(path, cited | {"contacts": contacts})).status_code == 200
        before = (await api.get(path)).json()
    rows = rows_of(seeded)

    go_down(seeded, last_without("contacts of authorities"))
    go_up(seeded)

    assert rows_of(seeded) == rows
    assert await faults(seeded) == []
    async with seeded.api() as api:
        assert (await api.get(path)).json() == before


@full
async def test_hours_are_there_again_after_going_down_and_up(seeded: Database) -> None:
    """Those of each version; one without any has none."""
    hours = {"side": "LT", "time_zone": "Europe/Vilnius", "opening_hours": "06:00-22:00"}
    async with seeded.api() as api:
        path = f"/v1/crossings/{SUMSKAS}"
        cited: Body = {"citations": [citation()]}
        for some in ([hours], [], [hours, {**hours, "side": "BY", "traffic": ["car"]}]):
            assert (await api.patch(path, cited | {"hours": some})).status_code == 200
        before = (await api.get(path)).json()
    rows = rows_of(seeded)

    go_down(seeded, last_without("regular hours"))
    with seeded.connect() as connection:
        columns = connection.execute("SELECT * FROM crossing_version LIMIT 0").description
    assert columns
    assert "hours" not in {column.name for column in columns}
    go_up(seeded)

    assert rows_of(seeded) == rows
    assert await faults(seeded) == []
    async with seeded.api() as api:
        assert (await api.get(path)).json() == before
