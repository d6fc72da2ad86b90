"""Files with keys in the data directory, which the first start makes."""

import os
from collections.abc import Callable
from pathlib import Path

from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncSession

from app.access import service as access
from app.access.keys import Key
from app.alerts.push import VapidKey
from app.changes.checkpoints import SigningKey
from app.commands.database import Database
from app.commands.errors import fail
from app.config import Settings
from app.embedded.data_directory import (
    ADMIN_KEY,
    CHECKPOINT_KEY,
    SECRET_KEY,
    VAPID_KEY,
    locked,
    sync_directory,
)
from app.encryption import Cipher, new_secret_key, split_keys
from app.vocabulary import KeyScope


def admin_key_file(data_dir: Path, database: Database) -> Path:
    """Make ``admin.key``, a key with every scope, on the first start."""

    async def create(session: AsyncSession) -> Key:
        # An earlier start may have died, or lost its file, after it stored its key.
        name = await access.free_name(session, "admin")
        return await access.create_key(session, name=name, scopes=list(KeyScope))

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


def vapid_key_file(settings: Settings, *, make: bool = False) -> Path | None:
    """Return the file of the key for Web Push, None if there is none.

    With ``make`` that of an embedded database is made.
    """
    path = settings.vapid_key
    if path is None and settings.database_url is None:
        path = settings.data_dir / VAPID_KEY
        if make:
            key_file(path, lambda: VapidKey.generate().pem())
        elif not path.exists():
            return None
    if path is not None:
        try:
            VapidKey.read(path)
        except (OSError, ValueError) as error:
            fail(f"CROSSINGS_VAPID_KEY cannot be used: {error}.")
    return path


def with_secret_key(settings: Settings, *, make: bool = False) -> Settings:
    """Return the settings with the keys of the embedded database's file, unless keys are set.

    With ``make`` the file is made if it is missing.
    """
    if settings.secret_key is not None or settings.database_url is not None:
        return settings
    path = settings.data_dir / SECRET_KEY
    if make:
        key_file(path, lambda: f"{new_secret_key()}\n")
    if not path.exists():
        return settings
    try:
        keys = path.read_text(encoding="ascii")
        Cipher(split_keys(keys))
    except (OSError, ValueError):
        fail(f"{path} cannot be used: it must have one or more Fernet keys, a line each.")
    return settings.model_copy(update={"secret_key": SecretStr(keys)})


def key_file(path: Path, make: Callable[[], str]) -> Path:
    """Return a file that appears whole, on the first start, and that only its owner can read.

    Of two processes that need it at the same time, one makes it.
    """
    if path.exists():
        return path
    with locked(path.with_name("keys.lock"), shared=False):
        if not path.exists():
            draft = path.with_name(f"{path.name}.draft")
            draft.unlink(missing_ok=True)
            draft.touch(mode=0o600)
            with draft.open("w", encoding="ascii") as file:
                file.write(make())
                file.flush()
                # A secret must not be on the disk before the key that it is encrypted under.
                os.fsync(file.fileno())
            draft.rename(path)
            sync_directory(path.parent)
    return path
