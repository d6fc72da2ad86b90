"""`crossings secrets`: the keys under which secrets are stored."""

from functools import partial

import typer
from sqlalchemy import Column, Table, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.commands.database import Database, migrated_database
from app.commands.errors import fail
from app.commands.key_files import with_secret_key
from app.commands.options import DataDir, settings_of
from app.database.tables import encrypted_columns
from app.encryption import Cipher, UnreadableSecret, new_secret_key

app = typer.Typer()
secrets = typer.Typer(no_args_is_help=True, help="Make and rotate the keys of stored secrets.")
app.add_typer(secrets, name="secrets")


@secrets.command("new-key")
def new_key() -> None:
    """Print a new key for CROSSINGS_SECRET_KEY, or for a line of secret.key."""
    typer.echo(new_secret_key())


@secrets.command("rotate")
def rotate(data_dir: DataDir = None) -> None:
    """Encrypt every stored secret under the first key; then the others may be removed."""
    with migrated_database(data_dir) as database:
        cipher = with_secret_key(settings_of(data_dir=data_dir)).cipher
        if cipher is None:
            fail("There is no key: set CROSSINGS_SECRET_KEY.")
        try:
            count = database.run(partial(rotate_secrets, cipher=cipher))
        except UnreadableSecret:
            fail("A secret is under none of the keys: add the missing one. Nothing was altered.")
        typer.echo(f"Secrets encrypted anew: {count}. All are now under the first key.")


def require_readable_secrets(database: Database, cipher: Cipher | None, *, delivers: bool) -> None:
    """End the process with a message if there are secrets that it could not read.

    Without a key this is so only for one that ``delivers`` webhooks: others may do without.
    """
    if cipher is None and not delivers:
        return
    if count := database.run(partial(count_unreadable, cipher=cipher)):
        fail(
            f"Secrets that cannot be read without their key: {count}. CROSSINGS_SECRET_KEY, or"
            " secret.key in the data directory, must have the key that they were encrypted under."
        )


async def count_unreadable(session: AsyncSession, *, cipher: Cipher | None) -> int:
    """Return how many stored secrets the cipher cannot decrypt; without one, how many there are."""
    return sum(
        [
            not _is_readable(token, cipher)
            for table, columns in encrypted_columns()
            for row in await session.execute(select(*columns).select_from(table))
            for token in row
            if token is not None
        ]
    )


async def rotate_secrets(session: AsyncSession, *, cipher: Cipher) -> int:
    """Encrypt under the first key what is under another; return how many secrets that were.

    Raises UnreadableSecret.
    """
    return sum(
        [
            await _rotate_column(session, table, column, cipher)
            for table, columns in encrypted_columns()
            for column in columns
        ]
    )


async def _rotate_column(
    session: AsyncSession, table: Table, column: Column[str | None], cipher: Cipher
) -> int:
    keys = list(table.primary_key)
    rows = await session.execute(
        select(*keys, column).where(column.is_not(None)).with_for_update(key_share=True)
    )
    count = 0
    for *key, token in rows.all():
        if (rotated := cipher.rotate(token)) != token:
            is_row = [part == value for part, value in zip(keys, key, strict=True)]
            await session.execute(table.update().where(*is_row).values({column: rotated}))
            count += 1
    return count


def _is_readable(token: str, cipher: Cipher | None) -> bool:
    if cipher is None:
        return False
    try:
        cipher.decrypt(token)
    except UnreadableSecret:
        return False
    return True
