"""What a command says when it cannot do what it was asked to."""

import sys
from typing import NoReturn

import typer
from pydantic import ValidationError
from sqlalchemy.exc import DBAPIError, OperationalError

from app.backup.directories import BackupError
from app.embedded.server import EmbeddedError
from app.encryption import MissingSecretKey
from app.errors import DAMAGED, Problem, sqlstate_of
from app.schema import UnknownSchema
from app.seeding.files import SeedError
from app.validation import message_of


def fail(message: str) -> NoReturn:
    """End the process with exit status 1 and a message on standard error."""
    typer.echo(message, err=True)
    sys.exit(1)


def sentence_of(error: Exception) -> str | None:
    """Return what an operator can do something about; None for a bug."""
    match error:
        case (
            BackupError()
            | EmbeddedError()
            | MissingSecretKey()
            | SeedError()
            | Problem()
            | UnknownSchema()
        ):
            return str(error)
        case ValidationError():
            return "\n".join(f"{fault['loc'][0]}: {message_of(fault)}" for fault in error.errors())
        case DBAPIError():
            state = sqlstate_of(error)
            if state in DAMAGED:
                return f"The database is damaged, see `crossings check`: {error.orig}"
            if isinstance(error, OperationalError):
                # An answer has a code, a failed connection has none.
                return f"The database {'refused' if state else 'cannot be reached'}: {error.orig}"
        case _:
            pass
    return None
