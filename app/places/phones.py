"""Telephone numbers in the form of E.164 (`+37031234567`), by the numbering plan of their country.

Nothing else touches the library that knows the plans.
"""

from phonenumbers import (
    NumberParseException,
    PhoneNumber,
    PhoneNumberFormat,
    format_number,
    is_valid_number,
    parse,
)


def check_phone(number: str) -> None:
    """Raise ValueError for what no subscriber can have, such as a number with a digit missing."""
    parsed = _parsed(number)
    if parsed is None or not is_valid_number(parsed):
        raise ValueError("is not a telephone number by the plan of its country")


def readable_phone(number: str) -> str:
    """Return a number as people write it: `+370 312 34567`."""
    parsed = _parsed(number)
    if parsed is None:
        return number
    return format_number(parsed, PhoneNumberFormat.INTERNATIONAL)


def _parsed(number: str) -> PhoneNumber | None:
    try:
        return parse(number)
    except NumberParseException:
        return None
