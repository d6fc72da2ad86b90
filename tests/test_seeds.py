"""The seeds: files that are checked, loaded once, corrected when they change, and what they say."""

import re
import shutil
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import pytest

from app.changes.ids import seed_id
from app.languages.languages import LANGUAGES
from app.languages.words import Words
from app.places.schemas import CrossingIn
from app.seeding.files import (
    SEEDS,
    SeedConfirmation,
    SeedDeclaration,
    SeedError,
    SeedIncident,
    SeedNotice,
    Seeds,
)
from app.seeding.service import load_seeds
from app.vocabulary import Basis, Traffic
from tests.api import MEDININKAI, SUMSKAS, TVERECIUS, Api, citation
from tests.conftest import Database
from tests.marks import full, in_full
from tests.seeds import SETS, seeded_crossings, seeds

Body = dict[str, Any]

SALCININKAI = "salcininkai-bieniakoni"
FOUR = {MEDININKAI, SALCININKAI, "lavoriskes-katlouka", "raigardas-pryvalka"}

ARTICLE = str(seed_id("source/article", "source"))

BEFORE_MIDNIGHT, MIDNIGHT = "2023-08-17T20:59:59Z", "2023-08-17T21:00:00Z"
"""Of the night to 18 August 2023 in Lithuania."""


# Files


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the seeds, to be changed."""
    for name in SETS:
        shutil.copytree(SEEDS / name, tmp_path / "seeds" / name)
    return tmp_path / "seeds"


def ids_in(folder: Path) -> dict[str, list[str]]:
    """Return the ids of each kind of seed, as plain text has them, in the order of the files."""
    found: dict[str, list[str]] = {}
    for path in sorted(folder.rglob("*.toml")):
        text = path.read_text(encoding="utf-8")
        for kind, name in re.findall(r'(?m)^\[\[(\w+)\]\]\n(?:#.*\n)*id = "(.+)"$', text):
            found.setdefault(kind, []).append(name)
    return found


def file_of(folder: Path, name: str) -> Path:
    """Return the file that holds the seed ``name``."""
    kind, _, seed_name = name.partition("/")
    (found,) = [
        path
        for path in folder.rglob("*.toml")
        if f'[[{kind}]]\nid = "{seed_name}"\n' in path.read_text(encoding="utf-8")
    ]
    return found


def edit(folder: Path, name: str, change: Callable[[str], str]) -> None:
    """Change the text of the seed ``name`` and of nothing else."""
    path = file_of(folder, name)
    blocks = re.split(r"(?m)^(?=\[\[)", path.read_text(encoding="utf-8"))
    kind, _, seed_name = name.partition("/")
    (found,) = [one for one in blocks if one.startswith(f'[[{kind}]]\nid = "{seed_name}"\n')]
    changed = change(found)
    assert changed != found
    text = "".join(changed if one is found else one for one in blocks)
    path.write_text(text, encoding="utf-8")


def leave_out(folder: Path, name: str) -> None:
    edit(folder, name, lambda _: "")


def replace(folder: Path, name: str, old: str, new: str) -> None:
    edit(folder, name, lambda text: text.replace(old, new, 1))


KINDS = ("source", "crossing", "incident", "record", "notice")
"""In the order of loading: what is referred to comes before what refers to it."""


def test_every_record_is_what_its_schema_says_and_cites_a_source_there_is() -> None:
    """The same bodies that the API takes, checked by the loader's own reading."""
    ids = ids_in(SEEDS)
    sources = {seed_id(f"source/{name}", "source") for name in ids["source"]}

    checked = Seeds(SEEDS).load()

    assert [seed.name for seed in checked] == [
        f"{kind}/{name}" for kind in KINDS for name in ids[kind]
    ]
    for seed in checked:
        citations = getattr(seed.body, "citations", [])
        assert {citation.source for citation in citations} <= sources
        assert citations or seed.name.startswith("source/")


def test_the_hours_of_crossings_with_the_united_states_are_those_that_cbp_words() -> None:
    """Those of entering the country. Trucks may have fewer than a port that is open all day."""
    expressions = {
        "24 hrs/day": "24/7",
        "6 am-10 pm": "Mo-Su 06:00-22:00",
        "6 am-6 pm": "Mo-Su 06:00-18:00",
        "6 am-8 pm": "Mo-Su 06:00-20:00",
        "6 am-Midnight": "Mo-Su 06:00-24:00",
        "7 am-11 pm": "Mo-Su 07:00-23:00",
        "7 am-Midnight": "Mo-Su 07:00-24:00",
        "8 am-Midnight": "Mo-Su 08:00-24:00",
        "9 am-8 pm": "Mo-Su 09:00-20:00",
        "10 am-6 pm": "Mo-Su 10:00-18:00",
    }
    text = "".join((SEEDS / name / "crossings.toml").read_text() for name in ("ca-us", "mx-us"))
    worded = {name: words for words, name in re.findall(r'hours: "(.*)"\.\nid = "(.*)"', text)}
    crossings = [
        seed.body
        for seed in Seeds(SEEDS, only=["ca-us", "mx-us"]).load()
        if isinstance(seed.body, CrossingIn)
    ]
    assert len(worded) == 73

    for crossing in crossings:
        said = [(one.side, one.to, one.opening_hours) for one in crossing.hours]
        words = worded.get(crossing.id)
        assert said == ([("US", "US", expressions[words])] if words else [])
        for one in crossing.hours:
            assert one.time_zone.startswith("America/")
            serves_trucks = one.covers(Traffic.TRUCK, "US") and Traffic.TRUCK in crossing.traffic
            assert not (serves_trucks and one.opening_hours == "24/7")


