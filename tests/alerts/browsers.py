"""Browsers that subscribed to Web Push, and the push service that they share, on loopback.

The push service checks what RFC 8030 and RFC 8292 want of a request; a browser decrypts by
RFC 8291.
"""

import base64
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from py_vapid import Vapid02  # type: ignore[import-untyped]  # has no types
from pydantic import JsonValue

from tests.subscriptions.receivers import Arrival, Receiver, receiving

CURVE = ec.SECP256R1()


def base64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def point(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def derived(secret: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    return HKDF(SHA256(), length, salt, info).derive(secret)


@dataclass(frozen=True)
class Browser:
    """A browser with a subscription, whose keys only it and the service have."""

    endpoint: str
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(CURVE))
    auth: bytes = field(default_factory=lambda: os.urandom(16))

    @property
    def subscription(self) -> dict[str, JsonValue]:
        """What `PushSubscription.toJSON` gives."""
        public = base64url(point(self.key.public_key()))
        return {
            "endpoint": self.endpoint,
            "expirationTime": None,
            "keys": {"p256dh": public, "auth": base64url(self.auth)},
        }

    def decrypt(self, body: bytes) -> bytes:
        """Return a message of one record; raises InvalidTag for one that is for somebody else."""
        salt, own, record = body[:16], body[21 : 21 + body[20]], body[21 + body[20] :]
        assert len(record) <= int.from_bytes(body[16:20], "big")
        sender = ec.EllipticCurvePublicKey.from_encoded_point(CURVE, own)
        info = b"WebPush: info\0" + point(self.key.public_key()) + own
        material = derived(self.key.exchange(ec.ECDH(), sender), self.auth, info, 32)
        key = derived(material, salt, b"Content-Encoding: aes128gcm\0", 16)
        nonce = derived(material, salt, b"Content-Encoding: nonce\0", 12)
        plain = AESGCM(key).decrypt(nonce, record, None).rstrip(b"\0")
        assert plain.endswith(b"\2"), "it is not the last record"
        return plain[:-1]

    def read(self, arrival: Arrival) -> dict[str, str]:
        """Return a message as the service worker gets it."""
        message: dict[str, str] = json.loads(self.decrypt(arrival.body))
        return message


def check_request(arrival: Arrival, audience: str, public_key: str) -> dict[str, JsonValue]:
    """See that a push service would take a request, and return what its token claims."""
    headers = arrival.headers
    assert int(headers["ttl"]) > 0
    assert headers["urgency"] in {"very-low", "low", "normal", "high"}
    assert len(headers["topic"]) <= 32
    assert headers["content-encoding"] == "aes128gcm"
    assert len(arrival.body) <= 4096
    scheme, _, parameters = headers["authorization"].partition(" ")
    assert scheme == "vapid"
    token, key = (part.partition("=")[2] for part in parameters.split(","))
    assert key == public_key
    assert Vapid02.verify(headers["authorization"])
    payload = token.split(".")[1]
    claims: dict[str, JsonValue] = json.loads(base64.urlsafe_b64decode(payload + "=="))
    assert claims["aud"] == audience
    assert 0 < int(str(claims["exp"])) - datetime.now(UTC).timestamp() <= 24 * 3600
    return claims


@dataclass
class PushService:
    """A push service: a receiver of messages for each of its browsers."""

    receiver: Receiver

    @property
    def audience(self) -> str:
        return f"http://127.0.0.1:{self.receiver.port}"

    def browser(self, name: str = "a") -> Browser:
        return Browser(f"{self.audience}/push/{name}")

    async def got(self, count: int) -> list[Arrival]:
        return await self.receiver.got(count)


@asynccontextmanager
async def push_service() -> AsyncIterator[PushService]:
    async with receiving() as receiver:
        yield PushService(receiver)
