"""A primary and its streaming standby, each a real PostgreSQL, to do harm to."""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import psutil

from app.embedded.data_directory import DataDirectory, open_data_directory
from app.embedded.programs import choose_identity
from app.embedded.server import SERVICE, SUPERUSER, Server
from app.embedded.supervisor import SETTINGS, PostgresSupervisor, shut_down
from tests.conftest import SEEDED, Database
from tests.servers import is_alive, signal_all
from tests.waiting import eventually

SYNCHRONOUS = "*"
"""Of `synchronous_standby_names`: a commit waits for the standby."""


@dataclass
class Cluster:
    """One PostgreSQL that nobody starts again."""

    place: DataDirectory
    process: subprocess.Popen[bytes]

    @classmethod
    def started(cls, place: DataDirectory, synchronous_standby_names: str = "") -> "Cluster":
        """Start the PostgreSQL of a place, and return when it answers."""
        settings = {"fsync": "off", "synchronous_standby_names": synchronous_standby_names}
        keeper = PostgresSupervisor(place)
        keeper.vacate()
        with patch.dict(SETTINGS, settings):
            process = keeper._spawn()
        eventually(lambda: place.status()[1] in {"ready", "standby"} or process.poll() is not None)
        assert process.poll() is None, place.log.read_text(errors="replace")
        return cls(place, process)

    @property
    def database(self) -> Database:
        """The seeded database in it."""
        return Database(Server(self.place.socket_dir), SEEDED)

    def family(self) -> list[psutil.Process]:
        main = psutil.Process(self.process.pid)
        return [main, *main.children(recursive=True)]

    def kill(self) -> None:
        """End all its processes, as a machine does that loses power."""
        family = self.family()
        signal_all(family, signal.SIGKILL)
        self.process.wait()
        eventually(lambda: not any(map(is_alive, family)))

    @contextmanager
    def ended(self) -> Iterator[None]:
        """Shut it down at the end of the block."""
        try:
            yield
        finally:
            shut_down(self.process)

    @contextmanager
    def hung(self) -> Iterator[None]:
        """Halt all its processes."""
        family = self.family()
        signal_all(family, signal.SIGSTOP)
        try:
            yield
        finally:
            signal_all(family, signal.SIGCONT)

    def ask(self, statement: str) -> object:
        """Return the one value that a statement of the superuser gives."""
        with self.database.connect(SUPERUSER) as connection:
            (value,) = connection.execute(statement).fetchone() or (None,)
            return value

    def stop_receiving(self) -> None:
        """Cut a standby off from its primary, which does not notice."""
        with self.database.connect(SUPERUSER) as connection:
            connection.execute("ALTER SYSTEM SET primary_conninfo = ''")
            connection.execute("SELECT pg_reload_conf()")
        eventually(lambda: self.ask("SELECT count(*) FROM pg_stat_wal_receiver") == 0)

    @property
    def newest_change(self) -> object:
        return self.ask("SELECT max(number) FROM change")

    def has_all_of(self, primary: "Cluster") -> bool:
        """Tell whether a standby shows all that its primary has committed."""
        return self.newest_change == primary.newest_change


@dataclass(frozen=True)
class Pair:
    """A primary, its standby, and how the service is to reach them."""

    primary: Cluster
    standby: Cluster

    @property
    def url(self) -> str:
        """Of whichever of the two takes writes."""
        hosts = f"{self.primary.place.socket_dir},{self.standby.place.socket_dir}"
        attributes = "port=5432,5432&target_session_attrs=read-write"
        return f"postgresql://{SERVICE}@/{SEEDED}?host={hosts}&{attributes}"


@contextmanager
def pair(source: Server, folder: Path, *, synchronous_standby_names: str) -> Iterator[Pair]:
    """Run a primary with the databases of ``source``, and a standby of it."""
    with ExitStack() as stack:
        enter = stack.enter_context
        primary = enter(_copied(source, folder / "a", names=synchronous_standby_names))
        origin = primary.database.server
        standby = enter(_copied(origin, folder / "b", "-R", "-C", "--slot=b", names=""))
        eventually(lambda: primary.ask("SELECT count(*) FROM pg_stat_replication") == 1)
        yield Pair(primary, standby)


@contextmanager
def _copied(source: Server, data_dir: Path, *options: str, names: str) -> Iterator[Cluster]:
    data_dir.mkdir(mode=0o700)
    identity = choose_identity(data_dir, ours=True)
    identity.adopt(data_dir)
    asked = (f"--host={source.socket_dir}", f"--username={SUPERUSER}", "--checkpoint=fast")
    target = ("--no-sync", f"--pgdata={data_dir / 'postgres'}", *options)
    assert identity.run(data_dir, "pg_basebackup", *asked, *target) is None
    with ExitStack() as stack:
        place = open_data_directory(stack, data_dir)
        cluster = Cluster.started(place, names)
        with cluster.ended():
            yield cluster