@pytest.mark.parametrize("lang", ["be", "pl", "ru"])
def test_every_crossing_has_a_name_of_both_sides_in_the_languages_of_the_border(lang: str) -> None:
    """Or a page in Belarusian would show it in Russian, and one in Polish in English."""
    for body in seeded_crossings():
        named = {name.side for name in body.names if name.lang == lang}
        assert named == set(body.sides), body.id


@pytest.mark.parametrize(
    ("crossing", "lang", "name"),
    [
        ("lavoriskes-katlouka", "be", "Лаварышкі – Катлоўка"),
        ("kukuryki-kazlovicy", "be", "Кукурыкі – Казловічы"),
        ("kuznica-bruzhi", "be", "Кузніца – Брузгі"),
        ("polowce-piascatka", "be", "Палоўцы – Пяшчатка"),
        ("siemianowka-svislac-rail", "be", "Сямяноўка – Свіслач"),
        ("slawatycze-damacava", "be", "Славатычы – Дамачава"),
        ("terespol-brest", "be", "Тэрэспаль – Брэст"),
        ("medininkai-kamienny-loh", "pl", "Miedniki – Kamienny Łog"),
        ("salcininkai-bieniakoni", "pl", "Soleczniki – Bieniakonie"),
        ("lavoriskes-katlouka", "pl", "Ławaryszki – Kotłówka"),
        ("raigardas-pryvalka", "pl", "Rajgród – Przywałka"),
        (SUMSKAS, "pl", "Szumsk – Łosza"),
        ("tverecius-vidzy", "pl", "Twerecz – Widze"),
        ("paternieki-hryharauscyna", "pl", "Pāternieki – Hryhorowszczyzna"),
        ("paternieki-hryharauscyna", "en", "Pāternieki – Grigorovshchina"),
        ("kuznica-hrodna-rail", "en", "Kuźnica Białostocka – Grodno"),
        (SUMSKAS, "lt", "Šumskas – Loša"),
        ("kena-hudahaj-rail", "lt", "Kena – Gudagojis"),
    ],
)
def test_a_crossing_is_named_in_the_readers_language(crossing: str, lang: str, name: str) -> None:
    (body,) = (body for body in seeded_crossings() if body.id == crossing)

    assert Words(LANGUAGES[lang]).crossing(body.names) == name


def test_every_story_is_told_in_every_language() -> None:
    """Titles and summaries are our own words, so they can be."""
    for body in (seed.body for seed in Seeds(SEEDS).load()):
        if isinstance(body, SeedIncident):
            assert set(body.title) == set(body.summary) == set(LANGUAGES), body.id


def test_every_source_is_cited() -> None:
    told = "".join(path.read_text(encoding="utf-8") for path in SEEDS.rglob("*.toml"))

    for source in ids_in(SEEDS)["source"]:
        assert f'source = "{source}"' in told, source


def test_history_says_when_it_was_said() -> None:
    """Or it would all count as said on the day of loading."""
    for seed in Seeds(SEEDS).load():
        if isinstance(seed.body, SeedDeclaration):
            assert seed.body.announced_at is not None, seed.name
            assert seed.body.effective.from_ is not None, seed.name
        if isinstance(seed.body, SeedConfirmation):
            assert seed.body.confirmed_at is not None, seed.name
        if isinstance(seed.body, SeedNotice):
            assert seed.body.announced_at is not None, seed.name


def test_only_the_article_is_cited_for_what_is_stated() -> None:
    """What is stated, inferred and background must never blur."""
    article = seed_id("source/article", "source")
    for seed in seeds():
        for one in getattr(seed.body, "citations", []):
            stated = one.basis is Basis.STATED
            assert not stated or one.source == article, seed.name
            assert one.source != article or one.basis is not Basis.BACKGROUND, seed.name


async def load(
    database: Database, folder: Path = SEEDS, only: Collection[str] | None = SETS
) -> int:
    async with database.session() as session:
        return await load_seeds(session, folder=folder, only=only)


def rows(database: Database, query: str) -> list[tuple[Any, ...]]:
    with database.connect() as connection:
        return connection.execute(query.encode()).fetchall()


