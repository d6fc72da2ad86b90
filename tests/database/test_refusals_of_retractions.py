"""The database itself refuses to tell twice, late or against a withdrawal: notices, incidents."""

from uuid import UUID, uuid4

import pytest
from psycopg.errors import NotNullViolation

from tests.conftest import Database
from tests.database.conftest import Fields, Teller
from tests.database.test_refusals import START, each_role, refused

# Corrections and withdrawals


def test_nothing_is_about_itself(teller: Teller) -> None:
    itself = uuid4()

    with refused(teller, "ck_notice_not_about_itself"):
        teller.notify(id=itself, supersedes=itself)
    with refused(teller, "ck_incident_not_about_itself"):
        teller.tell(id=itself, supersedes=itself)
    with refused(teller, "ck_notice_contradicts_known"):
        teller.notify(id=itself, contradicts=[itself])
    teller.notify(id=itself)
    teller.notify(contradicts=[itself])


def test_nothing_joins_an_incident_that_was_retracted(teller: Teller) -> None:
    story, corrected, standing = teller.tell(), teller.tell(), teller.tell()
    correction = teller.tell(supersedes=corrected)
    teller.withdraw(incident_id=story)
    teller.withdraw(incident_id=correction)

    for retracted in (story, corrected, correction):
        with refused(teller, "ck_incident_standing"):
            teller.notify(incident_id=retracted)
        with refused(teller, "ck_incident_standing"):
            teller.declare(incident_id=retracted)
    teller.notify(incident_id=standing)
    teller.declare(incident_id=standing)


def test_two_corrections_of_one_are_refused(teller: Teller) -> None:
    notice, story = teller.notify(), teller.tell()
    corrected, retold = teller.notify(supersedes=notice), teller.tell(supersedes=story)

    with refused(teller, "ck_notice_target_standing", "uq_notice_supersedes"):
        teller.notify(supersedes=notice)
    with refused(teller, "ck_incident_target_standing", "uq_incident_supersedes"):
        teller.tell(supersedes=story)
    teller.notify(supersedes=corrected)
    teller.tell(supersedes=retold)


def test_what_was_retracted_is_not_corrected(teller: Teller) -> None:
    notice, story = teller.notify(), teller.tell()
    teller.withdraw(notice_id=notice)
    teller.withdraw(incident_id=story)

    with refused(teller, "ck_notice_target_standing"):
        teller.notify(supersedes=notice)
    with refused(teller, "ck_incident_target_standing"):
        teller.tell(supersedes=story)
    teller.notify(contradicts=[notice])


@pytest.mark.parametrize("certainty", ["confirmed", "reported"])
def test_a_rumour_does_not_supersede_what_is_firmer(teller: Teller, certainty: str) -> None:
    firm, rumour = teller.notify(certainty=certainty), teller.notify(certainty="unconfirmed")

    with refused(teller, "ck_notice_supersedes_no_firmer"):
        teller.notify(certainty="unconfirmed", supersedes=firm)
    teller.notify(certainty="unconfirmed", supersedes=rumour)
    teller.notify(certainty="reported", supersedes=firm)


def test_a_retraction_has_a_target_that_exists_and_a_reason(teller: Teller) -> None:
    with refused(teller, "ck_retraction_one_target"):
        teller.withdraw()
    for column in ("notice_id", "incident_id"):
        with refused(teller, f"fk_retraction_{column}"):
            teller.withdraw(**{column: uuid4()})
    notice = teller.notify()
    with pytest.raises(NotNullViolation) as raised, teller.connection.transaction():
        teller.withdraw(notice_id=notice, reason_code=None)
    assert raised.value.diag.column_name == "reason_code"
    teller.withdraw(notice_id=notice)
    teller.withdraw(incident_id=teller.tell())


def test_a_retraction_has_one_target_and_not_two(teller: Teller) -> None:
    notice, story = teller.notify(), teller.tell()

    with refused(teller, "ck_retraction_one_target"):
        teller.withdraw(notice_id=notice, incident_id=story)
    teller.withdraw(notice_id=notice)
    teller.withdraw(incident_id=story)


