"""What every table shares: names of constraints, and the types of columns."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import Column, MetaData, Table
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TIMESTAMP
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.types import Text, Uuid

ENCRYPTED: dict[Any, Any] = {"encrypted": True}
"""The ``info`` of a column whose values are tokens of `app.encryption`."""


class Base(DeclarativeBase):
    """The declared schema. It must equal what the migrations make; a test compares them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    # Any: the type of SQLAlchemy's own hook.
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        str: Text,
        UUID: Uuid,
        datetime: TIMESTAMP(timezone=True),
        list[str]: ARRAY(Text),
        list[UUID]: ARRAY(Uuid),
        dict[str, object]: JSONB,
        list[dict[str, object]]: JSONB,
    }


def encrypted_columns() -> Iterator[tuple[Table, list[Column[Any]]]]:
    """Yield each table that has encrypted columns, with them."""
    for table in Base.metadata.sorted_tables:
        if columns := [column for column in table.c if column.info == ENCRYPTED]:
            yield table, columns