def changes(database: Database) -> int:
    ((count,),) = rows(database, "SELECT count(*) FROM change")
    assert isinstance(count, int)
    return count


async def test_loading_twice_changes_nothing(seeded: Database) -> None:
    before = changes(seeded)

    assert await load(seeded) == 0

    assert changes(seeded) == before


@full
async def test_each_seed_is_one_change(database: Database) -> None:
    written = await load(database)

    assert written == changes(database) == len(seeds())


NEWER = {
    "sources.toml": """
[[source]]
id = "new-source"
title = "A new source"
""",
    "crossings.toml": """
[[crossing]]
id = "new-crossing"
sides = ["LV", "BY"]
traffic = ["car"]
names = [{lang = "lv", side = "LV", name = "Jauna"}]
citations = [{source = "new-source"}]
""",
    "history.toml": """
[[record]]
id = "new-record"
kind = "declaration"
crossings = ["new-crossing"]
sides = ["LV"]
status = "closed"
reason = {code = "security"}
announced_at = 2025-12-01T00:00:00Z
citations = [{source = "new-source"}]
""",
}


async def test_a_newer_seed_adds_only_what_is_new(seeded: Database, folder: Path) -> None:
    older = rows(seeded, "SELECT * FROM change ORDER BY number")
    for name, more in NEWER.items():
        append(folder / "by-lt" / name, more)

    assert await load(seeded, folder) == 3

    newer = rows(seeded, "SELECT * FROM change ORDER BY number")
    assert newer[: len(older)] == older
    loaded = rows(seeded, "SELECT change, id FROM seed_record ORDER BY change")
    assert loaded[len(older) :] == [
        (len(older) + 1, "source/new-source"),
        (len(older) + 2, "crossing/new-crossing"),
        (len(older) + 3, "record/new-record"),
    ]
    assert len(newer) == len(older) + 3


@full
async def test_loading_seed_by_seed_comes_to_the_same(
    database: Database, seeded: Database, folder: Path
) -> None:
    """However the records arrived, every crossing has the same story."""
    left_out = ["record/two-closed-2023-08-18", "record/both-closed-2025-10-26"]
    for name in left_out:
        leave_out(folder, name)
    # The list of the article's facts speaks of all of them.
    (folder / "article" / "facts.toml").unlink()
    await load(database, folder)

    assert await load(database) == len(left_out)

    async with database.api() as ours, seeded.api() as theirs:
        for crossing in sorted({SUMSKAS, TVERECIUS, *FOUR}):
            path = f"/v1/crossings/{crossing}/timeline"
            assert (await ours.get(path)).json() == (await theirs.get(path)).json()


@full
async def test_ids_are_the_same_in_every_database(database: Database, seeded: Database) -> None:
    await load(database)

    for query in (
        "SELECT id, title FROM source ORDER BY id",
        "SELECT id, decision, crossing_id, kind, status FROM status_event ORDER BY id",
        "SELECT id FROM crossing ORDER BY id",
    ):
        assert rows(database, query) == rows(seeded, query)


def append(path: Path, text: str) -> None:
    path.write_text(path.read_text(encoding="utf-8") + text, encoding="utf-8")


# Some sets alone


ALL_SETS = sorted(folder.name for folder in SEEDS.iterdir())


@full
@pytest.mark.parametrize("name", ALL_SETS)
async def test_a_set_loads_by_itself_with_what_it_refers_to(database: Database, name: str) -> None:
    mine = {f"{kind}/{one}" for kind, ids in ids_in(SEEDS / name).items() for one in ids}

    written = await load(database, only=[name])

    loaded = {one for (one,) in rows(database, "SELECT id FROM seed_record")}
    assert len(loaded) == written
    assert {one for one in mine if not one.startswith("fact/")} <= loaded


async def test_a_set_can_be_added_later(seeded: Database) -> None:
    written = await load(seeded, only=["md-ua"])

    assert written == len(Seeds(SEEDS, only=["md-ua"]).load()) > 0
    assert await load(seeded, only=["md-ua"]) == 0


async def test_a_set_that_does_not_exist_is_refused(seeded: Database) -> None:
    with pytest.raises(SeedError, match=r"no seed set 'by-lx'\. There are article, by-lt, "):
        await load(seeded, only=["by-lt", "by-lx"])


async def test_the_crossings_of_feeds_have_no_status(seeded: Database) -> None:
    """A list of waits says neither that a crossing is open nor that it is closed."""
    await load(seeded, only=["ca-us", "mx-us", "pl-ua"])

    async with seeded.api() as api:
        for border in ("CA-US", "MX-US", "PL-UA"):
            items = (await api.get("/v1/crossings", border=border, limit=200)).json()["items"]
            assert {one["status"] for one in items} == {"unknown"}


# What changed is corrected


