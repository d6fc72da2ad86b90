"""Web Push: messages encrypted for one browser (RFC 8291), signed by the service (RFC 8292)."""

import base64
import hmac
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

MAX_PAYLOAD = 3_993
"""Bytes of a message that every push service takes: it has 4,096 when it is encrypted."""
TTL_SECONDS = 24 * 3_600
"""For so long a push service keeps a message for a browser that is off."""
TOKEN_SECONDS = 12 * 3_600
"""For so long a token of the service is valid; RFC 8292 allows a day."""

_CURVE = ec.SECP256R1()
_RECORD_BYTES = 4_096
_LAST_RECORD = b"\x02"
_POINT_CHARACTERS, _AUTH_BYTES, _COORDINATE_BYTES = 87, 16, 32
_MOST_TOKENS = 1_000


@dataclass(frozen=True, slots=True)
class PushAddress:
    """Where a browser is reached, and the keys to encrypt for it."""

    endpoint: str
    p256dh: str
    """Its public key, an uncompressed point of P-256 in the base64 of URLs."""
    auth: str
    """Its 16 secret bytes in the base64 of URLs."""

    def require_usable(self) -> None:
        """Raise ValueError, with what is wrong, unless messages can be encrypted for it."""
        _ = self._public_key
        if len(_decoded(self.auth)) != _AUTH_BYTES:
            raise ValueError("must have 16 bytes for auth, in the base64 of URLs")

    def encrypt(self, message: bytes) -> bytes:
        """Return a message as the body of a request, with ``Content-Encoding: aes128gcm``."""
        return encrypted(
            message,
            self._public_key,
            _decoded(self.auth),
            own_key=ec.generate_private_key(_CURVE),
            salt=os.urandom(16),
        )

    @property
    def _public_key(self) -> ec.EllipticCurvePublicKey:
        try:
            # The base64 of a point whose coordinates are not compressed.
            if len(self.p256dh.rstrip("=")) == _POINT_CHARACTERS:
                return ec.EllipticCurvePublicKey.from_encoded_point(_CURVE, _decoded(self.p256dh))
        except ValueError:
            pass
        raise ValueError("must have a point of P-256 for p256dh, in the base64 of URLs")


def encrypted(
    message: bytes,
    public_key: ec.EllipticCurvePublicKey,
    auth: bytes,
    *,
    own_key: ec.EllipticCurvePrivateKey,
    salt: bytes,
) -> bytes:
    """Encrypt in one record, by RFC 8291. ``own_key`` and ``salt`` must be new each time."""
    own_point = _point(own_key.public_key())
    secret = own_key.exchange(ec.ECDH(), public_key)
    info = b"WebPush: info\0" + _point(public_key) + own_point
    keying_material = _derived(secret, auth, info, 32)
    key = _derived(keying_material, salt, b"Content-Encoding: aes128gcm\0", 16)
    nonce = _derived(keying_material, salt, b"Content-Encoding: nonce\0", 12)
    header = salt + _RECORD_BYTES.to_bytes(4, "big") + bytes([len(own_point)]) + own_point
    return header + AESGCM(key).encrypt(nonce, message + _LAST_RECORD, None)


@dataclass(frozen=True, slots=True)
class VapidKey:
    """The key by which push services know this service. Browsers subscribe for it alone."""

    private: ec.EllipticCurvePrivateKey

    @classmethod
    def generate(cls) -> "VapidKey":
        return cls(ec.generate_private_key(_CURVE))

    @classmethod
    def read(cls, path: Path) -> "VapidKey":
        """Read a PEM file; raises ValueError without a P-256 key in it, and OSError."""
        try:
            key = load_pem_private_key(path.read_bytes(), password=None)
        except (TypeError, ValueError, UnsupportedAlgorithm) as error:
            raise ValueError(f"{path} is not an unencrypted private key in PEM") from error
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != _CURVE.name:
            raise ValueError(f"{path} is not a key of P-256")
        return cls(key)

    def pem(self) -> str:
        """Return the key as the content of a PEM file."""
        return self.private.private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        ).decode()

    @property
    def public(self) -> str:
        """The public key as browsers take it, an uncompressed point in the base64 of URLs."""
        return _encoded(_point(self.private.public_key()))

    def token(self, claims: dict[str, str | int]) -> str:
        """Return a signed JSON Web Token, by ES256."""
        header = _encoded(b'{"typ":"JWT","alg":"ES256"}')
        signed = f"{header}.{_encoded(json.dumps(claims).encode())}"
        signature = self.private.sign(signed.encode(), ec.ECDSA(SHA256()))
        numbers = decode_dss_signature(signature)
        raw = b"".join(number.to_bytes(_COORDINATE_BYTES, "big") for number in numbers)
        return f"{signed}.{_encoded(raw)}"


@dataclass(slots=True)
class PushSigner:
    """Signs requests to push services: one token for each of them, used for half of its time."""

    key: VapidKey
    contact: str | None
    """Where a push service reaches the operator: a URL, ``mailto:`` or ``https:``."""
    clock: Callable[[], float] = time.time
    _authorizations: dict[str, tuple[str, float]] = field(default_factory=dict)

    def authorization(self, endpoint: str) -> str:
        """Return the ``Authorization`` of a request to an endpoint."""
        parts = urlsplit(endpoint)
        audience, now = f"{parts.scheme}://{parts.netloc}", self.clock()
        authorization, expires = self._authorizations.get(audience, ("", 0.0))
        if expires - now < TOKEN_SECONDS / 2:
            expires = now + TOKEN_SECONDS
            claims: dict[str, str | int] = {"aud": audience, "exp": int(expires)}
            token = self.key.token(claims | ({"sub": self.contact} if self.contact else {}))
            authorization = f"vapid t={token},k={self.key.public}"
            if len(self._authorizations) >= _MOST_TOKENS:
                self._authorizations.clear()
            self._authorizations[audience] = authorization, expires
        return authorization


def _derived(secret: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    """Derive at most 32 bytes by HKDF with SHA-256 (RFC 5869): they are in its first block."""
    key = hmac.digest(salt, secret, "sha256")
    return hmac.digest(key, info + b"\1", "sha256")[:length]


def _point(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    """Decode the base64 of URLs, with or without its padding. Raises ValueError."""
    return base64.b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4), b"-_", True)
