"""Checkpoints: the newest change and its hash, signed by the service, for others to keep.

The chain shows alterations, but neither that its end was cut off nor that all of it was rewritten.
A checkpoint shows both, because the log must still contain its change.
"""

import base64
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path

import rfc8785
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)
from pydantic import Field
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.changes.models import Change
from app.changes.service import GENESIS
from app.http.bodies import Body


class Checkpoint(Body):
    """The newest change and its hash. Change 0 with a hash of zeros is the empty log.

    ``signature`` is Ed25519, in base64, over the RFC 8785 JSON of this body without it.
    """

    change: int = Field(ge=0)
    hash: str = Field(pattern="^[0-9a-f]{64}$")
    recorded_at: datetime | None
    public_key: str | None = Field(
        description="What verifies the signature, in PEM; null where the service has no key."
    )
    fingerprint: str | None = Field(description="SHA-256 of the public key in DER, in hex.")
    signature: str | None


@dataclass(frozen=True, slots=True)
class SigningKey:
    """The key that signs checkpoints."""

    private: Ed25519PrivateKey

    @classmethod
    def generate(cls) -> "SigningKey":
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def read(cls, path: Path) -> "SigningKey":
        """Read a PEM file; raises ValueError without an Ed25519 key in it, and OSError."""
        try:
            key = load_pem_private_key(path.read_bytes(), password=None)
        except (TypeError, ValueError, UnsupportedAlgorithm) as error:
            raise ValueError(f"{path} is not an unencrypted private key in PEM") from error
        if not isinstance(key, Ed25519PrivateKey):
            raise ValueError(f"{path} is not an Ed25519 key")  # noqa: TRY004
        return cls(key)

    def pem(self) -> str:
        """Return the key as the content of a PEM file."""
        return self.private.private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        ).decode()

    def sign(self, checkpoint: Checkpoint) -> Checkpoint:
        public = self.private.public_key()
        unsigned = checkpoint.model_copy(
            update={
                "public_key": public.public_bytes(
                    Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
                ).decode(),
                "fingerprint": _fingerprint(public),
            }
        )
        signature = base64.b64encode(self.private.sign(_signed_bytes(unsigned))).decode()
        return unsigned.model_copy(update={"signature": signature})


async def newest_checkpoint(session: AsyncSession, key: SigningKey | None) -> Checkpoint:
    """Return the newest change, signed if there is a key."""
    newest = select(Change).order_by(Change.number.desc()).limit(1)
    change = await session.scalar(newest)
    checkpoint = Checkpoint(
        change=change.number if change else 0,
        hash=(change.hash if change else GENESIS).hex(),
        recorded_at=change.recorded_at if change else None,
        public_key=None,
        fingerprint=None,
        signature=None,
    )
    return key.sign(checkpoint) if key else checkpoint


async def missing_of(session: AsyncSession, checkpoint: Checkpoint) -> str | None:
    """Describe how the log differs from a checkpoint; None if it contains the checkpoint."""
    number = checkpoint.change
    if number == 0:
        return None
    change_hash = await session.scalar(select(Change.hash).where(Change.number == number))
    if change_hash is None:
        return f"change {number} of the checkpoint is not in the log: its end was cut off"
    if change_hash.hex() != checkpoint.hash:
        return f"change {number} is not that of the checkpoint: the log was written anew"
    return None


def is_signed(checkpoint: Checkpoint) -> bool:
    """Return whether signature and fingerprint match the public key."""
    if not (checkpoint.public_key and checkpoint.signature):
        return False
    try:
        key = load_pem_public_key(checkpoint.public_key.encode())
        signature = base64.b64decode(checkpoint.signature, validate=True)
        if not isinstance(key, Ed25519PublicKey) or checkpoint.fingerprint != _fingerprint(key):
            return False
        key.verify(signature, _signed_bytes(checkpoint))
    except (ValueError, UnsupportedAlgorithm, InvalidSignature):
        return False
    return True


def _fingerprint(key: Ed25519PublicKey) -> str:
    return sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def _signed_bytes(checkpoint: Checkpoint) -> bytes:
    return rfc8785.dumps(checkpoint.model_dump(mode="json", exclude={"signature"}))