async def test_a_changed_declaration_becomes_a_correction(
    seeded: Database, api: Api, folder: Path
) -> None:
    before = changes(seeded)
    (old,) = (await status(api, SUMSKAS, at="2024-01-01T00:00:00Z"))["decided_by"]
    replace(folder, "record/two-closed-2023-08-18", "2023-08-18T00:00", "2023-08-18T01:00")

    assert await load(seeded, folder) == 1

    assert changes(seeded) == before + 1
    for crossing in (SUMSKAS, TVERECIUS):
        assert (await status(api, crossing, at=MIDNIGHT))["status"] != "closed"
        (new,) = (await status(api, crossing, at="2023-08-17T22:00:00Z"))["decided_by"]
        assert new["effective"] == {"from": "2023-08-17T22:00:00Z", "until": None}
    (new,) = (await status(api, SUMSKAS, at="2024-01-01T00:00:00Z"))["decided_by"]
    assert new["supersedes"] == old["id"]
    superseded = (await api.get(f"/v1/events/{old['id']}")).json()
    assert superseded == {**old, "superseded_by": new["id"]}
    assert await load(seeded, folder) == 0


async def test_a_declaration_may_change_again_and_back(seeded: Database, folder: Path) -> None:
    """There and back and there: each step is a correction of the one before."""
    name = "record/two-closed-2023-08-18"
    there, back = ("2023-08-18T00:00", "2023-08-18T01:00"), ("2023-08-18T01:00", "2023-08-18T00:00")

    for step in (there, back, there, back):
        replace(folder, name, *step)
        assert await load(seeded, folder) == 1

    assert await load(seeded) == 0


async def test_a_changed_confirmation_is_retracted_and_confirmed_anew(
    seeded: Database, api: Api, folder: Path
) -> None:
    (old,) = await events(api, SUMSKAS, "confirmation", confirmed_at="2025-10-28T22:00:00Z")
    name = "record/sumskas-still-closed-2025-10-29"
    replace(folder, name, "2025-10-29T00:00", "2025-10-29T12:00")

    assert await load(seeded, folder) == 1

    (new,) = await events(api, SUMSKAS, "confirmation", confirmed_at="2025-10-29T10:00:00Z")
    (retraction,) = await events(api, SUMSKAS, "retraction")
    assert retraction["retracts"] == old["id"]
    assert (await api.get(f"/v1/events/{old['id']}")).json() == {
        **old,
        "retracted_by": retraction["id"],
    }
    assert (new["sides"], new["retracted_by"]) == (old["sides"], None)
    assert (await status(api, SUMSKAS))["last_confirmed_at"] == "2025-10-29T10:00:00Z"
    assert await load(seeded, folder) == 0


async def events(api: Api, crossing: str, kind: str, **fields: str) -> list[Body]:
    response = await api.get("/v1/events", crossing=crossing, kind=kind, limit=200)
    items: list[Body] = response.json()["items"]
    return [one for one in items if all(one[name] == fields[name] for name in fields)]


async def test_a_changed_crossing_becomes_a_new_version(
    seeded: Database, api: Api, folder: Path
) -> None:
    old = (await api.get(f"/v1/crossings/{SUMSKAS}")).json()
    replace(folder, f"crossing/{SUMSKAS}", "aliases = [", 'aliases = ["Shum-skas", ')

    assert await load(seeded, folder) == 1

    demanded = {"At-Least-Change": str(changes(seeded))}
    new = (await api.client.get(f"/v1/crossings/{SUMSKAS}", headers=demanded)).json()
    assert new["aliases"] == ["Shum-skas", *old["aliases"]]
    assert new["version"] == changes(seeded) > old["version"]
    changed = {name for name in old if old[name] != new[name]}
    assert changed == {"aliases", "version", "now"}
    assert await load(seeded, folder) == 0


# Retired crossings


async def retire(
    api: Api, crossing: str = SUMSKAS, at: str | None = "2026-01-01T00:00:00Z"
) -> None:
    body = {"retired_at": at, "citations": [citation()]}
    response = await api.patch(f"/v1/crossings/{crossing}", body)
    assert response.status_code == 200, response.text


async def test_a_changed_crossing_that_is_retired_stays_so(
    seeded: Database, api: Api, folder: Path
) -> None:
    await retire(api)
    successor = {"replaced_by": TVERECIUS, "citations": [citation()]}
    assert (await api.patch(f"/v1/crossings/{SUMSKAS}", successor)).status_code == 200
    replace(folder, f"crossing/{SUMSKAS}", "aliases = [", 'aliases = ["Shum-skas", ')

    assert await load(seeded, folder) == 1

    demanded = {"At-Least-Change": str(changes(seeded))}
    new = (await api.client.get(f"/v1/crossings/{SUMSKAS}", headers=demanded)).json()
    assert "Shum-skas" in new["aliases"]
    assert new["retired_at"] == "2026-01-01T00:00:00Z"
    assert new["replaced_by"] == TVERECIUS


