"""Secrets at rest: what the service has to have in clear is stored encrypted, by Fernet."""

import re
from collections.abc import Sequence

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

FERNET_PATTERN = "^gAAAA[A-Za-z0-9_-]+={0,2}$"
"""What a Fernet token looks like until the year 2106, as a regular expression of PostgreSQL."""

_KEY = re.compile("[A-Za-z0-9_-]{43}=")


class UnreadableSecret(Exception):
    """None of the keys decrypts a secret; the message repeats nothing of it."""


class MissingSecretKey(Exception):
    """There are secrets, and no key for them; the message is for a terminal and says what to do."""


class Cipher:
    """Encrypts under the first of the operator's keys, and decrypts under any of them."""

    def __init__(self, keys: Sequence[str]) -> None:
        """Take one or more Fernet keys. Raises ValueError for what is not one."""
        if not keys or not all(map(_KEY.fullmatch, keys)):
            # The decoder of keys passes over what follows one, be it another key.
            raise ValueError("a key must be 32 bytes in the base64 of URLs")
        self._first = Fernet(keys[0])
        self._all = MultiFernet([Fernet(key) for key in keys])

    def encrypt(self, secret: str) -> str:
        return self._first.encrypt(secret.encode()).decode()

    def decrypt(self, token: str) -> str:
        """Return a secret. Raises UnreadableSecret."""
        try:
            return self._all.decrypt(token.encode()).decode()
        except InvalidToken:
            raise UnreadableSecret("no key in use decrypts this secret") from None

    def rotate(self, token: str) -> str:
        """Return the same secret under the first key: the token itself, if it is that already.

        Raises UnreadableSecret.
        """
        try:
            self._first.decrypt(token.encode())
        except InvalidToken:
            return self.encrypt(self.decrypt(token))
        return token


def new_secret_key() -> str:
    return Fernet.generate_key().decode()


def split_keys(text: str) -> list[str]:
    """Return the keys of a setting or a file, which commas or white space separate."""
    return [key for key in re.split(r"[\s,]+", text) if key]
