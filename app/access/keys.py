"""The format of API keys: ``cxs_<id>_<secret><checksum>``.

The prefix and the checksum let scanners of leaked secrets recognise a key by itself. With
underscores, a double click selects the whole key.
"""

import hashlib
import secrets
import string
import zlib
from dataclasses import dataclass

PREFIX = "cxs"
_ALPHABET = string.digits + string.ascii_letters
_ID_LENGTH, _SECRET_LENGTH, _CHECKSUM_LENGTH = 8, 43, 6  # 62 ** 43 > 2 ** 256


@dataclass(frozen=True, slots=True)
class Key:
    """A complete key. Only ``id`` and ``secret_hash`` are stored."""

    id: str
    secret: str

    @property
    def secret_hash(self) -> bytes:
        """SHA-256 suffices for 256 random bits; a slow hash would add nothing but time."""
        return hashlib.sha256(self.secret.encode()).digest()

    def __str__(self) -> str:
        body = f"{PREFIX}_{self.id}_{self.secret}"
        return body + _checksum(body)


def new_key() -> Key:
    return Key(_random(_ID_LENGTH), _random(_SECRET_LENGTH))


def parse_key(token: str) -> Key | None:
    """Return the parsed key; None if the token does not have the format of one."""
    prefix, _, rest = token.partition("_")
    key_id, _, secret = rest.partition("_")
    body, checksum = token[:-_CHECKSUM_LENGTH], token[-_CHECKSUM_LENGTH:]
    has_lengths = len(key_id) == _ID_LENGTH and len(secret) == _SECRET_LENGTH + _CHECKSUM_LENGTH
    if prefix != PREFIX or not has_lengths or not token.isascii() or _checksum(body) != checksum:
        return None
    return Key(key_id, secret[:-_CHECKSUM_LENGTH])


def _random(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def _checksum(body: str) -> str:
    number, digits = zlib.crc32(body.encode()), ""
    for _ in range(_CHECKSUM_LENGTH):
        number, digit = divmod(number, len(_ALPHABET))
        digits = _ALPHABET[digit] + digits
    return digits