@pytest.mark.parametrize("column", ["notice_id", "incident_id"])
def test_only_what_stands_is_retracted(teller: Teller, column: str) -> None:
    add = teller.notify if column == "notice_id" else teller.tell
    corrected, withdrawn = add(), add()
    correction = add(supersedes=corrected)
    teller.withdraw(**{column: withdrawn})

    with refused(teller, "ck_retraction_target_standing"):
        teller.withdraw(**{column: corrected})
    with refused(teller, "ck_retraction_target_standing", f"uq_retraction_{column}"):
        teller.withdraw(**{column: withdrawn})
    teller.withdraw(**{column: correction})
    with refused(teller, "ck_retraction_target_standing"):
        teller.withdraw(**{column: corrected})


def test_forks_are_refused_by_the_keys_alone(ground: tuple[Database, UUID]) -> None:
    """Should the triggers ever miss one: two at once, each of which cannot see the other."""
    database, source = ground
    with database.connect() as connection, connection.transaction(force_rollback=True):
        for table in ("notice", "incident", "retraction"):
            connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER guard".encode())
        teller, itself = Teller(connection, source), uuid4()
        notice, story = teller.notify(), teller.tell()
        teller.notify(supersedes=notice)
        teller.tell(supersedes=story)
        teller.withdraw(notice_id=notice)
        teller.withdraw(incident_id=story)

        with refused(teller, "uq_notice_supersedes"):
            teller.notify(supersedes=notice)
        with refused(teller, "uq_incident_supersedes"):
            teller.tell(supersedes=story)
        with refused(teller, "uq_retraction_notice_id"):
            teller.withdraw(notice_id=notice)
        with refused(teller, "uq_retraction_incident_id"):
            teller.withdraw(incident_id=story)
        with refused(teller, "ck_notice_not_about_itself"):
            teller.notify(id=itself, contradicts=[itself])


# The order of changes


def test_a_row_carries_the_instant_of_its_change(teller: Teller) -> None:
    notice, place = teller.notify(), teller.place()
    wrong = place | {"recorded_at": START}

    with refused(teller, "fk_notice_change_recorded_at"):
        teller.notify(**wrong)
    with refused(teller, "fk_incident_change_recorded_at"):
        teller.tell(**wrong)
    with refused(teller, "fk_retraction_change_recorded_at"):
        teller.withdraw(notice_id=notice, **wrong)
    teller.notify(**place)
    teller.tell(**place)
    teller.withdraw(notice_id=notice, **place)


def assert_closed(teller: Teller, place: Fields, cited: Fields) -> None:
    """Check that nothing joins a change any more, nor a citation what joined it before."""
    with refused(teller, "ck_change_is_newest"):
        teller.notify(**place)
    with refused(teller, "ck_change_is_newest"):
        teller.tell(**place)
    with refused(teller, "ck_change_is_newest"):
        teller.withdraw(notice_id=cited["notice_id"], **place)
    for subject in cited.items():
        with refused(teller, "ck_change_is_newest"):
            teller.cite(**dict([subject]))


def told_together(teller: Teller) -> tuple[Fields, Fields]:
    """Add one of each in one change; return its columns, and the citations' subjects."""
    withdrawn = teller.notify()
    teller.cite(notice_id=withdrawn)
    place = teller.place()
    subjects = {
        "notice_id": teller.notify(**place),
        "incident_id": teller.tell(**place),
        "retraction_id": teller.withdraw(notice_id=withdrawn, **place),
    }
    for subject in subjects.items():
        teller.cite(**dict([subject]))
    return place, subjects


def test_nothing_is_attached_to_an_older_change(teller: Teller) -> None:
    place, subjects = told_together(teller)
    teller.place()

    assert_closed(teller, place, subjects)


@each_role
def test_nothing_is_attached_to_a_change_that_was_committed(
    ground: tuple[Database, UUID], role: str
) -> None:
    """Not even while it is the newest: what its hash speaks for has been told to readers."""
    database, source = ground
    with database.connect(role) as connection:
        teller = Teller(connection, source)
        with connection.transaction():
            place, subjects = told_together(teller)

        assert_closed(teller, place, subjects)
