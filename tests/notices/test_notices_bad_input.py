"""A notice or an incident with a fault is refused by the name of the field."""

import pytest

from tests.api import Api, citation, fields_of, problem
from tests.notices.conftest import (
    HERE,
    INCIDENTS,
    NOBODY,
    NOTICES,
    Body,
    days,
    incident,
    newest_change,
    notice,
    refused,
)

SUMSKAS = "sumskas-losa"


def without(body: Body, name: str) -> Body:
    return {each: value for each, value in body.items() if each != name}


def about(**subjects: object) -> Body:
    return notice(subjects=subjects)


def figured(**figure: object) -> Body:
    return fit(figures=[{"value": 1, "unit": "person", **figure}])


def fit(**fields: object) -> Body:
    """Return a body whose only faults on a seeded database are those of ``fields``."""
    return notice(subjects={"crossings": [SUMSKAS]}, **fields)


def lasting(start: str | None, until: str | None) -> Body:
    return fit(effective={"from": start, "until": until})


INLINE = citation(source={"title": "x", "colour": "red"})
BAD_NOTICES: list[tuple[str, Body, str]] = [
    ("no kind", without(fit(), "kind"), "kind"),
    ("no issuer", without(fit(), "issuer"), "issuer"),
    ("no subjects", without(fit(), "subjects"), "subjects"),
    ("no text", without(fit(), "text"), "text"),
    ("no citations", without(fit(), "citations"), "citations"),
    ("a word that is no kind", fit(kind="rumour"), "kind"),
    ("a status", fit(kind="closed"), "kind"),
    ("nobody as issuer", fit(issuer={}), "issuer"),
    ("null as issuer", fit(issuer={"country": None, "name": None}), "issuer"),
    ("an issuer without a name", fit(issuer={"name": ""}), "issuer.name"),
    ("an issuer as a text", fit(issuer="LT"), "issuer"),
    ("an issuer of no country", fit(issuer={"country": "XX"}), "issuer.country"),
    ("an issuer in lower case", fit(issuer={"country": "lt"}), "issuer.country"),
    ("an unknown field of the issuer", fit(issuer={"country": "LT", "x": 1}), "issuer.x"),
    ("nothing as subject", about(), "subjects"),
    ("only empty subjects", about(countries=[], borders=[], crossings=[]), "subjects"),
    ("no country", about(countries=["XX"]), "subjects.countries.0"),
    ("a country twice", about(countries=["LT", "LT"]), "subjects.countries"),
    ("an unknown border", about(borders=["FI-RU"]), "subjects.borders"),
    ("no border", about(borders=["BYLT"]), "subjects.borders.0"),
    ("a border twice", about(borders=["BY-LT", "LT-BY"]), "subjects.borders"),
    ("an unknown crossing", about(crossings=[HERE]), "subjects.crossings"),
    ("an unknown crossing too", about(crossings=[SUMSKAS, HERE]), "subjects.crossings"),
    ("a crossing that is no slug", about(crossings=["Šumskas"]), "subjects.crossings.0"),
    ("a crossing twice", about(crossings=[SUMSKAS, SUMSKAS]), "subjects.crossings"),
    ("an unknown field of the subjects", about(countries=["LT"], places=[]), "subjects.places"),
    ("null as text", fit(text=None), "text"),
    ("a text without a language", fit(text="Travel is discouraged."), "text"),
    ("no text in any language", fit(text={}), "text"),
    ("an empty text", fit(text={"en": ""}), "text.en"),
    ("a text too long", fit(text={"en": "x" * 2001}), "text.en"),
    ("a text that cannot be printed", fit(text={"en": "a\0b"}), "text.en"),
    ("a text that is a number", fit(text={"en": 1}), "text.en"),
    ("an unknown language", fit(text={"xx": "?"}), "text"),
    ("an unknown language too", fit(text={"en": "a", "zq-LT": "?"}), "text"),
    ("figures as a number", fit(figures=4500), "figures"),
    ("a bare number", fit(figures=[4500]), "figures.0"),
    ("a figure without a value", fit(figures=[{"unit": "persons"}]), "figures.0.value"),
    ("a figure without a unit", fit(figures=[{"value": 1}]), "figures.0.unit"),
    ("a figure of nothing", figured(value=None), "figures.0.value"),
    ("a figure in words", figured(value="many"), "figures.0.value"),
    ("a figure that is no number", figured(value="NaN"), "figures.0.value"),
    ("an infinite figure", figured(value="Infinity"), "figures.0.value"),
    ("a figure too large", figured(value=1.1e15), "figures.0.value"),
    ("an empty unit", figured(unit=""), "figures.0.unit"),
    ("a word that is no qualifier", figured(qualifier="nearly"), "figures.0.qualifier"),
    ("an empty hedge", figured(hedge=""), "figures.0.hedge"),
    ("an unknown field of a figure", figured(colour="red"), "figures.0.colour"),
    ("a figure as text", fit(figures=[{"value": "4500", "unit": "x"}]), "figures.0.value"),
    ("a figure as truth", fit(figures=[{"value": True, "unit": "x"}]), "figures.0.value"),
    ("too many figures", fit(figures=[{"value": 1, "unit": "x"}] * 51), "figures"),
    ("a word that is no certainty", fit(certainty="sure"), "certainty"),
    ("a word that is no precision", fit(precision="second"), "precision"),
    ("an end that is its start", lasting(days(1), days(1)), "effective.until"),
    ("an end before its start", lasting(days(2), days(1)), "effective.until"),
    ("an end before now", lasting(None, days(-1)), "effective.until"),
    ("a start without offset", lasting("2023-08-01T00:00:00", None), "effective.from"),
    ("a start that is a day", lasting("2023-08-01", None), "effective.from"),
    ("an end without offset", lasting(None, "2199-08-01T00:00:00"), "effective.until"),
    ("a start too early", lasting("1899-12-31T23:59:59Z", None), "effective.from"),
    ("an end too late", lasting(None, "2200-01-01T00:00:00Z"), "effective.until"),
    ("an unknown field of the period", fit(effective={"form": None}), "effective.form"),
    ("an announcement to come", fit(announced_at=days(1)), "announced_at"),
    ("an announcement without offset", fit(announced_at="2023-08-16T00:00"), "announced_at"),
    ("an incident that nobody told", fit(incident=NOBODY), "incident"),
    ("an incident that is no id", fit(incident="x"), "incident"),
    ("a contradiction of nothing", fit(contradicts=[NOBODY]), "contradicts"),
    ("a contradiction that is no id", fit(contradicts=["x"]), "contradicts.0"),
    ("a correction of nothing", fit(supersedes=NOBODY), "supersedes"),
    ("a correction that is no id", fit(supersedes="x"), "supersedes"),
    ("no citation", fit(citations=[]), "citations"),
    ("a citation of nothing", fit(citations=[{}]), "citations.0.source"),
    ("no basis", fit(citations=[citation(basis="heard")]), "citations.0.basis"),
    ("an unknown source", fit(citations=[citation(source=NOBODY)]), "citations.0.source"),
    ("a source of no title", fit(citations=[citation(source={})]), "citations.0.source.title"),
    ("an unknown field of a source", fit(citations=[INLINE]), "citations.0.source.colour"),
    ("an unknown field", fit(colour="red"), "colour"),
    ("a status beside it", fit(status="closed"), "status"),
    ("an id", fit(id=NOBODY), "id"),
    ("what only time can tell", fit(superseded_by=None), "superseded_by"),
]
BAD_INCIDENTS: list[tuple[str, Body, str]] = [
    ("no title", without(incident(), "title"), "title"),
    ("no summary", without(incident(), "summary"), "summary"),
    ("no citations", without(incident(), "citations"), "citations"),
    ("a title without a language", incident(title="A story"), "title"),
    ("no title in any language", incident(title={}), "title"),
    ("an empty title", incident(title={"en": ""}), "title.en"),
    ("a title in an unknown language", incident(title={"xx": "?"}), "title"),
    ("an empty summary", incident(summary={"lt": ""}), "summary.lt"),
    ("a summary in an unknown language", incident(summary={"xx": "?"}), "summary"),
    ("a correction of nothing", incident(supersedes=NOBODY), "supersedes"),
    ("a correction that is no id", incident(supersedes="x"), "supersedes"),
    ("no citation", incident(citations=[]), "citations"),
    ("an unknown source", incident(citations=[citation(source=NOBODY)]), "citations.0.source"),
    ("an unknown field", incident(subjects={"countries": ["LT"]}), "subjects"),
]


