"""Migrations that would stop a service that works are refused before they are merged."""

import re

import pytest

from app import schema
from app.config import PROJECT
from tests.database.next_release import ADD_COLUMNS, ADD_INDEX, VALIDATE, NextRelease
from tools.check_migrations import faults

DROP = 'op.drop_column("source", "note")'


def test_those_that_there_are_pass() -> None:
    assert [*faults()] == []


def test_those_that_expand_the_schema_pass(next_release: NextRelease) -> None:
    for upgrade in (ADD_COLUMNS, VALIDATE, ADD_INDEX):
        next_release.add(upgrade)

    assert [*faults(next_release.folder)] == []


def test_the_example_of_the_documentation_passes(next_release: NextRelease) -> None:
    text = (PROJECT / "docs" / "deploying.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert 'oldest_code = "0041"' in example
    module = example.replace("0041", schema.head())
    file = next_release.folder / "versions" / "example.py"
    file.write_text(f"import sqlalchemy as sa\nfrom alembic import op\n{module}", encoding="utf-8")

    assert [*faults(next_release.folder)] == []


@pytest.mark.parametrize(
    ("statement", "rule"),
    [
        (
            'op.add_column("source", sa.Column("remark", sa.Text(), nullable=False))',
            "adding-required-field",
        ),
        ('op.create_index("ix_remark", "source", ["note"])', "require-concurrent-index-creation"),
        ('op.alter_column("source", "note", type_=sa.Integer())', "changing-column-type"),
        ('op.alter_column("source", "note", nullable=False)', "adding-not-nullable-field"),
        (
            'op.create_check_constraint("note_short", "source", "length(note) < 9")',
            "constraint-missing-not-valid",
        ),
        (
            'op.create_foreign_key("fk_note", "source", "change", ["change"], ["number"])',
            "adding-foreign-key-constraint",
        ),
        ('op.alter_column("source", "note", new_column_name="remark")', "renaming-column"),
        (DROP, "ban-drop-column"),
        ('op.drop_table("write_probe")', "ban-drop-table"),
        (
            'op.get_bind().scalar(sa.text("SELECT 1"))',
            "cannot be rendered without a database",
        ),
    ],
)
def test_a_dangerous_one_is_refused(next_release: NextRelease, statement: str, rule: str) -> None:
    next_release.add(f"    {statement}")

    (fault,) = faults(next_release.folder)

    assert rule in fault
    assert "later_1" in fault


def test_one_that_says_why_is_exempt_from_that_rule_alone(next_release: NextRelease) -> None:
    reason = 'exempt_from = {"ban-drop-column": "no code has read it since the last release"}'
    next_release.add(f"    {DROP}", header=reason)
    assert [*faults(next_release.folder)] == []

    next_release.add('    op.drop_table("write_probe")', header=reason)
    (fault,) = faults(next_release.folder)
    assert "ban-drop-table" in fault
