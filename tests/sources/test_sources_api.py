"""Sources over HTTP: where facts come from, never changed."""

import pytest

from tests.api import Api, fields_of, problem


async def test_a_source_is_told_as_it_was_recorded(api: Api) -> None:
    sent = {
        "kind": "official",
        "title": "Points closed from Friday",
        "publisher": "State Border Guard Service",
        "published_at": "2023-08-16T15:30:00+03:00",
        "retrieved_at": "2026-11-24",
        "url": "https://example.org/notice/17?lang=lt",
        "file_name": "notice-17.pdf",
        "sha256": "a" * 64,
        "language": "lt",
        "note": "Read over the phone first",
    }
    posted = await api.post("/v1/sources", sent)
    body = posted.json()

    assert posted.status_code == 201
    assert posted.headers["Location"] == f"/v1/sources/{body['id']}"
    assert body == {
        **sent,
        "published_at": "2023-08-16T12:30:00Z",
        "id": body["id"],
        "change": int(posted.headers["Change-Number"]),
        "recorded_at": body["recorded_at"],
        "recorded_by": "reporter",
    }
    assert (await api.get(posted.headers["Location"])).json() == body


async def test_a_title_is_enough_and_makes_it_an_article(api: Api) -> None:
    body = (await api.post("/v1/sources", {"title": "Heard on the radio"})).json()

    assert body["kind"] == "article"
    assert body["publisher"] is None
    assert body["published_at"] is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("title", ""),
        ("title", None),
        ("title", "x" * 301),
        ("kind", "rumour"),
        ("published_at", "2023-02-30"),
        ("published_at", "2023-08-16T12:00:00"),
        ("published_at", "yesterday"),
        ("url", "ftp://example.org"),
        ("url", "https://example.org/with space"),
        ("url", "javascript:alert(1)"),
        ("sha256", "A" * 64),
        ("sha256", "abc"),
        ("language", "not a language"),
        ("author", "nobody"),
    ],
)
async def test_bad_input_names_the_field(seeded_api: Api, field: str, value: object) -> None:
    response = await seeded_api.post("/v1/sources", {"title": "Fine", field: value})

    assert fields_of(problem(response, 422, "invalid")) == [field]


async def test_a_preview_writes_nothing(api: Api) -> None:
    sources = (await api.get("/v1/sources")).json()
    response = await api.post("/v1/sources", {"title": "Perhaps"}, validate_only="true")

    assert response.status_code == 200
    assert "Location" not in response.headers
    body = response.json()
    assert body["title"] == "Perhaps"
    assert [body["id"], body["change"], body["recorded_at"]] == [None, None, None]
    assert (await api.get("/v1/sources")).json() == sources


async def test_the_list_is_paged_newest_first_and_whole(seeded_api: Api) -> None:
    whole = (await seeded_api.get("/v1/sources", limit=200)).json()["items"]
    paged = []
    address: str | None = "/v1/sources?limit=7"
    while address:
        page = await seeded_api.client.get(address)
        paged += page.json()["items"]
        address = page.json()["next"]
        assert ("Link" in page.headers) == (address is not None)

    assert paged == whole
    changes = [source["change"] for source in whole]
    assert changes == sorted(changes, reverse=True)


async def test_an_unknown_source_is_a_problem(seeded_api: Api) -> None:
    nobody = "00000000-0000-0000-0000-000000000000"

    problem(await seeded_api.get(f"/v1/sources/{nobody}"), 404, "source-not-found")
    problem(await seeded_api.get("/v1/sources/article"), 422, "invalid")
