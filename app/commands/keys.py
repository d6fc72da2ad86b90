"""`crossings keys`: make, list and revoke API keys."""

from datetime import UTC, datetime
from typing import Annotated

import typer
from sqlalchemy.ext.asyncio import AsyncSession

from app.access import service as access
from app.access.keys import Key
from app.commands.database import migrated_database
from app.commands.errors import fail
from app.commands.options import DataDir
from app.vocabulary import KeyScope

app = typer.Typer()
keys = typer.Typer(no_args_is_help=True, help="Make, list and revoke API keys.")
app.add_typer(keys, name="keys")


@keys.command("create")
def create_key(
    name: str,
    scope: Annotated[list[KeyScope], typer.Option(help="What the key may write; repeatable.")],
    side: Annotated[
        list[str] | None,
        typer.Option(help="The side the key may speak for; repeatable. Without it, any side."),
    ] = None,
    expires_at: Annotated[
        datetime | None, typer.Option(help="In UTC; without it the key never expires.")
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Print a new key, and nothing else, on standard output. It is shown only once."""

    async def create(session: AsyncSession) -> Key:
        return await access.create_key(
            session,
            name=name,
            scopes=scope,
            sides=side,
            expires_at=expires_at and expires_at.replace(tzinfo=UTC),
        )

    with migrated_database(data_dir) as database:
        typer.echo(str(database.run(create)))


@keys.command("list")
def list_keys(data_dir: DataDir = None) -> None:
    """List the keys: id, name, scopes, sides, expiry, revocation."""
    with migrated_database(data_dir) as database:
        for key, revoked_at in database.run(access.list_keys):
            facts = [key.id, key.name, ",".join(key.scopes), ",".join(key.sides or ["*"])]
            facts.append(f"expires {key.expires_at:%Y-%m-%d}" if key.expires_at else "-")
            facts.append(f"revoked {revoked_at:%Y-%m-%d}" if revoked_at else "-")
            typer.echo("\t".join(facts))


@keys.command("revoke")
def revoke_key(key_id: str, data_dir: DataDir = None) -> None:
    """Revoke a key, from its next request on."""

    async def revoke(session: AsyncSession) -> bool:
        return await access.revoke_key(session, key_id=key_id)

    with migrated_database(data_dir) as database:
        if not database.run(revoke):
            fail(f"There is no valid key {key_id}.")
