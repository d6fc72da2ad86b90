"""The command line as an operator has it: real processes, in an environment of their own."""

import io
import os
import signal
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from app import cli
from app.config import PROJECT
from tests.conftest import SECRET_KEY, Database
from tests.seeds import SETS
from tests.waiting import PATIENCE

BIN = Path(sys.executable).parent
_LIMITS = ("BOARD", "DATABASE", "WRONG_KEYS", "ALERTS")
UNLIMITED = {f"CROSSINGS_RATE_LIMIT_{limit}": "0" for limit in _LIMITS}
"""Nobody is refused where that is not what is tested."""
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
    settings = {"CROSSINGS_SEEDS": ",".join(SETS)}
    if database is not None:
        settings |= {"DATABASE_URL": database.url, "DATABASE_OWNER_URL": database.owner_url}
    if "DATABASE_URL" in settings | extra:
        settings["CROSSINGS_SECRET_KEY"] = SECRET_KEY
    return {**others, **UNLIMITED, **settings, **extra}


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


def call(*arguments: str | Path, env: dict[str, str] | None = None) -> Done:
    """Do what `crossings` does, in this process: a start of its own takes two seconds."""
    told, complained, code = io.StringIO(), io.StringIO(), 0
    handler = signal.getsignal(signal.SIGTERM)
    with (
        mock.patch.dict(os.environ, env or environment(), clear=True),
        mock.patch.object(sys, "argv", ["crossings", *map(str, arguments)]),
        redirect_stdout(told),
        redirect_stderr(complained),
    ):
        try:
            cli.main()
        except SystemExit as end:
            code = int(end.code or 0)
        finally:
            signal.signal(signal.SIGTERM, handler)  # `serve` sets its own
    return Done(code, told.getvalue(), complained.getvalue())