ABOUT = """
[[record]]
id = "new-{kind}"
kind = "{kind}"
{about}
sides = ["LT"]
{what}
citations = ["article"]
"""
CLOSED = """
status = "closed"
reason = {code = "security"}
effective = {from = 2026-01-02T00:00:00Z}
announced_at = 2026-01-02T00:00:00Z
"""
NEW_NOTICE = """
[[notice]]
id = "new-notice"
kind = "announcement"
issuer = {country = "LT"}
subjects = {crossings = ["sumskas-losa"]BORDERS}
text = {en = "News"}
announced_at = 2026-01-02T00:00:00Z
citations = ["article"]
"""


async def test_what_new_seeds_say_of_a_retired_crossing_waits_until_it_is_back(
    seeded: Database, api: Api, folder: Path
) -> None:
    """It is left out, and the rest of the seeds is loaded."""
    await retire(api)
    history = folder / "by-lt" / "history.toml"
    one = f'crossings = ["{SUMSKAS}"]'
    append(history, ABOUT.format(kind="declaration", about=one, what=CLOSED))
    confirmed = f'crossing = "{SUMSKAS}"'
    what = "confirmed_at = 2026-01-03T00:00:00Z"
    append(history, ABOUT.format(kind="confirmation", about=confirmed, what=what))
    append(history, NEW_NOTICE.replace("BORDERS", ""))

    assert await load(seeded, folder) == 0

    await retire(api, at=None)
    assert await load(seeded, folder) == 3
    assert await load(seeded, folder) == 0


async def test_a_new_seed_about_several_crossings_is_loaded_for_those_in_use(
    seeded: Database, api: Api, folder: Path
) -> None:
    await retire(api)
    history = folder / "by-lt" / "history.toml"
    both = f'crossings = ["{SUMSKAS}", "{TVERECIUS}"]'
    append(history, ABOUT.format(kind="declaration", about=both, what=CLOSED))
    append(history, NEW_NOTICE.replace("BORDERS", ', borders = ["BY-LT"]'))

    assert await load(seeded, folder) == 2

    loaded = "SELECT crossing_id FROM status_event WHERE change > {} ORDER BY 1"
    since = changes(seeded) - 2
    assert rows(seeded, loaded.format(since)) == [(TVERECIUS,)]
    assert rows(seeded, "SELECT crossings FROM notice ORDER BY change DESC LIMIT 1") == [([],)]
    # That one crossing has no event of it does not keep it from being corrected, even later.
    await retire(api, at=None)
    replace(folder, "record/new-declaration", "2026-01-02T00", "2026-01-02T01")
    assert await load(seeded, folder) == 1
    assert rows(seeded, loaded.format(changes(seeded) - 1)) == [(TVERECIUS,)]
    assert await load(seeded, folder) == 0


async def test_changed_seeds_are_corrected_for_crossings_in_use_alone(
    seeded: Database, api: Api, folder: Path
) -> None:
    (old,) = (await status(api, SUMSKAS, at="2024-01-01T00:00:00Z"))["decided_by"]
    await retire(api)
    name = "record/two-closed-2023-08-18"
    replace(folder, name, "2023-08-18T00:00", "2023-08-18T01:00")
    confirmation = "record/sumskas-still-closed-2025-10-29"
    replace(folder, confirmation, "2025-10-29T00:00", "2025-10-29T12:00")

    assert await load(seeded, folder) == 1

    (new,) = (await status(api, TVERECIUS, at="2024-01-01T00:00:00Z"))["decided_by"]
    assert new["effective"]["from"] == "2023-08-17T22:00:00Z"
    (kept,) = (await status(api, SUMSKAS, at="2024-01-01T00:00:00Z"))["decided_by"]
    assert kept == old


async def test_a_changed_source_is_refused(seeded: Database, folder: Path) -> None:
    replace(folder, "source/article", "Lithuania closes", "Lithuania shuts")

    await assert_refused(seeded, folder, "source/article changed. Sources cannot change")


# What is wrong is refused, whole


async def assert_refused(database: Database, folder: Path, *named: str) -> None:
    """Check that loading tells what is wrong, and that nothing of it was written."""
    before = changes(database)
    # Something good comes first, and would have been written.
    path = folder / "by-lt" / "sources.toml"
    if path.exists():
        text = path.read_text(encoding="utf-8")
        path.write_text(f'[[source]]\nid = "good"\ntitle = "Good"\n\n{text}', encoding="utf-8")

    with pytest.raises(SeedError) as raised:
        await load(database, folder)

    for part in named:
        assert part in str(raised.value)
    assert changes(database) == before
    assert rows(database, "SELECT FROM seed_record WHERE id = 'source/good'") == []


