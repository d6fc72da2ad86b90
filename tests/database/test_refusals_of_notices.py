"""The database itself refuses notices and incidents that make no sense: plain SQL, both roles."""

from uuid import UUID, uuid4

import pytest
from psycopg.errors import DataException, NotNullViolation
from psycopg.types.json import Jsonb

from app.embedded.server import SERVICE
from tests.conftest import Database
from tests.database.conftest import Fields, Teller
from tests.database.test_refusals import HERE, START, THERE, counts, each_role, refused

FIGURE: Fields = {"value": 4500, "unit": "persons", "qualifier": "exactly"}


def test_a_valid_log_is_taken(teller: Teller) -> None:
    """The rows that every refusal below starts from are good ones, to the commit."""
    story = teller.tell()
    teller.cite(incident_id=story)
    notice = teller.notify(incident_id=story, announced_at=START)
    teller.cite(notice_id=notice)
    teller.cite(notice_id=teller.notify(contradicts=[notice], supersedes=notice))
    teller.cite(incident_id=teller.tell(supersedes=story))
    withdrawn = teller.notify()
    teller.cite(notice_id=withdrawn)
    teller.cite(retraction_id=teller.withdraw(notice_id=withdrawn))
    teller.cite(event_id=teller.declare(incident_id=story))

    teller.connection.execute("SET CONSTRAINTS ALL IMMEDIATE")


# Retired crossings


def test_a_notice_does_not_come_to_name_a_retired_crossing(teller: Teller) -> None:
    before = teller.notify(crossings=[HERE])
    other = teller.notify(crossings=[THERE])
    teller.version(retired_at=START)

    with refused(teller, "ck_notice_crossings_in_use"):
        teller.notify(crossings=[THERE, HERE])
    with refused(teller, "ck_notice_crossings_in_use"):
        teller.notify(crossings=[THERE, HERE], supersedes=other)
    teller.notify(crossings=[THERE, HERE], supersedes=before)


# What a notice says


@pytest.mark.parametrize(
    ("fields", "twin", "constraint"),
    [
        ({"issuer_country": None}, {"issuer_country": None, "issuer_name": "VSAT"}, "has_issuer"),
        ({"countries": []}, {"countries": [], "borders": ["BY-LT"]}, "has_subject"),
        ({"text": Jsonb({})}, {"text": Jsonb({"lt": "Patruliai"})}, "text_given"),
        ({"text": Jsonb([])}, {}, "text_given"),
        ({"text": Jsonb("Patrols")}, {}, "text_given"),
        ({"text": Jsonb(None)}, {}, "text_given"),
        ({"text": Jsonb({"en": 5})}, {}, "text_given"),
        ({"text": Jsonb({"en": ""})}, {}, "text_given"),
        ({"issuer_name": ""}, {"issuer_name": "VSAT"}, "has_issuer"),
        ({"countries": ["LT", "LT"]}, {"countries": ["LT"]}, "subjects_known"),
        ({"precision": "about"}, {"precision": "month"}, "precision_known"),
        ({"certainty": "rumoured"}, {"certainty": "unconfirmed"}, "certainty_known"),
        (
            {"effective": "(,2024-01-02Z)"},
            {"effective": "[2024-01-01Z,2024-01-02Z)"},
            "start_known",
        ),
        ({"effective": "(,)"}, {"effective": "(,)", "precision": "unknown"}, "start_known"),
        ({"announced_at": "2999-01-01Z"}, {"announced_at": START}, "announced_in_the_past"),
        ({"announced_at": "-infinity"}, {"announced_at": None}, "announced_in_the_past"),
        ({"countries": ["LV"]}, {"countries": ["PL"]}, "subjects_known"),
        ({"countries": ["LT", None]}, {"countries": ["LT", "BY"]}, "subjects_known"),
        ({"borders": ["BY-PL"]}, {"borders": ["BY-LT"]}, "subjects_known"),
        ({"crossings": ["nowhere"]}, {"crossings": [HERE, THERE]}, "subjects_known"),
        ({"contradicts": [uuid4()]}, {"contradicts": []}, "contradicts_known"),
        ({"contradicts": [None]}, {}, "contradicts_known"),
    ],
)
def test_a_notice_that_makes_no_sense_is_refused(
    teller: Teller, fields: Fields, twin: Fields, constraint: str
) -> None:
    with refused(teller, f"ck_notice_{constraint}"):
        teller.notify(**fields)
    teller.notify(**twin)


@pytest.mark.parametrize(
    "figure",
    [
        *({name: FIGURE[name] for name in FIGURE if name != left_out} for left_out in FIGURE),
        *(FIGURE | {name: None} for name in FIGURE),
        FIGURE | {"value": "4500"},
        FIGURE | {"unit": 1},
        {},
        4500,
        [FIGURE],
    ],
)
def test_a_figure_has_a_value_a_unit_and_a_qualifier(teller: Teller, figure: object) -> None:
    """One that lacks something spoils the good ones beside it."""
    with refused(teller, "ck_notice_figures_whole"):
        teller.notify(figures=Jsonb([FIGURE, figure]))
    teller.notify(figures=Jsonb([FIGURE, FIGURE | {"value": 0.5}]))


@pytest.mark.parametrize("figures", [FIGURE, None, "4500"])
def test_figures_are_a_list(teller: Teller, figures: object) -> None:
    with refused(teller, "ck_notice_figures_whole"):
        teller.notify(figures=Jsonb(figures))
    teller.notify(figures=Jsonb([]))


