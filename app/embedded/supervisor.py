"""Keeps a PostgreSQL running on a data directory: starts, watches, restarts, stops it."""

import logging
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path

from app.embedded.data_directory import SOCKET, DataDirectory, open_file, tag, write_file
from app.embedded.programs import ENVIRONMENT
from app.embedded.server import PORT, SUPERUSER, EmbeddedError

_log = logging.getLogger(__name__)

START_SECONDS = 120.0  # seconds; recovery after a crash may take long
LOG_LIMIT = 10 * 2**20  # bytes
_ORPHANS_MAY_STAY = 2.0  # seconds; a backend deep in a computation does not notice by itself
_STEADY = 60.0  # seconds; a server that lived this long is not in a crash loop
_LONGEST_PAUSE = 30.0  # seconds between two attempts to start

_HBA = f"""\
# Rewritten at every start. Only the user that runs PostgreSQL can enter the socket's directory.
local all all trust
local replication {SUPERUSER} trust
"""

SETTINGS = {
    "listen_addresses": "",
    "port": str(PORT),
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "shared_buffers": "64MB",
    "fsync": "on",
    "synchronous_commit": "on",
    # One call for the file system instead of one for each of a thousand files, as in initdb.
    "recovery_init_sync_method": "syncfs",
    "min_wal_size": "64MB",
    "max_wal_size": "256MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    "logging_collector": "off",
}


class PostgresSupervisor:
    """Starts PostgreSQL and keeps it running until told to stop.

    In a thread of its own, because the signal that PostgreSQL gets at our end is tied by the
    kernel to the thread that forked.
    """

    def __init__(
        self,
        place: DataDirectory,
        settings: Mapping[str, str] | None = None,
        *,
        start_seconds: float = START_SECONDS,
    ) -> None:
        """Take PostgreSQL's settings besides `SETTINGS`, and how long a start may take."""
        self.ready: Future[None] = Future()
        self._place = place
        self._settings = settings or {}
        self._start_seconds = start_seconds
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="embedded-postgres", daemon=True)

    def start(self) -> None:
        """Return at once; ``ready`` tells how it went."""
        self._thread.start()

    def stop(self) -> None:
        """Shut PostgreSQL down and return when no process is left."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        pause = 0.0
        while not self._stopping.wait(pause):
            began = time.monotonic()
            try:
                reason = self._keep_one()
            except Exception as error:  # noqa: BLE001 -- whatever it is, the next attempt may do
                if not self.ready.done():
                    self.ready.set_exception(error)
                    return
                reason = str(error)
            if not self._stopping.is_set():
                _log.warning("PostgreSQL is down and is being restarted: %s", reason)
            steady = time.monotonic() - began > _STEADY
            pause = 0.0 if steady else min(2 * pause + 0.1, _LONGEST_PAUSE)

    def _keep_one(self) -> str:
        self.vacate()
        process = self._spawn()
        try:
            self._await_ready(process)
            if not self.ready.done():
                self.ready.set_result(None)
            while process.poll() is None and not self._stopping.wait(0.1):
                _bound(self._place.log)
        finally:
            shut_down(process)
        return f"process {process.pid} ended with {process.returncode}"

    def vacate(self) -> None:
        """Wait for what is left of an earlier server, then remove the lock files it left."""
        began = time.monotonic()
        while pids := self._place.inhabitants():
            waited = time.monotonic() - began
            if waited > START_SECONDS:
                names = ", ".join(map(str, sorted(pids)))
                raise EmbeddedError(f"another PostgreSQL still runs there: stop process {names}")
            if waited > _ORPHANS_MAY_STAY and self._place.status()[0] not in pids:
                for pid in pids:
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
            if self._stopping.wait(0.02):
                raise EmbeddedError("stopped before PostgreSQL was started")
        # PostgreSQL itself believes a lock file that names a zombie or somebody else's process.
        self._place.pid_file.unlink(missing_ok=True)
        (self._place.socket_dir / f"{SOCKET}.lock").unlink(missing_ok=True)

    def _spawn(self) -> subprocess.Popen[bytes]:
        write_file(self._place.cluster / "pg_hba.conf", _HBA)
        _bound(self._place.log)
        # Quoted, because a comma separates directories.
        sockets = '"' + str(self._place.socket_dir).replace('"', '""') + '"'
        names = {"unix_socket_directories": sockets, "cluster_name": tag(self._place.data_dir)}
        settings = SETTINGS | names | dict(self._settings)
        options = [f"--{name}={value}" for name, value in settings.items()]
        with os.fdopen(open_file(self._place.log, os.O_WRONLY | os.O_APPEND), "ab") as log:
            return subprocess.Popen(  # noqa: S603 -- the command is all our own
                self._place.identity.command(
                    self._place.data_dir, "postgres", "-D", str(self._place.cluster), *options
                ),
                env=ENVIRONMENT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # A Ctrl-C in the terminal is for the service, which drains first.
                start_new_session=True,
            )

    def _await_ready(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + self._start_seconds
        while process.poll() is None and time.monotonic() < deadline:
            if self._place.status() == (process.pid, "ready") or self._stopping.wait(0.01):
                return
        ends = self._place.log.read_bytes()[-4096:].decode(errors="replace").splitlines()[-10:]
        why = "did not become ready" if process.returncode is None else "ended at once"
        raise EmbeddedError(
            f"PostgreSQL {why}; its log, {self._place.log}, ends:\n" + "\n".join(ends)
        )


def shut_down(process: subprocess.Popen[bytes]) -> None:
    for how, patience in ((signal.SIGINT, 60), (signal.SIGQUIT, 10), (signal.SIGKILL, 10)):
        if process.poll() is not None:
            return
        process.send_signal(how)
        with suppress(subprocess.TimeoutExpired):
            process.wait(patience)


def _bound(log: Path) -> None:
    """Keep the log and its predecessor small; PostgreSQL appends, so it may be cut under it."""
    # The size of a log is never worth the end of the server.
    with suppress(OSError):
        if log.stat().st_size > LOG_LIMIT:
            with suppress(OSError):  # a full disk is one more reason to truncate
                shutil.copyfile(log, log.with_suffix(".log.1"))
            os.truncate(log, 0)