@pytest.mark.parametrize(
    ("name", "old", "new", "told"),
    [
        ("source/tv3-cars-only", "title =", 'colour = "red"\ntitle =', "colour"),
        ("source/tv3-cars-only", "kind =", "sort =", "sort"),
        (f"crossing/{SUMSKAS}", 'mode = "road"', 'mode = "portal"', "mode"),
        (f"crossing/{SUMSKAS}", 'sides = ["BY", "LT"]', 'sides = ["BY", "XX"]', "sides"),
        *in_full(
            ("record/two-closed-2023-08-18", "certainty =", "certain =", "certain"),
            (
                "record/two-closed-2023-08-18",
                'source = "article"',
                'source = "nowhere"',
                "'nowhere'",
            ),
            ("record/two-closed-2023-08-18", 'source = "article"', 'sauce = "article"', "None"),
            (
                "record/two-closed-2023-08-18",
                'source = "article"',
                'source = {title = "Inline"}',
                "Inline",
            ),
            ("record/two-closed-2023-08-18", "00:00:00+03:00}", "00:00:00}", "effective.from"),
            ("record/two-closed-2023-08-18", 'status = "closed"', 'status = "unknown"', "status"),
            ("record/two-closed-2023-08-18", 'sides = ["LT"]', "", "sides"),
            ("record/two-closed-2023-08-18", '"tverecius-vidzy"', '"tverecius"', "tverecius"),
            ("record/two-closed-2023-08-18", 'sides = ["LT"]', 'sides = ["PL"]', "PL"),
            ("record/two-closed-2023-08-18", "2023-08-16T", "2100-08-16T", "announced_at"),
            (
                "record/sumskas-still-closed-2024-02-21",
                "2024-02-21T",
                "2100-02-21T",
                "confirmed_at",
            ),
            ("record/sumskas-still-closed-2024-02-21", f'"{SUMSKAS}"', '"sumskas"', "sumskas"),
            ("record/sumskas-still-closed-2024-02-21", '"confirmation"', '"rumour"', "kind"),
        ),
    ],
)
async def test_a_record_that_is_not_right_is_named_and_nothing_is_loaded(
    database: Database, folder: Path, name: str, old: str, new: str, told: str
) -> None:
    replace(folder, name, old, new)

    await assert_refused(database, folder, name, told)


async def test_a_record_that_came_to_be_about_other_crossings_is_named(
    seeded: Database, folder: Path
) -> None:
    """It is another decision, and cannot correct the one that it was."""
    name = "record/two-closed-2023-08-18"
    replace(folder, name, ', "tverecius-vidzy"', "")

    await assert_refused(seeded, folder, name)


async def test_a_repeated_id_is_named(database: Database, folder: Path) -> None:
    edit(folder, "record/two-closed-2023-08-18", lambda text: text + "\n" + text)

    await assert_refused(database, folder, "two seeds record/two-closed-2023-08-18")


@pytest.mark.parametrize("file", ["by-lt/sources.toml", "by-pl/crossings.toml"])
async def test_a_file_that_is_no_seed_file_is_named(
    database: Database, folder: Path, file: str
) -> None:
    path = folder / file
    text = path.read_text(encoding="utf-8")

    path.write_text(text + "\nthis is no TOML\n", encoding="utf-8")
    await assert_refused(database, folder, file)
    path.write_text(text + '\n[[cr0ssing]]\nid = "x"\n', encoding="utf-8")
    await assert_refused(database, folder, file, "cr0ssing")


@pytest.mark.parametrize(
    ("file", "missed"),
    [
        ("by-lt/sources.toml", "no source"),
        ("article/incident.toml", "no incident"),
        ("by-lt/crossings.toml", "there is no crossing"),
        ("by-lt/history.toml", "is not a seed"),
    ],
)
async def test_a_file_that_is_not_there_is_missed(
    database: Database, folder: Path, file: str, missed: str
) -> None:
    (folder / file).unlink()

    await assert_refused(database, folder, missed)


async def test_a_folder_without_seeds_is_named(database: Database, tmp_path: Path) -> None:
    with pytest.raises(SeedError, match="no seed files"):
        await load(database, tmp_path)


# What the seeds say: August 2023


@pytest.mark.parametrize("crossing", [SUMSKAS, TVERECIUS])
async def test_two_crossings_close_at_midnight_of_18_august_2023(
    seeded_api: Api, crossing: str
) -> None:
    before = await status(seeded_api, crossing, at=BEFORE_MIDNIGHT)
    after = await status(seeded_api, crossing, at=MIDNIGHT)

    assert before["status"] in {"open", "restricted"}
    assert before["until"] == MIDNIGHT
    assert (after["status"], after["since"], after["stale"]) == ("closed", MIDNIGHT, False)
    assert after["sides"] == {"BY": "unknown", "LT": "closed"}
    assert {lane["status"] for lane in lanes(after)} == {"closed"}


