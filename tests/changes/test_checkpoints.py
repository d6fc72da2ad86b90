"""Checkpoints over HTTP: what they say, that anyone can verify them, and what they catch."""

import asyncio
import base64
import json
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import rfc8785
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_public_key,
)

from app.changes.checkpoints import Checkpoint, SigningKey, newest_checkpoint
from app.commands.key_files import checkpoint_key_file
from app.config import Settings
from app.embedded.server import SUPERUSER
from tests.api import Api
from tests.commands import call, environment
from tests.conftest import Database
from tests.marks import full

CHECKPOINT = "/v1/changes/checkpoint"


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "checkpoint.key"
    path.write_text(SigningKey.generate().pem(), encoding="ascii")
    return path


@pytest.fixture
async def signing_api(seeded: Database, key_file: Path) -> AsyncIterator[Api]:
    async with seeded.api(checkpoint_key=key_file) as api:
        yield api


async def checkpoint(api: Api) -> dict[str, Any]:
    response = await api.get(CHECKPOINT)
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    return body


def verify(body: dict[str, Any]) -> None:
    """Verify a body as its description says, without the service's code."""
    key = load_pem_public_key(body["public_key"].encode())
    assert isinstance(key, Ed25519PublicKey)
    signed = {name: value for name, value in body.items() if name != "signature"}
    key.verify(base64.b64decode(body["signature"]), rfc8785.dumps(signed))


async def test_it_names_the_newest_change_and_its_hash(signing_api: Api) -> None:
    await signing_api.declare()
    newest = (await signing_api.declare(status="open"))["change"]
    (change,) = (await signing_api.get("/v1/changes", after=int(str(newest)) - 1)).json()["items"]

    body = await checkpoint(signing_api)

    assert {name: body[name] for name in ("change", "hash", "recorded_at")} == {
        name: change[name] for name in ("change", "hash", "recorded_at")
    }


async def test_its_signature_is_that_of_the_public_key(signing_api: Api) -> None:
    body = await checkpoint(signing_api)

    verify(body)
    with pytest.raises(InvalidSignature):
        verify({**body, "change": body["change"] + 1})


async def test_the_same_log_has_the_same_checkpoint(signing_api: Api) -> None:
    assert await checkpoint(signing_api) == await checkpoint(signing_api)


async def test_without_a_key_it_is_not_signed(seeded_api: Api) -> None:
    body = await checkpoint(seeded_api)

    assert body["change"] > 0
    assert (body["public_key"], body["fingerprint"], body["signature"]) == (None, None, None)


async def test_an_empty_log_has_one_too(empty: Database, key_file: Path) -> None:
    async with empty.api(checkpoint_key=key_file) as api:
        body = await checkpoint(api)

    verify(body)
    assert (body["change"], body["hash"], body["recorded_at"]) == (0, "00" * 32, None)


# What is kept, and compared later


@pytest.fixture
def kept(seeded: Database, key_file: Path, tmp_path: Path) -> Path:
    """A checkpoint of the log, in a file."""

    async def take() -> Checkpoint:
        async with seeded.session() as session:
            return await newest_checkpoint(session, SigningKey.read(key_file))

    path = tmp_path / "checkpoint.json"
    path.write_text(asyncio.run(take()).model_dump_json())
    return path


def test_check_says_that_the_log_contains_a_checkpoint(seeded: Database, kept: Path) -> None:
    body = json.loads(kept.read_bytes())

    done = call("check", "--checkpoint", kept, env=environment(seeded))

    assert (done.code, done.complained) == (0, "")
    assert done.told == (
        "The change log is intact.\n"
        f"It contains change {body['change']} of the checkpoint, which is signed by key"
        f" {body['fingerprint']}.\n"
    )


def test_check_notices_that_the_end_of_the_log_was_cut_off(seeded: Database, kept: Path) -> None:
    """Which leaves no trace in the chain."""
    number = json.loads(kept.read_bytes())["change"]
    with seeded.connect(SUPERUSER) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("DELETE FROM change WHERE number = %s", [number])

    done = call("check", "--checkpoint", kept, env=environment(seeded))

    assert done.code == 1
    assert f"change {number} of the checkpoint is not in the log" in done.complained


@full
def test_check_notices_that_the_log_was_written_anew(seeded: Database, kept: Path) -> None:
    number = json.loads(kept.read_bytes())["change"]
    with seeded.connect(SUPERUSER) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("UPDATE change SET hash = sha256('new') WHERE number = %s", [number])

    done = call("check", "--checkpoint", kept, env=environment(seeded))

    assert done.code == 1
    assert f"change {number} is not that of the checkpoint" in done.complained


@pytest.mark.parametrize("field", ["change", "hash", "recorded_at", "fingerprint", "signature"])
def test_an_altered_checkpoint_is_refused(seeded: Database, kept: Path, field: str) -> None:
    others = {
        "change": 1,
        "hash": "00" * 32,
        "recorded_at": "2023-08-18T00:00:00Z",
        "fingerprint": "00" * 32,
        "signature": base64.b64encode(bytes(64)).decode(),
    }
    kept.write_text(json.dumps(json.loads(kept.read_bytes()) | {field: others[field]}))

    done = call("check", "--checkpoint", kept, env=environment(seeded))

    assert (done.code, done.told) == (1, "")
    assert done.complained == f"{kept} was altered: its signature does not match.\n"


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"change": -1}', "\xff"])
def test_what_is_no_checkpoint_is_refused(seeded: Database, tmp_path: Path, text: str) -> None:
    path = tmp_path / "file"
    path.write_text(text, encoding="latin-1")

    done = call("check", "--checkpoint", path, env=environment(seeded))

    assert (done.code, done.told) == (1, "")
    assert done.complained.startswith(f"{path} is not a checkpoint: ")
    assert "Traceback" not in done.complained


# The key


def test_the_key_of_an_embedded_database_is_made_at_its_first_start_and_stays(
    data_dir: Path,
) -> None:
    path = data_dir / "checkpoint.key"
    data_dir.mkdir()
    assert checkpoint_key_file(Settings(data_dir=data_dir)) == path
    first = path.read_bytes()
    assert checkpoint_key_file(Settings(data_dir=data_dir)) == path

    assert path.read_bytes() == first
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def other_kind() -> str:
    key = generate_private_key(SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (None, "No such file"),
        ("", "is not an unencrypted private key in PEM"),
        (other_kind(), "is not an Ed25519 key"),
    ],
    ids=["missing", "empty", "another kind"],
)
def test_a_key_that_cannot_sign_is_said_at_the_start(
    seeded: Database, tmp_path: Path, text: str | None, named: str
) -> None:
    path = tmp_path / "key"
    if text is not None:
        path.write_text(text)
    env = environment(seeded, CROSSINGS_CHECKPOINT_KEY=str(path))

    done = call("serve", "--port", "0", env=env)

    assert (done.code, done.told) == (1, "")
    assert done.complained.startswith("CROSSINGS_CHECKPOINT_KEY cannot be used: ")
    assert named in done.complained
