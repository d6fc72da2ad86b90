"""Migrations as the next release might have them, which the code under test does not know."""

import shutil
from pathlib import Path

from app import schema
from app.config import data_folder

OLDEST_CODE = f"oldest_code = {schema.head()!r}"
ADD_COLUMNS = """
    for table in ("change", "status_event", "crossing_version", "notice", "source", "citation"):
        op.add_column(table, sa.Column("remark", sa.Text()))
        op.create_check_constraint(
            op.f(f"{table}_remark_short"), table, "length(remark) <= 100", postgresql_not_valid=True
        )
"""
VALIDATE = """
    for table in ("change", "status_event", "crossing_version", "notice", "source", "citation"):
        op.execute(f"ALTER TABLE {table} VALIDATE CONSTRAINT {table}_remark_short")
"""
ADD_INDEX = """
    with without_transaction():
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS ix_change_remark")
        op.execute(
            "CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_change_remark ON change (remark)"
        )
"""


class NextRelease:
    """A folder of migrations: those that there are, and later ones."""

    def __init__(self, folder: Path) -> None:
        self.folder = Path(shutil.copytree(data_folder("migrations"), folder))
        self._revisions = [schema.head()]

    def add(self, upgrade: str, header: str = OLDEST_CODE) -> str:
        """Add a migration after the newest one, and return its revision."""
        number = len(self._revisions)
        revision = f"later {number}"
        text = (
            '"""A migration of the next release."""\n'
            "import sqlalchemy as sa\n"
            "from alembic import op\n"
            "from app.schema import without_transaction\n"
            f"revision, down_revision = {revision!r}, {self._revisions[-1]!r}\n"
            f"{header}\n"
            f"def upgrade() -> None:\n{upgrade}\n"
        )
        file = self.folder / "versions" / f"later_{number}.py"
        file.write_text(text, encoding="utf-8")
        self._revisions.append(revision)
        return revision
