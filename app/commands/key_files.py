"""Files with keys in the data directory, which the first start makes."""

from collections.abc import Callable
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncSession

from app.access import service as access
from app.access.keys import Key
from app.changes.checkpoints import SigningKey
from app.commands.database import Database
from app.commands.errors import fail
from app.config import Settings
from app.embedded.data_directory import ADMIN_KEY, CHECKPOINT_KEY
from app.vocabulary import KeyScope


def admin_key_file(data_dir: Path, database: Database) -> Path:
    """Make ``admin.key``, a key with every scope, on the first start."""

    async def create(session: AsyncSession) -> Key:
        return await access.create_key(session, name="admin", scopes=list(KeyScope))

    # The key is stored before the file appears, so a file always holds a valid key.
    return key_file(data_dir / ADMIN_KEY, lambda: f"{database.run(create)}\n")


def checkpoint_key_file(settings: Settings) -> Path | None:
    """Return the file of the key that signs checkpoints; of an embedded database, it is made."""
    path = settings.checkpoint_key
    if path is None and settings.database_url is None:
        path = key_file(settings.data_dir / CHECKPOINT_KEY, lambda: SigningKey.generate().pem())
    if path is not None:
        try:
            SigningKey.read(path)
        except (OSError, ValueError) as error:
            fail(f"CROSSINGS_CHECKPOINT_KEY cannot be used: {error}.")
    return path


def key_file(path: Path, make: Callable[[], str]) -> Path:
    """Return a file that appears whole, on the first start, and that only its owner can read."""
    if path.exists():
        return path
    draft = path.with_name(f"{path.name}.draft")
    draft.unlink(missing_ok=True)
    draft.touch(mode=0o600)
    draft.write_text(make(), encoding="ascii")
    return draft.rename(path)