async def named(api: Api, path: str, body: Body) -> list[str]:
    """Check that the fault is told, to a preview as well, and return the fields it names."""
    return list(fields_of(await refused(api, path, body, 422, "invalid")))


@pytest.mark.parametrize(
    ("body", "field"), [pytest.param(body, field, id=name) for name, body, field in BAD_NOTICES]
)
async def test_a_notice_with_a_fault_is_refused_by_the_name_of_the_field(
    seeded_api: Api, body: Body, field: str
) -> None:
    assert await named(seeded_api, NOTICES, body) == [field]


@pytest.mark.parametrize(
    ("body", "field"), [pytest.param(body, field, id=name) for name, body, field in BAD_INCIDENTS]
)
async def test_an_incident_with_a_fault_is_refused_by_the_name_of_the_field(
    seeded_api: Api, body: Body, field: str
) -> None:
    assert await named(seeded_api, INCIDENTS, body) == [field]


async def test_without_a_fault_the_same_bodies_pass(seeded_api: Api) -> None:
    """The faults above are the only ones."""
    for path, body in ((NOTICES, fit()), (NOTICES, figured()), (INCIDENTS, incident())):
        response = await seeded_api.post(path, body, validate_only="true")
        assert response.status_code == 200, response.text


@pytest.mark.parametrize("tag", ["english", "EN", "en_GB", "e", "", "en-"])
async def test_a_text_under_what_is_no_language_tag_is_refused(seeded_api: Api, tag: str) -> None:
    for path, body, name in (
        (NOTICES, fit(text={tag: "Hello"}), "text"),
        (INCIDENTS, incident(title={tag: "Hello"}), "title"),
        (INCIDENTS, incident(summary={tag: "Hello"}), "summary"),
    ):
        (field,) = await named(seeded_api, path, body)
        assert field.partition(".")[0] == name