async def test_two_of_six_road_crossings_are_closed_after_it(seeded_api: Api) -> None:
    response = await seeded_api.get("/v1/borders/BY-LT", at="2023-09-01T00:00:00Z")

    border = response.json()
    counted = {"open": 4, "restricted": 0, "closed": 2, "unknown": 0}
    assert border["counts_by_mode"]["road"] == counted
    road = [one for one in border["crossings"] if one["mode"] == "road"]
    status = {one["id"]: one["status"] for one in road}
    assert status == dict.fromkeys(FOUR, "open") | {SUMSKAS: "closed", TVERECIUS: "closed"}


async def test_all_six_were_working_on_the_day_of_the_decision(seeded_api: Api) -> None:
    for crossing in (SUMSKAS, TVERECIUS, *FOUR):
        at = await status(seeded_api, crossing, at="2023-08-16T12:00:00Z", traffic="car")
        assert at["status"] == "open"
        for event in decided_by(at):
            assert event["precision"] == "day"
            article = [one for one in cited(event) if one["source"] == ARTICLE]
            assert [one["basis"] for one in article] == ["inferred"]


async def test_the_closing_is_one_decision_that_says_what_the_article_states(
    seeded_api: Api,
) -> None:
    """Which two, and when, is from elsewhere, and says so."""
    (sumskas,) = decided_by(await status(seeded_api, SUMSKAS, at=MIDNIGHT))
    (tverecius,) = decided_by(await status(seeded_api, TVERECIUS, at=MIDNIGHT))
    listed = (await seeded_api.get("/v1/events", decision=sumskas["decision"])).json()["items"]

    assert tverecius["decision"] == sumskas["decision"]
    assert tverecius["change"] == sumskas["change"]
    assert sorted(listed, key=str) == sorted([sumskas, tverecius], key=str)
    for event in (sumskas, tverecius):
        assert event["sides"] == ["LT"]
        assert event["effective"] == {"from": MIDNIGHT, "until": None}
        assert event["announced_at"] == "2023-08-15T21:00:00Z"
        assert event["reason"]["code"] == "security"
        stated = [one for one in cited(event) if one["basis"] == "stated"]
        assert [one["source"] for one in stated] == [ARTICLE] * 3
        assert [one["locator"] for one in stated] == [
            "paragraph 1, sentence 1",
            "paragraph 2, sentence 2",
            "paragraph 4, sentence 1",
        ]
        others = [one for one in cited(event) if one["source"] != ARTICLE]
        assert {one["basis"] for one in others} == {"background"}
        told = " ".join(one["locator"] for one in others)
        assert "which two" in told
        assert "18 August" in told
        assert "midnight" in told


async def test_the_date_line_of_the_article_is_no_day_of_effect(seeded_api: Api) -> None:
    """Late on 13 November 2023 the closing had been in force for three months."""
    for crossing in (SUMSKAS, TVERECIUS):
        at = await status(seeded_api, crossing, at="2023-11-13T21:59:59Z")
        assert (at["status"], at["since"]) == ("closed", MIDNIGHT)
        timeline = (await seeded_api.get(f"/v1/crossings/{crossing}/timeline")).json()["items"]
        assert not [one for one in timeline if str(one["from"]).startswith("2023-11-1")]


async def test_the_article_is_kept_with_its_copy_and_says_which_date_is_which(
    seeded_api: Api,
) -> None:
    source = (await seeded_api.get(f"/v1/sources/{ARTICLE}")).json()

    note = source.pop("note")
    del source["change"], source["recorded_at"], source["facts"]
    assert source == {
        "id": ARTICLE,
        "kind": "article",
        "title": "Lithuania closes two border crossings with Belarus",
        "publisher": None,
        "published_at": "2023-11-13",
        "retrieved_at": "2026-11-24",
        "url": None,
        "file_name": "000_e1b095f6c7dfbec3.txt",
        "sha256": "4cf309f76230ca5083fb69af6c5b0ef4ecd06ba1c9bba85f7b8c6ac34666f877",
        "language": "en",
        "recorded_by": "seed",
    }
    assert "2023-11-13 is the date line of the file, a publishing date" in note
    assert "The content is of mid-August 2023" in note
    assert "names no crossing" in note


# What the seeds say: since then


async def test_today_the_two_are_closed_and_nobody_has_confirmed_it_for_long(
    seeded_api: Api,
) -> None:
    for crossing in (SUMSKAS, TVERECIUS):
        today = await status(seeded_api, crossing)
        assert today["status"] == "closed"
        assert today["since"] == MIDNIGHT
        assert today["until"] is None
        assert today["stale"] is True
        assert today["last_known"] is None
        assert today["last_confirmed_at"] == "2025-10-28T22:00:00Z"


