"""Secrets appear nowhere: not in a log, an error, a dump, or any file, whatever fails."""

import socket
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from app.access.keys import parse_key
from app.embedded.programs import ourselves
from app.embedded.running import reaching
from app.embedded.server import DATABASE, OWNER, PORT, SUPERUSER, Server
from tests import clients
from tests.alerts.browsers import Browser
from tests.api import SUMSKAS
from tests.commands import call, environment
from tests.marks import in_full
from tests.servers import Service, service
from tests.waiting import eventually

URL = "https://example.com/crossings"
FAILING = """
    CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE EXCEPTION 'no room for %', NEW; END $$
"""


class Canaries:
    """A service, the secrets that it has, and what was answered and printed besides."""

    def __init__(self, running: Service, data_dir: Path) -> None:
        self.running = running
        self.data_dir = data_dir
        key = parse_key(running.key)
        assert key is not None
        self.secrets = [key.secret, (data_dir / "secret.key").read_text(encoding="ascii").strip()]
        self.texts: list[str] = []

    def post(self, path: str, body: object, **headers: str) -> httpx2.Response:
        return clients.post(
            self.running.url + path,
            json=body,
            headers={"Authorization": f"Bearer {self.running.key}", **headers},
        )

    def make_secret(self, path: str, body: object, **headers: str) -> str:
        """Have the service make a secret, and return the id of the subscription."""
        answer = self.post(path, body, **headers)
        assert answer.status_code in {200, 201}, answer.text
        self.secrets.append(answer.json()["secret"])
        return str(answer.json()["id"])

    def fail(self, path: str, body: object, *, status: int, **headers: str) -> None:
        answer = self.post(path, body, **headers)
        assert answer.status_code == status, answer.text
        self.texts.append(f"{answer.headers}{answer.text}")


@pytest.fixture(params=["json", *in_full("text")])
def canaries(
    seeded_dir: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Canaries]:
    log = tmp_path / "log"
    more = {
        "CROSSINGS_LOG_FORMAT": request.param,
        "CROSSINGS_LOG_LEVEL": "DEBUG",
        "CROSSINGS_LOG_REQUESTS": "all",
    }
    with service(log, data_dir=seeded_dir, more=more) as running:
        yield Canaries(running, seeded_dir)


def test_no_secret_is_in_a_log_an_error_a_dump_or_a_file(
    canaries: Canaries, tmp_path: Path
) -> None:
    subscription = use_secrets(canaries)
    with reaching(canaries.data_dir) as server:
        refuse_rows(canaries, server, subscription)
        refuse_requests(canaries)
        lose_the_database(canaries, server)
        canaries.texts.append(dump(server, tmp_path))
    for command in (["keys", "list"], ["audit"], ["export"], ["check"], ["secrets", "rotate"]):
        done = call(*command, "--data-dir", canaries.data_dir)
        canaries.texts += [done.told, done.complained]
    log = canaries.running.log.read_text(encoding="utf-8")
    assert "no room for" in log
    assert "violates check constraint" in log

    everything = "".join([log, *canaries.texts]).encode()
    everything += b"".join(files_of(canaries.data_dir))
    assert len(canaries.secrets) == len(set(canaries.secrets)) == 8
    for secret in canaries.secrets:
        form = secret.removeprefix("whsec_").encode()
        assert form not in everything
        assert form.hex().encode() not in everything


def use_secrets(canaries: Canaries) -> str:
    """Make secrets and repeat the requests; return the id of a subscription."""
    once = {"Idempotency-Key": "once"}
    subscription = canaries.make_secret("/v1/subscriptions", {"url": URL}, **once)
    canaries.make_secret("/v1/subscriptions", {"url": URL})
    path = f"/v1/subscriptions/{subscription}/secret"
    canaries.make_secret(path, {}, **{"Idempotency-Key": "rotation"})
    assert canaries.post("/v1/subscriptions", {"url": URL}, **once).json()["secret"]
    make_alert(canaries)
    return subscription


