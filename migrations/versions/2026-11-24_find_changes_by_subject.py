"""Find changes by subject: whoever follows one crossing does not look through the whole log."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "ix_change_subjects",
        "change",
        ["subjects"],
        postgresql_using="gin",
        postgresql_ops={"subjects": "jsonb_path_ops"},
    )


def downgrade() -> None:
    op.drop_index("ix_change_subjects", "change")