@pytest.mark.parametrize("precision", ["minute", "unknown"])
@pytest.mark.parametrize(
    "period",
    [
        "empty",
        "[2024-01-01Z,2024-01-01Z)",
        "(2024-01-01Z,)",
        "[2024-01-01Z,2024-01-02Z]",
        "[-infinity,2024-01-01Z)",
        "[2024-01-01Z,infinity)",
    ],
)
def test_a_period_has_a_length_and_includes_its_start_alone(
    teller: Teller, period: str, precision: str
) -> None:
    with refused(teller, "ck_notice_effective_not_empty"):
        teller.notify(effective=period, precision=precision)
    teller.notify(effective="[2024-01-01Z,2024-01-02Z)", precision=precision)


def test_an_inverted_period_is_refused(teller: Teller) -> None:
    with pytest.raises(DataException), teller.connection.transaction():
        teller.notify(effective="[2024-01-02Z,2024-01-01Z)")


@pytest.mark.parametrize("column", ["text", "figures", "countries", "effective", "contradicts"])
def test_a_notice_leaves_nothing_out(teller: Teller, column: str) -> None:
    with pytest.raises(NotNullViolation) as raised, teller.connection.transaction():
        teller.notify(**{column: None})
    assert raised.value.diag.column_name == column


def test_a_notice_refers_to_what_there_is(teller: Teller) -> None:
    with refused(teller, "fk_notice_issuer_country"):
        teller.notify(issuer_country="LV")
    with refused(teller, "fk_notice_incident_id"):
        teller.notify(incident_id=uuid4())
    with refused(teller, "fk_notice_supersedes"):
        teller.notify(supersedes=uuid4())
    teller.notify(issuer_country="PL", incident_id=teller.tell(), supersedes=teller.notify())


# What an incident says


@pytest.mark.parametrize("column", ["title", "summary"])
@pytest.mark.parametrize("text", [{}, [], "A story", None])
def test_an_incident_has_a_title_and_a_summary(teller: Teller, column: str, text: object) -> None:
    with refused(teller, f"ck_incident_{column}_given"):
        teller.tell(**{column: Jsonb(text)})
    with pytest.raises(NotNullViolation) as raised, teller.connection.transaction():
        teller.tell(**{column: None})
    assert raised.value.diag.column_name == column
    teller.tell(**{column: Jsonb({"lt": "Istorija"})})


def test_only_a_declaration_is_part_of_an_incident(teller: Teller) -> None:
    story, declared = teller.tell(), teller.declare()

    with refused(teller, "ck_status_event_incident_of_declaration"):
        teller.confirm(incident_id=story)
    with refused(teller, "ck_status_event_incident_of_declaration"):
        teller.retract(declared, incident_id=story)
    with refused(teller, "fk_status_event_incident_id"):
        teller.declare(incident_id=uuid4())
    teller.declare(supersedes=declared, incident_id=story)
    teller.retract(teller.confirm())


# Citations


@each_role
@pytest.mark.parametrize("kind", ["notice", "incident"])
def test_what_cites_nothing_is_refused_at_commit_and_not_before(
    ground: tuple[Database, UUID], role: str, kind: str
) -> None:
    database, source = ground
    with database.connect(role) as connection:
        teller, before, reached_the_commit = Teller(connection, source), counts(connection), False
        add = teller.notify if kind == "notice" else teller.tell

        with refused(teller, "ck_citation_required"):
            add()
            reached_the_commit = True
        assert reached_the_commit
        assert counts(connection) == before

        with connection.transaction():
            teller.cite(**{f"{kind}_id": add()})
        assert counts(connection)[kind] == before[kind] + 1


@each_role
def test_a_retraction_needs_no_citation(ground: tuple[Database, UUID], role: str) -> None:
    database, source = ground
    with database.connect(role) as connection:
        teller = Teller(connection, source)
        with connection.transaction():
            target = teller.notify()
            teller.cite(notice_id=target)
        before = counts(connection)
        with connection.transaction():
            teller.withdraw(notice_id=target)

        added = {"retraction": before["retraction"] + 1, "change": before["change"] + 1}
        assert counts(connection) == before | added


def test_a_citation_has_one_subject_that_exists(teller: Teller) -> None:
    place = teller.place()
    notice, story = teller.notify(**place), teller.tell(**place)
    event = teller.declare(**place)

    with refused(teller, "ck_citation_one_subject"):
        teller.cite(notice_id=notice, incident_id=story)
    with refused(teller, "ck_citation_one_subject"):
        teller.cite(notice_id=notice, event_id=event)
    with refused(teller, "ck_citation_one_subject"):
        teller.cite()
    for column in ("notice_id", "incident_id", "retraction_id"):
        with refused(teller, f"fk_citation_{column}"):
            teller.cite(**{column: uuid4()})
    teller.cite(notice_id=notice)
    teller.cite(incident_id=story)


@pytest.mark.parametrize("kind", ["notice", "incident"])
def test_a_temporary_table_does_not_deceive_the_guards(
    ground: tuple[Database, UUID], kind: str
) -> None:
    """A table of the same name, found first, is not what the triggers look at."""
    database, source = ground
    with database.connect(SERVICE) as connection:
        teller, before = Teller(connection, source), counts(connection)
        add = teller.notify if kind == "notice" else teller.tell

        with refused(teller, "ck_citation_required"):
            cited = f"CREATE TEMPORARY TABLE citation ({kind}_id uuid) ON COMMIT DROP"
            connection.execute(cited.encode())
            connection.execute("INSERT INTO pg_temp.citation VALUES (%s)", [add()])

        assert counts(connection) == before