async def test_every_fault_is_named_at_once(seeded_api: Api) -> None:
    body = fit(kind="rumour", issuer={}, text={}, citations=[])
    found = await named(seeded_api, NOTICES, body)
    assert sorted(found) == ["citations", "issuer", "kind", "text"]


@pytest.mark.parametrize(
    "path",
    [NOTICES, INCIDENTS, f"{NOTICES}/{NOBODY}/retraction", f"{INCIDENTS}/{NOBODY}/retraction"],
)
@pytest.mark.parametrize("content", [b"{", b"text", b'{"figures": [{"value": }]}', b"\xff"])
async def test_what_is_no_json_is_malformed(seeded_api: Api, path: str, content: bytes) -> None:
    headers = {"Authorization": f"Bearer {seeded_api.key}", "Content-Type": "application/json"}
    response = await seeded_api.client.post(path, content=content, headers=headers)
    problem(response, 400, "malformed")


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e999"])
async def test_a_figure_that_is_no_number_is_refused_however_it_is_written(
    seeded_api: Api, value: str
) -> None:
    """Some JSON writers let such words through unquoted."""
    headers = {"Authorization": f"Bearer {seeded_api.key}", "Content-Type": "application/json"}
    content = (
        '{"kind": "context", "issuer": {"country": "LT"}, "subjects": {"countries": ["LT"]},'
        ' "text": {"en": "x"}, "citations": [{"source": {"title": "x"}}],'
        f' "figures": [{{"value": {value}, "unit": "x"}}]}}'
    )
    before = await newest_change(seeded_api)
    response = await seeded_api.client.post(NOTICES, content=content.encode(), headers=headers)
    assert fields_of(problem(response, 422, "invalid")) == ["figures.0.value"]
    assert await newest_change(seeded_api) == before


@pytest.mark.parametrize(("path", "field"), [(NOTICES, "notice_id"), (INCIDENTS, "incident_id")])
async def test_what_is_no_id_is_refused_by_name(seeded_api: Api, path: str, field: str) -> None:
    for wrong in ("x", "1", NOBODY[:-1]):
        response = await seeded_api.get(f"{path}/{wrong}")
        assert fields_of(problem(response, 422, "invalid")) == [field]
        reason = {"reason": {"code": "other"}}
        response = await seeded_api.post(f"{path}/{wrong}/retraction", reason)
        assert fields_of(problem(response, 422, "invalid")) == [field]


async def test_a_write_does_not_take_unknown_parameters(seeded_api: Api) -> None:
    before = await newest_change(seeded_api)
    for path, body in ((NOTICES, fit()), (INCIDENTS, incident())):
        response = await seeded_api.post(path, body, dry_run="true")
        assert fields_of(problem(response, 422, "invalid")) == ["dry_run"]
    assert await newest_change(seeded_api) == before
