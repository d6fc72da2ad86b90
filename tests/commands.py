"""The command line as an operator has it: real processes, in an environment of their own."""

import os
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from app.database.schema import PROJECT
from tests.conftest import Database

PATIENCE = 60
"""Seconds: however busy the machine is."""

BIN = Path(sys.executable).parent
_OURS = {"CROSSINGS", "DATABASE", "PGHOST", "PGPORT"}


@dataclass(frozen=True)
class Done:
    """What a command that has ended told."""

    code: int
    told: str
    complained: str


def environment(database: Database | None = None, **extra: str) -> dict[str, str]:
    """Return the environment of a command that is to use ``database``, as both of its roles."""
    others = {k: v for k, v in os.environ.items() if k.partition("_")[0] not in _OURS}
    urls = {}
    if database is not None:
        urls = {"DATABASE_URL": database.url, "DATABASE_OWNER_URL": database.owner_url}
    return {**others, **urls, **extra}


def start(*arguments: str | Path, env: dict[str, str] | None = None) -> subprocess.Popen[str]:
    """Start a command of the project in a group of its own, as a terminal does."""
    name, *rest = arguments
    return subprocess.Popen(
        [BIN / name, *rest],
        cwd=PROJECT,
        env=env or environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
    )


def finish(process: subprocess.Popen[str], *, within: float = PATIENCE) -> Done:
    """Wait for a command's end; it does not outlive its time."""
    try:
        told, complained = process.communicate(timeout=within)
    finally:
        with suppress(ProcessLookupError):
            process.kill()
    return Done(process.returncode, told, complained)


def run(
    *arguments: str | Path, env: dict[str, str] | None = None, within: float = PATIENCE
) -> Done:
    """Run a command of the project to its end."""
    return finish(start(*arguments, env=env), within=within)
