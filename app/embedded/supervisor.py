"""Supervise PostgreSQL on a data directory: start, watch, restart and stop it."""

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
_ORPHAN_SECONDS = 2.0  # seconds; a busy backend does not notice that its server is gone
_STABLE_SECONDS = 60.0  # seconds; a server that ran for so long is not in a crash loop
_MAX_PAUSE = 30.0  # seconds between two attempts to start

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
    # One call for the whole file system, instead of one for each of a thousand files.
    "recovery_init_sync_method": "syncfs",
    "min_wal_size": "64MB",
    "max_wal_size": "256MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    "logging_collector": "off",
    "log_parameter_max_length_on_error": "0",  # values may be secret
}


class PostgresSupervisor:
    """Starts PostgreSQL and keeps it running until it is stopped.

    It has a thread of its own, because the kernel sends the signal at our end to PostgreSQL when
    the thread that forked it ends.
    """

    def __init__(
        self,
        directory: DataDirectory,
        settings: Mapping[str, str] | None = None,
        *,
        start_seconds: float = START_SECONDS,
    ) -> None:
        """Take settings of PostgreSQL besides `SETTINGS`, and how long a start may take."""
        self.ready: Future[None] = Future()
        self._directory = directory
        self._settings = settings or {}
        self._start_seconds = start_seconds
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="embedded-postgres", daemon=True)

    def start(self) -> None:
        """Start in the background. ``ready`` has the outcome."""
        self._thread.start()

    def stop(self) -> None:
        """Shut PostgreSQL down, and wait until no process is left."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        pause = 0.0
        while not self._stopping.wait(pause):
            began = time.monotonic()
            try:
                reason = self._run_server()
            except Exception as error:  # noqa: BLE001 -- the next attempt may succeed
                if not self.ready.done():
                    self.ready.set_exception(error)
                    return
                reason = str(error)
            if not self._stopping.is_set():
                _log.warning("PostgreSQL is down and is being restarted: %s", reason)
            is_stable = time.monotonic() - began > _STABLE_SECONDS
            pause = 0.0 if is_stable else min(2 * pause + 0.1, _MAX_PAUSE)

    def _run_server(self) -> str:
        self.vacate()
        process = self._spawn()
        try:
            self._await_ready(process)
            if not self.ready.done():
                self.ready.set_result(None)
            while process.poll() is None and not self._stopping.wait(0.1):
                _truncate_log(self._directory.log)
        finally:
            shut_down(process)
        return f"process {process.pid} ended with {process.returncode}"

    def vacate(self) -> None:
        """Wait for the processes of an earlier server to end, then remove its lock files."""
        began = time.monotonic()
        while pids := self._directory.inhabitants():
            waited = time.monotonic() - began
            if waited > START_SECONDS:
                names = ", ".join(map(str, sorted(pids)))
                raise EmbeddedError(f"another PostgreSQL still runs there: stop process {names}")
            if waited > _ORPHAN_SECONDS and self._directory.status()[0] not in pids:
                for pid in pids:
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
            if self._stopping.wait(0.02):
                raise EmbeddedError("stopped before PostgreSQL was started")
        # PostgreSQL would take a lock file that names a zombie or another process for valid.
        self._directory.pid_file.unlink(missing_ok=True)
        (self._directory.socket_dir / f"{SOCKET}.lock").unlink(missing_ok=True)

    def _spawn(self) -> subprocess.Popen[bytes]:
        write_file(self._directory.cluster / "pg_hba.conf", _HBA)
        _truncate_log(self._directory.log)
        # Quoted, because a comma separates directories.
        sockets = '"' + str(self._directory.socket_dir).replace('"', '""') + '"'
        names = {"unix_socket_directories": sockets, "cluster_name": tag(self._directory.data_dir)}
        settings = SETTINGS | names | dict(self._settings)
        options = [f"--{name}={value}" for name, value in settings.items()]
        with os.fdopen(open_file(self._directory.log, os.O_WRONLY | os.O_APPEND), "ab") as log:
            return subprocess.Popen(  # noqa: S603 -- the command is all our own
                self._directory.identity.command(
                    self._directory.data_dir,
                    "postgres",
                    "-D",
                    str(self._directory.cluster),
                    *options,
                ),
                env=ENVIRONMENT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Ctrl-C in the terminal must only reach the service, which drains first.
                start_new_session=True,
            )

    def _await_ready(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + self._start_seconds
        while process.poll() is None and time.monotonic() < deadline:
            if self._directory.status() == (process.pid, "ready") or self._stopping.wait(0.01):
                return
        last_lines = (
            self._directory.log.read_bytes()[-4096:].decode(errors="replace").splitlines()[-10:]
        )
        why = "did not become ready" if process.returncode is None else "ended at once"
        raise EmbeddedError(
            f"PostgreSQL {why}; its log, {self._directory.log}, ends:\n" + "\n".join(last_lines)
        )


def shut_down(process: subprocess.Popen[bytes]) -> None:
    for signal_number, seconds in ((signal.SIGINT, 60), (signal.SIGQUIT, 10), (signal.SIGKILL, 10)):
        if process.poll() is not None:
            return
        process.send_signal(signal_number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(seconds)


def _truncate_log(log: Path) -> None:
    """Bound the size of the log. It can be truncated while in use, because PostgreSQL appends."""
    # A failure to truncate the log must not stop the server.
    with suppress(OSError):
        if log.stat().st_size > LOG_LIMIT:
            with suppress(OSError):  # on a full disk, truncate all the same
                shutil.copyfile(log, log.with_suffix(".log.1"))
            os.truncate(log, 0)
