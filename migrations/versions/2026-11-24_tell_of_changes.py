"""Tell of changes: whoever listens hears the number of each as it commits."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        CREATE FUNCTION tell_change() RETURNS trigger LANGUAGE plpgsql
        SET search_path = public, pg_temp AS $$
        BEGIN
            PERFORM pg_notify('change', NEW.number::text);
            RETURN NULL;
        END $$
    """)
    op.execute("""
        CREATE TRIGGER tell_change AFTER INSERT ON change
        FOR EACH ROW EXECUTE FUNCTION tell_change()
    """)


def downgrade() -> None:
    op.execute("DROP TRIGGER tell_change ON change")
    op.execute("DROP FUNCTION tell_change()")
