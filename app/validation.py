"""What is wrong with an input, in plain words: never those of the validator."""

from collections.abc import Mapping
from typing import get_args

from pydantic import ValidationError
from pydantic_core import ErrorDetails, core_schema

_OF_THE_VALIDATOR = frozenset(get_args(core_schema.ErrorType))
"""Kinds of faults that have its words; the others have ours."""

SLUG = "^[a-z0-9]+(-[a-z0-9]+)*$"
COUNTRY_CODE = "^[A-Z]{2}$"
BORDER_CODE = "^[A-Z]{2}-[A-Z]{2}$"
PHONE = "^\\+[1-9][0-9]{6,14}$"
EMAIL = "^[!-?A-~]+@[!-?A-~]+\\.[!-?A-~]+$"
LANGUAGE_TAG = "^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$"

PATTERNS: Mapping[str, str] = {
    COUNTRY_CODE: "must be an ISO 3166-1 alpha-2 code, such as LT",
    BORDER_CODE: "must be two country codes, such as BY-LT",
    SLUG: ("must consist of lower-case letters, digits and hyphens, such as sumskas-losa"),
    LANGUAGE_TAG: "must be a language tag, such as lt",
    "^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$": "must be a language tag, such as lt",
    "^[0-9a-f]{64}$": "must be 64 hexadecimal digits in lower case",
    PHONE: "must be a telephone number in the form of E.164, such as +37031234567",
    EMAIL: "must be an e-mail address, such as ask@example.org",
    "^https?://[!-~]+$": "must be an address that begins with http:// or https://",
}

_SENTENCES: Mapping[str, str] = {
    "missing": "is required",
    "extra_forbidden": "is not a known field",
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "datetime_from_date_parsing": "is not a date and time that exists",
    "datetime_object_invalid": "is not a date and time that exists",
    "datetime_parsing": "is not a date and time that exists",
    "dict_type": "must be an object",
    "enum": "must be one of: {expected}",
    "finite_number": "must be a finite number",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "greater_than": "must be greater than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "int_from_float": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "is too large",
    "int_type": "must be a whole number",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "list_type": "must be a list",
    "literal_error": "must be one of: {expected}",
    "model_attributes_type": "must be an object",
    "model_type": "must be an object",
    "none_required": "must be null",
    "string_too_long": "must have at most {max_length} characters",
    "string_too_short": "must have at least {min_length} characters",
    "string_type": "must be text",
    "string_unicode": "must be valid Unicode text",
    "too_long": "must have at most {max_length} items",
    "too_short": "must have at least {min_length} items",
    "union_tag_invalid": "must have a {discriminator} of: {expected_tags}",
    "union_tag_not_found": "must have a {discriminator}",
    "url_parsing": "must be a complete address, such as https://example.org/notice",
    "uuid_parsing": "must be a UUID",
    "uuid_type": "must be a UUID",
}


def message_of(fault: ErrorDetails) -> str:
    """Say what is wrong with a field, to follow its name."""
    kind, context = fault["type"], fault.get("ctx", {})
    if kind not in _OF_THE_VALIDATOR:
        return fault["msg"]
    if kind == "string_pattern_mismatch":
        return PATTERNS.get(str(context["pattern"]), "does not have the right form")
    # Where a text was checked otherwise first, its length is told as that of a list.
    if kind in {"too_long", "too_short"} and isinstance(fault["input"], str):
        kind = f"string_{kind}"
    values = {name: str(value).replace("'", "") for name, value in context.items()}
    if "expected" in values:
        values["expected"] = values["expected"].replace(" or ", ", ")
    told = _SENTENCES.get(kind, "is not valid").format(**values)
    return told.removesuffix("s") if told.endswith((" 1 items", " 1 characters")) else told


def faults_of(error: ValidationError) -> str:
    """Say all that is wrong with an input, each fault with its field."""
    return "; ".join(
        f"{'.'.join(str(part) for part in fault['loc'])}: {message_of(fault)}"
        for fault in error.errors()
    )
