"""What search engines, social networks and phones read of the pages."""

import json
import re
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from app.languages.languages import LANGUAGES
from app.languages.words import Words
from app.vocabulary import Status
from tests.api import SUMSKAS, Api
from tests.pages.test_every_page import PAGES, PAST, PRESENT, STORY

HERE = f"/crossings/{SUMSKAS}"
HOST = {"Host": "status.example"}
SITEMAP = {
    "s": "http://www.sitemaps.org/schemas/sitemap/0.9",
    "x": "http://www.w3.org/1999/xhtml",
}


async def head_of(api: Api, path: str) -> str:
    response = await api.client.get(path, headers=HOST)
    assert response.status_code == 200, response.text
    return response.text.partition("</head>")[0]


def attribute(head: str, tag: str, name: str) -> list[str]:
    """Return the values of an attribute of the tags that begin with ``tag``."""
    return re.findall(rf'<{tag}[^>]*? {name}="([^"]*)"', head)


def linked_data(head: str) -> list[Any]:
    found = re.findall(r'<script type="application/ld\+json">(.*?)</script>', head, re.DOTALL)
    return [json.loads(one) for one in found]


@pytest.mark.parametrize("path", PAGES)
async def test_each_page_has_one_canonical_address_in_each_language(
    seeded_api: Api, path: str
) -> None:
    head = await head_of(seeded_api, path)
    plain = f"http://status.example{path.partition('?')[0]}"
    assert attribute(head, 'link rel="canonical"', "href") == [plain]
    expected = {code: f"{plain}?lang={code}" for code in LANGUAGES} | {"x-default": plain}
    pairs = re.findall(r'<link rel="alternate" hreflang="([^"]+)" href="([^"]+)">', head)
    assert dict(pairs) == expected


async def test_a_chosen_language_is_part_of_the_canonical_address(seeded_api: Api) -> None:
    head = await head_of(seeded_api, f"{HERE}?lang=lt&traffic=car&zoom=1y")
    assert attribute(head, 'link rel="canonical"', "href") == [
        f"http://status.example{HERE}?lang=lt"
    ]


@pytest.mark.parametrize("path", PAGES)
async def test_only_the_present_is_indexed(seeded_api: Api, path: str) -> None:
    robots = attribute(await head_of(seeded_api, path), 'meta name="robots"', "content")
    assert robots == (["noindex"] if path in PAST else [])


async def test_a_shared_link_shows_the_answer_and_a_picture_of_the_status(
    seeded_api: Api,
) -> None:
    for code in LANGUAGES:
        head = await head_of(seeded_api, f"{HERE}?lang={code}")
        (title,) = attribute(head, 'meta property="og:title"', "content")
        assert Words(LANGUAGES[code]).word(Status.CLOSED) in title
        (description,) = attribute(head, 'meta property="og:description"', "content")
        (picture,) = attribute(head, 'meta property="og:image"', "content")
        assert len(description) > 20
        assert picture.endswith(f"/pictures/closed.{code}.png")
        image = await seeded_api.client.get(picture.removeprefix("http://status.example"))
        assert image.headers["content-type"] == "image/png"
        assert image.content.startswith(b"\x89PNG")
        width, height = (int.from_bytes(image.content[at : at + 4]) for at in (16, 20))
        assert (width, height) == (1200, 630)


async def test_a_crossing_is_a_place_on_the_way_from_the_home_page(seeded_api: Api) -> None:
    way, place = linked_data(await head_of(seeded_api, HERE))
    assert way["@type"] == "BreadcrumbList"
    assert [item["item"] for item in way["itemListElement"]] == [
        "http://status.example/",
        "http://status.example/borders/BY-LT",
        f"http://status.example{HERE}",
    ]
    assert (place["@type"], place["geo"]["@type"]) == ("Place", "GeoCoordinates")
    assert {"Šumskas", "Шумскас"} & {*place["alternateName"]}
    (data,) = linked_data(await head_of(seeded_api, "/"))
    assert data["@type"] == "Dataset"
    for download in data["distribution"]:
        path = download["contentUrl"].removeprefix("http://status.example")
        response = await seeded_api.client.head(path)
        assert response.status_code == 200
        assert response.headers["content-type"].startswith(download["encodingFormat"])


