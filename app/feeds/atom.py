"""Write an Atom feed (RFC 4287), a page of it with links to the others (RFC 5005).

With the standard library: the one library for it drops what the links of an entry lead to.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import NAMESPACE_URL, uuid5
from xml.etree import ElementTree as ET

from app.changes.service import wire_instant
from app.feeds.entries import FeedEntry
from app.feeds.words import writable

ATOM = "application/atom+xml"
_NAMESPACE = "http://www.w3.org/2005/Atom"
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)
"""When a feed without entries was updated: it must say something, the same each time."""


@dataclass(frozen=True, slots=True)
class Feed:
    """What a feed says of itself. ``path`` names it for good, wherever it is served."""

    title: str
    path: str
    here: str
    """The service's address, without a slash at the end."""
    address: str
    """Of this page."""
    about: str
    """The path of what it is about."""
    next: str | None


def updated(entries: Sequence[FeedEntry]) -> datetime:
    """Return when the newest of these was updated."""
    return max((entry.updated for entry in entries), default=_NEVER)


def write(feed: Feed, entries: Sequence[FeedEntry]) -> bytes:
    """Return the feed as an XML document in UTF-8."""
    # Given by name, or the library would put a prefix before every element.
    root = ET.Element("feed", {"xmlns": _NAMESPACE, "xml:lang": "en"})
    _text(root, "id", uuid5(NAMESPACE_URL, feed.path).urn)
    _text(root, "title", feed.title)
    _text(root, "updated", wire_instant(updated(entries)))
    _text(root, "generator", "Crossing Status")
    _link(root, "self", feed.address, ATOM)
    _link(root, "first", feed.here + feed.path, ATOM)
    _link(root, "alternate", feed.here + feed.about, "application/json")
    if feed.next is not None:
        _link(root, "next", feed.next, ATOM)
    for entry in entries:
        _entry(root, feed, entry)
    document: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return document


def _entry(root: ET.Element, feed: Feed, one: FeedEntry) -> None:
    entry = ET.SubElement(root, "entry")
    _text(entry, "id", one.id.urn)
    _text(entry, "title", one.title)
    _text(entry, "published", wire_instant(one.published))
    _text(entry, "updated", wire_instant(one.updated))
    _text(ET.SubElement(entry, "author"), "name", one.author)
    for link in one.links:
        href = feed.here + link.href if link.href.startswith("/") else link.href
        _link(entry, link.rel, href, link.media_type, link.title)
    for term in one.categories:
        ET.SubElement(entry, "category", {"term": term})
    _text(entry, "content", one.html, type="html")


def _text(parent: ET.Element, name: str, text: str, **attributes: str) -> None:
    ET.SubElement(parent, name, attributes).text = writable(text)


def _link(
    parent: ET.Element, rel: str, href: str, media_type: str | None, title: str | None = None
) -> None:
    attributes = {"rel": rel, "href": href, "type": media_type, "title": title and writable(title)}
    ET.SubElement(
        parent, "link", {name: value for name, value in attributes.items() if value is not None}
    )