@pytest.mark.parametrize("crossing", [MEDININKAI, SALCININKAI])
async def test_today_nobody_can_say_whether_the_last_two_are_open(
    seeded_api: Api, crossing: str
) -> None:
    """What they were when last heard of is told; walkers are still barred as far as we know."""
    today = await status(seeded_api, crossing)

    assert (today["status"], today["last_known"], today["stale"]) == (
        "unknown",
        "restricted",
        True,
    )
    assert today["last_confirmed_at"] is not None
    known = {lane["traffic"]: (lane["status"], lane["last_known"]) for lane in lanes(today)}
    assert known == {
        "pedestrian": ("closed", None),
        "bicycle": ("closed", None),
        "motorcycle": ("closed", None),
        "car": ("unknown", "open"),
        "bus": ("unknown", "open"),
        "truck": ("unknown", "restricted"),
    }


@pytest.mark.parametrize(
    ("at", "medininkai", "salcininkai"),
    [
        ("2025-10-26T12:00:00Z", "open", "open"),
        ("2025-10-26T20:09:59Z", "open", "open"),
        ("2025-10-26T20:10:00Z", "closed", "closed"),
        ("2025-10-26T21:00:00Z", "closed", "closed"),
        ("2025-10-27T11:29:59Z", "closed", "closed"),
        ("2025-10-27T11:30:00Z", "restricted", "closed"),
        ("2025-10-28T00:00:00Z", "restricted", "closed"),
        ("2025-11-19T21:59:59Z", "restricted", "closed"),
        ("2025-11-19T22:00:00Z", "open", "open"),
        ("2025-11-20T12:00:00Z", "open", "open"),
    ],
)
async def test_cars_in_the_autumn_of_the_balloons(
    seeded_api: Api, at: str, medininkai: str, salcininkai: str
) -> None:
    for crossing, expected in ((MEDININKAI, medininkai), (SALCININKAI, salcininkai)):
        assert (await status(seeded_api, crossing, at=at, traffic="car"))["status"] == expected


async def test_the_whole_crossings_in_the_autumn_of_the_balloons(seeded_api: Api) -> None:
    """Closed entirely; then for named groups at one of them; then for vehicles at both."""
    for at, medininkai, salcininkai in (
        ("2025-10-26T21:00:00Z", "closed", "closed"),
        ("2025-10-28T12:00:00Z", "restricted", "closed"),
        ("2025-11-20T12:00:00Z", "restricted", "restricted"),
    ):
        assert (await status(seeded_api, MEDININKAI, at=at))["status"] == medininkai
        assert (await status(seeded_api, SALCININKAI, at=at))["status"] == salcininkai


async def test_the_resolution_of_october_2025_had_an_expected_end(seeded_api: Api) -> None:
    for crossing in (MEDININKAI, SALCININKAI):
        at = await status(seeded_api, crossing, at="2025-10-30T00:00:00Z", traffic="car")
        assert at["expected_until"] == "2025-11-30T22:00:00Z"
        assert at["overdue"] is False
        (event,) = decided_by(at)
        assert event["effective"]["until"] is None


@pytest.mark.parametrize("crossing", [MEDININKAI, SALCININKAI])
async def test_the_reopening_for_vehicles_let_no_walkers_through(
    seeded_api: Api, crossing: str
) -> None:
    at = await status(seeded_api, crossing, at="2025-11-20T12:00:00Z")

    by_traffic = {lane["traffic"]: lane["status"] for lane in lanes(at)}
    assert by_traffic == {
        "pedestrian": "closed",
        "bicycle": "closed",
        "motorcycle": "closed",
        "car": "open",
        "bus": "open",
        "truck": "restricted",
    }
    assert at["sides"] == {"BY": "restricted", "LT": "restricted"}


async def test_belarus_bars_trucks_by_its_own_word(seeded_api: Api) -> None:
    at = await status(seeded_api, MEDININKAI, at="2025-11-20T12:00:00Z", traffic="truck")

    assert at["sides"] == {"BY": "restricted", "LT": "open"}
    (event,) = decided_by(at)
    assert event["sides"] == ["BY"]
    assert event["effective"]["until"] == "2027-12-31T21:00:00Z"


async def test_two_accounts_of_one_night_are_both_kept(seeded_api: Api) -> None:
    """The border guard's decides; the customs' is shown beside it."""
    at = await status(seeded_api, MEDININKAI, at="2025-10-22T03:00:00Z", traffic="car")

    (deciding,) = decided_by(at)
    assert (at["status"], deciding["certainty"]) == ("closed", "confirmed")
    assert deciding["effective"]["from"] == "2025-10-21T23:30:00Z"
    rumours = [event for event in at["also_said"] if event["certainty"] == "unconfirmed"]
    assert [event["effective"]["from"] for event in rumours] == ["2025-10-22T02:00:00Z"]


async def status(api: Api, crossing: str, **parameters: str | int) -> Body:
    return await api.status(crossing, **parameters)


def lanes(at: Body) -> list[Body]:
    found: list[Body] = at["lanes"]
    assert found
    return found


def decided_by(at: Body) -> list[Body]:
    found: list[Body] = at["decided_by"]
    assert found
    return found


def cited(event: Body) -> list[Body]:
    found: list[Body] = event["citations"]
    return found
