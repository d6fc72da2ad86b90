"""`crossings secrets`, and how processes start without a key, or with another than the secrets'."""

import stat
from pathlib import Path

import pytest

from app.encryption import Cipher, new_secret_key
from tests.commands import Done, call, environment
from tests.conftest import SECRET_KEY, Database
from tests.marks import full
from tests.servers import free_port, service

NEW_KEY = new_secret_key()
UNREADABLE = (
    "Secrets that cannot be read without their key: 1. CROSSINGS_SECRET_KEY, or secret.key in the"
    " data directory, must have the key that they were encrypted under.\n"
)


@pytest.fixture
def subscribed(seeded: Database) -> Database:
    """A database with one subscription."""
    with seeded.connect() as connection:
        connection.execute("""
            INSERT INTO api_key (id, name, secret_hash, scopes)
            VALUES ('a', 'a', sha256('a'), '{subscriptions:write}')
        """)
        connection.execute(
            """
            INSERT INTO subscription (key_id, url, filter, "after", secret)
            VALUES ('a', 'https://example.com/', '{}', 0, %s)
            """,
            [Cipher([SECRET_KEY]).encrypt("whsec_x")],
        )
    return seeded


def secret_of(database: Database, *keys: str) -> str:
    """Return the secret of the one subscription, as these keys decrypt it."""
    with database.connect() as connection:
        ((token,),) = connection.execute("SELECT secret FROM subscription").fetchall()
    return Cipher(keys).decrypt(token)


# Starts


@pytest.mark.parametrize("keys", ["", NEW_KEY], ids=["no key", "another key"])
@pytest.mark.parametrize("command", ["serve", "worker"])
def test_who_delivers_does_not_start_without_the_key(
    subscribed: Database, command: str, keys: str
) -> None:
    options = ["--port", str(free_port())] if command == "serve" else []

    done = call(command, *options, env=environment(subscribed, CROSSINGS_SECRET_KEY=keys))

    assert (done.code, done.told) == (1, "")
    assert done.complained.endswith(UNREADABLE)
    assert "Traceback" not in done.complained


@full
def test_who_does_not_deliver_starts_without_a_key_but_not_with_another(
    subscribed: Database, tmp_path: Path
) -> None:
    log, without = tmp_path / "log", {"CROSSINGS_SECRET_KEY": ""}
    with service(log, database_url=subscribed.url, worker=False, more=without):
        pass
    another = {"CROSSINGS_SECRET_KEY": NEW_KEY, "CROSSINGS_DELIVERY_WORKER": "false"}
    done = call("serve", "--port", str(free_port()), env=environment(subscribed, **another))

    notice = "CROSSINGS_SECRET_KEY is not set: no webhooks can be made."
    assert notice in log.read_text(encoding="utf-8")
    assert (done.code, done.complained) == (1, UNREADABLE)


@pytest.mark.parametrize("command", [["serve"], ["migrate"], ["secrets", "rotate"]])
def test_a_key_that_is_not_one_is_refused_without_repeating_it(
    database: Database, command: list[str]
) -> None:
    done = call(*command, env=environment(database, CROSSINGS_SECRET_KEY=f"{NEW_KEY}canary"))

    assert (done.code, done.told) == (1, "")
    assert done.complained == (
        "secret_key: must be Fernet keys, separated by commas;"
        " `crossings secrets new-key` prints one\n"
    )


# The key file of an embedded database


def test_the_first_start_makes_a_key_file_for_its_owner_alone(
    seeded_dir: Path, tmp_path: Path
) -> None:
    """A later start leaves it as it is."""
    path = seeded_dir / "secret.key"
    assert not path.exists()
    with service(tmp_path / "log", data_dir=seeded_dir, worker=False):
        made = path.read_text(encoding="ascii")
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    Cipher([made.strip()])

    assert call("migrate", "--data-dir", seeded_dir).code == 0
    assert path.read_text(encoding="ascii") == made


def test_a_key_that_is_set_is_used_instead_of_a_file(seeded_dir: Path) -> None:
    env = environment(CROSSINGS_SECRET_KEY=SECRET_KEY)

    assert call("migrate", "--data-dir", seeded_dir, env=env).code == 0
    assert not (seeded_dir / "secret.key").exists()


def test_a_key_file_that_has_no_keys_is_refused_without_repeating_it(seeded_dir: Path) -> None:
    path = seeded_dir / "secret.key"
    path.write_text("canary\n", encoding="ascii")

    done = call("migrate", "--data-dir", seeded_dir)

    assert done == Done(
        1, "", f"{path} cannot be used: it must have one or more Fernet keys, a line each.\n"
    )


def test_the_file_has_a_key_a_line(seeded_dir: Path) -> None:
    (seeded_dir / "secret.key").write_text(f"{NEW_KEY}\n{SECRET_KEY}\n", encoding="ascii")

    done = call("secrets", "rotate", "--data-dir", seeded_dir)

    assert done == Done(0, "Secrets encrypted anew: 0. All are now under the first key.\n", "")


# Keys


def test_each_new_key_is_another() -> None:
    first, second = (call("secrets", "new-key") for _ in range(2))

    assert (first.code, first.complained) == (0, "")
    assert first.told != second.told
    Cipher([first.told.strip(), second.told.strip()])


def test_secrets_are_rotated_to_the_first_key(subscribed: Database) -> None:
    env = environment(subscribed, CROSSINGS_SECRET_KEY=f"{NEW_KEY},{SECRET_KEY}")

    first, second = (call("secrets", "rotate", env=env) for _ in range(2))

    assert first == Done(0, "Secrets encrypted anew: 1. All are now under the first key.\n", "")
    assert second == Done(0, "Secrets encrypted anew: 0. All are now under the first key.\n", "")
    assert secret_of(subscribed, NEW_KEY) == "whsec_x"


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ("", "There is no key: set CROSSINGS_SECRET_KEY.\n"),
        (
            NEW_KEY,
            "A secret is under none of the keys: add the missing one. Nothing was altered.\n",
        ),
    ],
    ids=["no key", "another key"],
)
def test_without_the_key_nothing_is_rotated(subscribed: Database, keys: str, message: str) -> None:
    done = call("secrets", "rotate", env=environment(subscribed, CROSSINGS_SECRET_KEY=keys))

    assert done == Done(1, "", message)
    assert secret_of(subscribed, SECRET_KEY) == "whsec_x"


# Names of keys


def test_a_name_that_another_key_had_is_refused(database: Database) -> None:
    """Even after its revocation: what is recorded says who recorded it by name."""
    env = environment(database)
    creating = ["keys", "create", "VSAT", "--scope", "events:write"]
    key_id = call(*creating, env=env).told.split("_")[1]
    assert call("keys", "revoke", key_id, env=env).code == 0

    done = call(*creating, env=env)

    assert (done.code, done.told) == (1, "")
    assert f"'VSAT' is the name of the key {key_id}: choose another" in done.complained


@full
def test_a_lost_admin_key_is_made_anew_by_another_name(seeded_dir: Path, tmp_path: Path) -> None:
    with service(tmp_path / "first", data_dir=seeded_dir, worker=False) as running:
        lost = running.key
    (seeded_dir / "admin.key").unlink()
    with service(tmp_path / "second", data_dir=seeded_dir, worker=False) as running:
        assert running.key != lost
    names = [
        line.split("\t")[1]
        for line in call("keys", "list", "--data-dir", seeded_dir).told.splitlines()
    ]
    assert names == ["admin", "admin 2"]
