"""What a page is about, in the vocabulary of schema.org (JSON-LD)."""

from collections.abc import Sequence

from pydantic import JsonValue

from app.languages.words import N_
from app.pages.data.downloads import EXPORTS
from app.pages.rendering import PageReader
from app.places.schemas import CrossingRecord

DESCRIPTION = N_("Is that border crossing open? For whom, since when, and who says so.")

_CONTEXT = "https://schema.org"


def breadcrumbs(reader: PageReader, pages: Sequence[tuple[str, str]]) -> JsonValue:
    """Return the way to a page: the name and the path of each page on it, from the home page on."""
    return {
        "@context": _CONTEXT,
        "@type": "BreadcrumbList",
        "itemListElement": [
            {"@type": "ListItem", "position": number, "name": name, "item": _url(reader, path)}
            for number, (name, path) in enumerate(pages, start=1)
        ],
    }


def place(reader: PageReader, details: CrossingRecord) -> JsonValue:
    """Return a crossing as a place, with its names and where it is if that is known."""
    names = sorted({name.name for name in details.names} | {*details.aliases})
    body: dict[str, JsonValue] = {
        "@context": _CONTEXT,
        "@type": "Place",
        "@id": _url(reader, f"/crossings/{details.id}"),
        "name": reader.words.crossing(details.names),
        "alternateName": list[JsonValue](names),
        "url": _url(reader, f"/crossings/{details.id}"),
    }
    if details.location is not None:
        body["geo"] = {
            "@type": "GeoCoordinates",
            "latitude": details.location.lat,
            "longitude": details.location.lon,
        }
    return body


def dataset(reader: PageReader, name: str, description: str) -> JsonValue:
    """Return all data as a dataset with its downloads."""
    return {
        "@context": _CONTEXT,
        "@type": "Dataset",
        "name": name,
        "description": description,
        "url": _url(reader, "/data"),
        "license": _url(reader, "/data#licence"),
        "creator": {"@type": "Organization", "name": "Crossing Status", "url": _url(reader, "/")},
        "isAccessibleForFree": True,
        "distribution": [
            {
                "@type": "DataDownload",
                "encodingFormat": file.media_type,
                "contentUrl": _url(reader, file.path),
            }
            for file in EXPORTS
        ],
    }


def _url(reader: PageReader, path: str) -> str:
    return reader.origin + path
