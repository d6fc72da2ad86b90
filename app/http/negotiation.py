"""Content negotiation by weights (RFC 9110, section 12.5)."""

import re
from collections.abc import Mapping, Sequence

from app.caches import remembered

_QUALITY = re.compile(r"0(\.\d{0,3})?|1(\.0{0,3})?", re.ASCII)


@remembered("weights", bound=2**19, result_bytes=1_000)
def weights(header: str) -> Mapping[str, float]:
    """Return the values of an ``Accept`` or similar header with their weights, in lower case.

    They are in the order of the header. A value with a malformed weight is left out.
    """
    qualities: dict[str, float] = {}
    for part in header.lower().split(","):
        name, *parameters = (piece.strip() for piece in part.split(";"))
        quality = "1"
        for parameter in parameters:
            key, _, value = parameter.partition("=")
            if key.strip() == "q":
                quality = value.strip()
        if name and _QUALITY.fullmatch(quality):
            qualities[name] = float(quality)
    return qualities


def preferred(accept: str, offers: Sequence[str]) -> str:
    """Return the media type that an ``Accept`` prefers, by its most specific range.

    Of equal ones it is the first, and also if none is acceptable: any answer is more helpful than
    a 406.
    """
    qualities = weights(accept)
    if not qualities:
        return offers[0]
    return max(offers, key=lambda offer: _quality(qualities, offer))


def _quality(qualities: Mapping[str, float], media_type: str) -> float:
    kind = media_type.partition("/")[0]
    for media_range in (media_type, f"{kind}/*", "*/*"):
        if media_range in qualities:
            return qualities[media_range]
    return 0.0


def accepts_gzip(accept_encoding: str) -> bool:
    """Return whether an ``Accept-Encoding`` accepts gzip, at least as much as no encoding."""
    qualities = weights(accept_encoding)
    quality = qualities.get("gzip", qualities.get("*", 0.0))
    return quality > 0 and quality >= qualities.get("identity", 0.0)
