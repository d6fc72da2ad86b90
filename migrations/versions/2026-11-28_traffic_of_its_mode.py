"""Refuse traffic that does not cross by a crossing's mode: cars by rail, trains by road."""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Not of versions that are there: the log is never rewritten.
    op.create_check_constraint(
        "traffic_of_mode",
        "crossing_version",
        """
        CASE mode WHEN 'rail' THEN traffic <@ '{train}'
                  WHEN 'water' THEN true
                  ELSE NOT traffic && '{train}' END
        """,
        postgresql_not_valid=True,
    )


def downgrade() -> None:
    op.drop_constraint("traffic_of_mode", "crossing_version", type_="check")