def make_alert(canaries: Canaries) -> None:
    """Ask to be told by Web Push, and by an address that is refused."""
    browser = Browser("https://push.example.com/canary-of-an-endpoint")
    body = {"crossings": [SUMSKAS], "subscription": browser.subscription}
    answer = canaries.post("/alerts/push", body)
    assert answer.status_code == 200, answer.text
    keys = browser.subscription["keys"]
    assert isinstance(keys, dict)
    canaries.secrets += [browser.endpoint, str(keys["auth"]), answer.json()["token"]]
    inside = {"endpoint": "https://10.0.0.1/canary-of-an-endpoint", "keys": keys}
    canaries.fail("/alerts/push", {**body, "subscription": inside}, status=422)


def refuse_rows(canaries: Canaries, server: Server, subscription: str) -> None:
    """Let the database refuse rows with secrets, and name all that is in them."""
    with server.connect(SUPERUSER, DATABASE) as connection:
        connection.execute(FAILING)
        for table, columns in (("subscription", "UPDATE OR INSERT"), ("secret_answer", "INSERT")):
            trigger = f"failing BEFORE {columns} ON {table} FOR EACH ROW EXECUTE FUNCTION fail()"
            connection.execute(f"CREATE TRIGGER {trigger}".encode())
            for path, body in (
                ("/v1/subscriptions", {"url": URL}),
                (f"/v1/subscriptions/{subscription}/secret", {}),
            ):
                headers = {"Idempotency-Key": f"{table}{path}"}
                canaries.fail(path, body, status=500, **headers)
            connection.execute(f"DROP TRIGGER failing ON {table}".encode())
            check = f"ALTER TABLE {table} ADD CONSTRAINT none CHECK (false) NOT VALID"
            connection.execute(check.encode())
            headers = {"Idempotency-Key": f"none of {table}".replace(" ", "-")}
            canaries.fail("/v1/subscriptions", {"url": URL}, status=500, **headers)
            connection.execute(f"ALTER TABLE {table} DROP CONSTRAINT none".encode())


def refuse_requests(canaries: Canaries) -> None:
    """Send a valid key with what cannot be served, and keys that are nearly valid."""
    key = canaries.running.key
    canaries.fail("/v1/subscriptions", {"url": "nonsense", "secret": 1}, status=422)
    canaries.fail("/v1/subscriptions", {}, status=401, Authorization=f"Bearer {key}x")
    canaries.fail("/v1/subscriptions", {}, status=401, Authorization=f"Basic {key}")
    canaries.fail("/v1/subscriptions", {"url": URL}, status=422, **{"Idempotency-Key": "x y"})
    with socket.create_connection(("127.0.0.1", canaries.running.port)) as connection:
        connection.sendall(f"POST /v1/events HTTP/1.1\r\nAuthorization: {key}\x00\r\n\r\n".encode())
        canaries.texts.append(connection.recv(65_536).decode())


def lose_the_database(canaries: Canaries, server: Server) -> None:
    """Kill the database's processes while the service works."""
    with server.connect(SUPERUSER, DATABASE) as connection:
        connection.execute("""
            SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid()
        """)

    def is_back() -> bool:
        answer = canaries.post("/v1/subscriptions?validate_only=true", {"url": URL})
        canaries.texts.append(answer.text)
        return answer.status_code == 200

    eventually(is_back)


def dump(server: Server, folder: Path) -> str:
    """Return what `pg_dump` prints of the database."""
    file = folder / "dump.sql"
    where = f"host={server.socket_dir} port={PORT} user={OWNER} dbname={DATABASE}"
    assert ourselves().run(Path("/"), "pg_dump", f"--dbname={where}", f"--file={file}") is None
    text = file.read_text(encoding="utf-8")
    assert "COPY public.secret_answer" in text
    return text


def files_of(data_dir: Path) -> Iterator[bytes]:
    """Yield the contents of all files of a service, but for its key files."""
    for path in data_dir.rglob("*"):
        if path.is_file() and path.suffix != ".key":
            yield path.read_bytes()


def test_the_password_of_a_database_is_in_no_message() -> None:
    url = "postgresql://nobody:canary@127.0.0.1:1/nothing"
    for command in (["serve"], ["migrate"], ["worker"], ["keys", "list"], ["secrets", "rotate"]):
        done = call(*command, env=environment(DATABASE_URL=url))

        assert (done.code, done.told) == (1, "")
        assert "canary" not in done.complained
