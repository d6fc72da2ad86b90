"""Write a page of an Atom feed (RFC 4287) with links to the other pages (RFC 5005).

This uses the standard library, because the only library for Atom drops links of entries.
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
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
"""The `updated` of a feed without entries, which is required and should not vary."""


@dataclass(frozen=True, slots=True)
class Feed:
    """The head of a page of a feed. Its id depends on ``path`` alone, not on the origin."""

    title: str
    path: str
    origin: str
    """The origin of the service, without a slash at the end."""
    self_url: str
    """The URL of this page."""
    about_path: str
    """The path of the object that the feed is about."""
    next: str | None


def updated(entries: Sequence[FeedEntry]) -> datetime:
    """Return when the most recently updated entry was updated."""
    return max((entry.updated for entry in entries), default=_EPOCH)


def write(feed: Feed, entries: Sequence[FeedEntry]) -> bytes:
    """Return the feed as an XML document in UTF-8."""
    # As an attribute, because the library would otherwise prefix every element.
    root = ET.Element("feed", {"xmlns": _NAMESPACE, "xml:lang": "en"})
    _text(root, "id", uuid5(NAMESPACE_URL, feed.path).urn)
    _text(root, "title", feed.title)
    _text(root, "updated", wire_instant(updated(entries)))
    _text(root, "generator", "Crossing Status")
    _link(root, "self", feed.self_url, ATOM)
    _link(root, "first", feed.origin + feed.path, ATOM)
    _link(root, "alternate", feed.origin + feed.about_path, "application/json")
    if feed.next is not None:
        _link(root, "next", feed.next, ATOM)
    for entry in entries:
        _entry(root, feed, entry)
    document: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return document


def _entry(root: ET.Element, feed: Feed, entry: FeedEntry) -> None:
    element = ET.SubElement(root, "entry")
    _text(element, "id", entry.id.urn)
    _text(element, "title", entry.title)
    _text(element, "published", wire_instant(entry.published))
    _text(element, "updated", wire_instant(entry.updated))
    _text(ET.SubElement(element, "author"), "name", entry.author)
    for link in entry.links:
        href = feed.origin + link.href if link.href.startswith("/") else link.href
        _link(element, link.rel, href, link.media_type, link.title)
    for term in entry.categories:
        ET.SubElement(element, "category", {"term": term})
    _text(element, "content", entry.html, type="html")


def _text(parent: ET.Element, name: str, text: str, **attributes: str) -> None:
    ET.SubElement(parent, name, attributes).text = writable(text)


def _link(
    parent: ET.Element, rel: str, href: str, media_type: str | None, title: str | None = None
) -> None:
    attributes = {"rel": rel, "href": href, "type": media_type, "title": title and writable(title)}
    ET.SubElement(
        parent, "link", {name: value for name, value in attributes.items() if value is not None}
    )
