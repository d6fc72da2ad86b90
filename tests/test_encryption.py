"""What encrypts secrets: any of its keys decrypts, the first encrypts."""

import re

import pytest
from pydantic import ValidationError

from app.config import Settings
from app.encryption import (
    FERNET_PATTERN,
    Cipher,
    UnreadableSecret,
    new_secret_key,
    split_keys,
)

OLD, NEW = new_secret_key(), new_secret_key()
SECRET = "whsec_šnabždesys"  # noqa: S105  # of this test


def test_what_was_encrypted_is_decrypted_and_never_the_same_twice() -> None:
    cipher = Cipher([OLD])
    tokens = [cipher.encrypt(SECRET) for _ in range(2)]

    assert [cipher.decrypt(token) for token in tokens] == [SECRET] * 2
    assert tokens[0] != tokens[1]
    assert all(re.search(FERNET_PATTERN, token) for token in tokens)
    assert not re.search(FERNET_PATTERN, SECRET)


def test_any_key_decrypts_and_the_first_encrypts() -> None:
    both = Cipher([NEW, OLD])

    assert both.decrypt(Cipher([OLD]).encrypt(SECRET)) == SECRET
    assert Cipher([NEW]).decrypt(both.encrypt(SECRET)) == SECRET


def test_rotation_moves_a_secret_under_the_first_key_once() -> None:
    both = Cipher([NEW, OLD])
    rotated = both.rotate(Cipher([OLD]).encrypt(SECRET))

    assert Cipher([NEW]).decrypt(rotated) == SECRET
    assert both.rotate(rotated) == rotated


def test_what_no_key_decrypts_is_refused_without_repeating_it() -> None:
    for token in (Cipher([OLD]).encrypt(SECRET), "gAAAAA", SECRET):
        for use in (Cipher([NEW]).decrypt, Cipher([NEW]).rotate):
            with pytest.raises(UnreadableSecret) as refused:
                use(token)
            assert token not in str(refused.value)


@pytest.mark.parametrize("form", ["{new},{old}", " {new} , {old},", "{new}\n{old}\n"])
def test_keys_are_separated_by_commas_or_lines(form: str) -> None:
    text = form.format(new=NEW, old=OLD)

    assert split_keys(text) == [NEW, OLD]
    cipher = Settings.model_validate({"secret_key": text}).cipher
    assert cipher
    assert cipher.decrypt(Cipher([OLD]).encrypt(SECRET)) == SECRET


@pytest.mark.parametrize("text", ["", " ", ","])
def test_no_key_is_no_cipher(text: str) -> None:
    assert Settings.model_validate({"secret_key": text}).cipher is None


@pytest.mark.parametrize("form", ["canary", "{new}canary", "{new},canary"])
def test_a_key_that_is_not_one_is_refused_without_repeating_it(form: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Settings.model_validate({"secret_key": form.format(new=NEW)})

    assert "must be Fernet keys" in str(refused.value)
    assert "canary" not in str(refused.value)
    assert NEW not in str(refused.value)
