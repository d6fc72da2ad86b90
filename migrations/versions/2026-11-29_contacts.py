"""Keep the contacts of authorities with the details of a crossing."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

exempt_from = {
    "constraint-missing-not-valid": "it came before the first release, when logs were short",
}

REACHABLE = """
    NOT contacts @? '$[*] ? (
        !exists(@.side ? (@ like_regex "^[A-Z]{2}$"))
        || !exists(@.authority ? (@ like_regex "[^ ]"))
        || !(@.phone != null || @.email != null || @.url != null)
    )'
"""
PHONES = """
    NOT contacts @? '$[*].phone ? (
        @ != null && !exists(@ ? (@ like_regex "^[+][1-9][0-9]{6,14}$"))
    )'
"""


def upgrade() -> None:
    op.add_column(
        "crossing_version",
        sa.Column("contacts", pg.JSONB(), server_default=sa.text("'[]'"), nullable=False),
    )
    op.execute(FILL)
    add_constraint("contacts_listed", "jsonb_typeof(contacts) = 'array'")
    add_constraint("contacts_reachable", REACHABLE)
    add_constraint("contacts_phones", PHONES)


def downgrade() -> None:
    op.drop_column("crossing_version", "contacts")


def add_constraint(name: str, condition: str) -> None:
    """Add a check. In the same transaction the rows are checked under its lock all the same."""
    full_name = f"ck_crossing_version_{name}"
    op.execute(
        f"ALTER TABLE crossing_version ADD CONSTRAINT {full_name} CHECK ({condition}) NOT VALID"
    )
    op.execute(f"ALTER TABLE crossing_version VALIDATE CONSTRAINT {full_name}")


# The change log keeps what a downgrade drops. Mostly there is nothing, and then nothing is locked.
FILL = """
    DO $$
    BEGIN
        IF NOT EXISTS (
            SELECT FROM change WHERE payload @? '$.crossings[*] ? (exists(@.contacts))'
        ) THEN
            RETURN;
        END IF;

        ALTER TABLE crossing_version DISABLE TRIGGER append_only;
        UPDATE crossing_version version
        SET contacts = record -> 'contacts'
        FROM change, jsonb_array_elements(payload -> 'crossings') record
        WHERE number = version.change AND record ->> 'id' = crossing_id AND record ? 'contacts';
        ALTER TABLE crossing_version ENABLE TRIGGER append_only;
    END $$
"""
