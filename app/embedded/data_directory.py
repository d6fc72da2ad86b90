"""A data directory: who holds it, what is where in it, and what a first start makes of it."""

import hashlib
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from app.embedded.programs import Identity, choose_identity
from app.embedded.server import PORT, SUPERUSER, DirectoryInUse, EmbeddedError

# Elsewhere the import of this module must not fail, for DATABASE_URL may be set.
if sys.platform != "win32":
    import fcntl

SOCKET = f".s.PGSQL.{PORT}"
ADMIN_KEY = "admin.key"
CHECKPOINT_KEY = "checkpoint.key"
VAPID_KEY = "vapid.key"
SECRET_KEY = "secret.key"  # noqa: S105  # the name of a file
"""The keys under which secrets are stored, a line each."""
KEY_FILES = (ADMIN_KEY, CHECKPOINT_KEY, SECRET_KEY, VAPID_KEY)
UNFINISHED = "restore.unfinished"
"""A file that is there from the beginning of a restore to its end."""
_LONGEST_SOCKET_PATH = 107  # bytes, from sockaddr_un

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


@dataclass(frozen=True, slots=True)
class DataDirectory:
    """A data directory that we hold, and what is where in it."""

    data_dir: Path
    identity: Identity
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
                return tag(self.data_dir).encode() in (process / "cmdline").read_bytes()
        return False


def has_cluster(data_dir: Path) -> bool:
    """Return whether a directory has been served before."""
    return (data_dir / "postgres" / "PG_VERSION").exists()


def open_data_directory(stack: ExitStack, data_dir: Path) -> DataDirectory:
    """Hold the directory, make in it what is missing, and find the user to run as."""
    place = hold_data_directory(stack, data_dir)
    if (place.data_dir / UNFINISHED).exists():
        raise EmbeddedError(
            f"the restore into {place.data_dir} did not finish: run `crossings restore` again"
        )
    if not has_cluster(place.data_dir):
        _make_cluster(place)
    place.identity.adopt(place.cluster)
    return place


def hold_data_directory(stack: ExitStack, data_dir: Path) -> DataDirectory:
    """Hold the directory, which is made if it is missing, and find the user to run as."""
    if sys.platform != "linux":
        raise EmbeddedError("PostgreSQL is run here on Linux only: set DATABASE_URL instead")
    data_dir = data_dir.resolve()
    try:
        data_dir.mkdir(mode=0o700, parents=True)
        ours = True
    except FileExistsError:
        ours = has_cluster(data_dir)
    _hold(stack, data_dir)
    identity = choose_identity(data_dir, ours=ours)
    return DataDirectory(data_dir, identity, _make_socket_dir(stack, data_dir, identity))


@contextmanager
def locked(path: Path, *, shared: bool) -> Iterator[None]:
    """Hold a lock on a file for the time of the block; waits for who holds it otherwise."""
    fd = open_file(path, os.O_RDWR)
    try:
        fcntl.flock(fd, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def write_file(path: Path, text: str) -> None:
    """Make or replace a file of ours."""
    with os.fdopen(open_file(path, os.O_WRONLY | os.O_TRUNC), "w", encoding="utf-8") as file:
        file.write(text)


def open_file(path: Path, flags: int) -> int:
    """Open or make a file of ours; if root makes it, it belongs to whoever owns the directory."""
    fd = os.open(path, flags | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    owner = path.parent.stat()
    if os.geteuid() == 0 and os.fstat(fd).st_uid != owner.st_uid:
        os.fchown(fd, owner.st_uid, owner.st_gid)
    return fd


def tag(data_dir: Path) -> str:
    """Return a name for the directory that is its own, and short."""
    return "crossings-" + hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:12]


def _hold(stack: ExitStack, data_dir: Path) -> None:
    fd = open_file(data_dir / "serve.lock", os.O_RDWR)
    stack.callback(os.close, fd)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        # Whoever took the lock a moment ago may not have written its number yet.
        number = os.pread(fd, 20, 0).decode().strip()
        holder = f"process {number}" if number else "another process"
        raise DirectoryInUse(
            f"{data_dir} is in use by {holder}: stop that, or choose another directory"
        ) from None
    os.ftruncate(fd, 0)
    os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)


def _make_socket_dir(stack: ExitStack, data_dir: Path, identity: Identity) -> Path:
    path = data_dir / "socket"
    if not _fits(path):
        path = Path(tempfile.gettempdir(), f"{tag(data_dir)}-{identity.file_owner[0]}")
        stack.callback(_remove_if_empty, path)
    if not _fits(path):
        raise EmbeddedError(f"{path} is too long for a socket: set TMPDIR to a shorter one")
    with suppress(FileExistsError):
        path.mkdir(mode=0o700)
    found = path.lstat()
    known = found.st_uid in (os.geteuid(), identity.file_owner[0])
    if not known or found.st_mode != stat.S_IFDIR | stat.S_IRWXU:
        raise EmbeddedError(f"{path} is not a private directory of this service: remove it")
    identity.adopt(path)
    return path


def _fits(path: Path) -> bool:
    """Say whether a socket there can be named to libpq, which splits hosts at commas."""
    size = len(os.fsencode(path / SOCKET))
    return size <= _LONGEST_SOCKET_PATH and str(path).isprintable() and "," not in str(path)


def _remove_if_empty(path: Path) -> None:
    # Not empty after a crash of PostgreSQL: the next server clears it.
    with suppress(OSError):
        path.rmdir()


def _make_cluster(place: DataDirectory) -> None:
    """Make the cluster under another name, so that one under its own name is complete."""
    for leftover in place.data_dir.glob("postgres.new-*"):
        # A killed initdb's last child may still write there; what stays goes the next time.
        shutil.rmtree(leftover, ignore_errors=True)
    new = Path(tempfile.mkdtemp(prefix="postgres.new-", dir=place.data_dir))
    place.identity.adopt(new)
    if reason := place.identity.run(place.data_dir, "initdb", *_INITDB, "-D", str(new)):
        raise EmbeddedError(f"PostgreSQL could not make its files in {place.data_dir}:\n{reason}")
    new.rename(place.cluster)
    sync_directory(place.data_dir)


def sync_directory(path: Path) -> None:
    """Return when the names in a directory are on the disk."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