async def test_no_text_ends_the_linked_data(seeded_api: Api) -> None:
    """JSON within HTML: what looks like a tag is escaped."""
    for path in PRESENT:
        for one in re.findall(
            r'<script type="application/ld\+json">(.*?)</script>', await head_of(seeded_api, path)
        ):
            assert "<" not in one
            assert ">" not in one


async def test_the_sitemap_lists_each_page_of_the_present_in_all_languages(
    seeded_api: Api,
) -> None:
    robots = (await seeded_api.client.get("/robots.txt", headers=HOST)).text
    (address,) = re.findall(r"^Sitemap: (.*)$", robots, re.MULTILINE)
    response = await seeded_api.client.get(
        address.removeprefix("http://status.example"), headers=HOST
    )
    assert response.headers["content-type"].startswith("application/xml")
    root = ET.fromstring(response.text)  # noqa: S314 -- ours
    listed = {
        url.findtext("s:loc", namespaces=SITEMAP): url for url in root.findall("s:url", SITEMAP)
    }
    for path in ("/", "/incidents", "/about", HERE, "/borders/BY-LT", STORY):
        url = listed[f"http://status.example{path}"]
        alternates = {
            link.get("hreflang"): link.get("href") for link in url.findall("x:link", SITEMAP)
        }
        assert alternates.keys() == {*LANGUAGES, "x-default"}
        assert alternates["lt"] == f"http://status.example{path}?lang=lt"
    modified = listed[f"http://status.example{HERE}"].findtext("s:lastmod", namespaces=SITEMAP)
    assert modified
    assert len(listed) >= 20
    for address in listed:
        assert address
        path = address.removeprefix("http://status.example")
        assert (await seeded_api.client.head(path)).status_code == 200, path


async def test_robots_leave_the_past_and_the_forms_alone(seeded_api: Api) -> None:
    robots = (await seeded_api.client.get("/robots.txt", headers=HOST)).text
    rules = [
        re.compile(re.escape(rule).replace(r"\*", ".*"))
        for rule in re.findall(r"^Disallow: (.*)$", robots, re.MULTILINE)
    ]

    def is_allowed(path: str) -> bool:
        return not any(rule.match(path) for rule in rules)

    for path in (*PRESENT, f"{HERE}?lang=lt", f"{HERE}?traffic=car"):
        assert is_allowed(path), path
    for path in (*PAST, f"{HERE}?known_at=2024-01-01", f"{HERE}?lang=lt&known_change=4"):
        assert not is_allowed(path), path
    assert not is_allowed("/report?crossing=x")


async def test_phones_can_install_the_pages(seeded_api: Api) -> None:
    head = await head_of(seeded_api, "/")
    (path,) = attribute(head, 'link rel="manifest"', "href")
    response = await seeded_api.client.get(path)
    assert response.headers["content-type"].startswith("application/manifest+json")
    body = response.json()
    assert (body["start_url"], body["display"]) == ("/", "minimal-ui")
    for icon in body["icons"]:
        image = await seeded_api.client.get(icon["src"])
        width, height = (int.from_bytes(image.content[at : at + 4]) for at in (16, 20))
        assert icon["sizes"] == f"{width}x{height}"
    (touch,) = attribute(head, 'link rel="apple-touch-icon"', "href")
    assert (await seeded_api.client.get(touch)).status_code == 200
    moved = await seeded_api.client.get("/apple-touch-icon.png")
    assert (moved.status_code, moved.headers["location"]) == (307, touch)
    assert len(attribute(head, 'meta name="theme-color"', "content")) == 2
