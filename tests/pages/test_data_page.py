"""The page about the data: what there is, what it means, and how to cite it."""

import re

import pytest

from app.languages.languages import LANGUAGES
from app.pages.data.downloads import DOWNLOADS, TABLES, File
from tests.api import Api
from tests.pages.test_discovery import HOST, linked_data

FILES = [file for download in DOWNLOADS for file in download.files]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.path)
async def test_every_download_is_there_as_it_is_announced(seeded_api: Api, file: File) -> None:
    page = (await seeded_api.client.get("/data")).text
    response = await seeded_api.client.head(file.path)

    assert f'href="{file.path}" type="{file.media_type}"' in page
    assert response.status_code == 200
    assert response.headers["content-type"].startswith(file.media_type)


def test_every_column_of_every_table_is_explained_once() -> None:
    for download in TABLES:
        assert download.table is not None
        explained = [column for meaning in download.meanings for column in meaning.columns]
        assert sorted(explained) == sorted(download.table.columns)


async def test_every_feed_that_the_api_lists_is_on_it(seeded_api: Api) -> None:
    listed = (await seeded_api.get("/v1")).json()["feeds"]

    assert {f"/feeds/{feed['name']}" for feed in listed} <= {file.path for file in FILES}


async def test_a_citation_names_the_state_of_the_log_that_it_leads_to(seeded_api: Api) -> None:
    page = (await seeded_api.client.get("/data", headers=HOST)).text
    text, bibtex = re.findall(r'<code lang="en">(.*?)</code>', page, re.DOTALL)
    (address,) = {*re.findall(r"http://[^ }]+", text), *re.findall(r"http://[^ }]+", bibtex)}

    assert "as of change" in text
    assert bibtex.startswith("@misc{crossing-status-")
    export = await seeded_api.client.get(address.removeprefix("http://status.example"))
    assert export.status_code == 200
    assert export.headers["change-number"] == address.rpartition("=")[2]


async def test_search_engines_find_the_licence_and_all_files(seeded_api: Api) -> None:
    page = (await seeded_api.client.get("/data", headers=HOST)).text
    (dataset,) = linked_data(page)
    licence = dataset["license"].removeprefix(f"{dataset['url']}#")

    assert f'id="{licence}"' in page
    assert len(dataset["distribution"]) > 10
    assert {file["encodingFormat"] for file in dataset["distribution"]} >= {
        "text/csv",
        "application/geo+json",
    }


@pytest.mark.parametrize("lang", LANGUAGES)
async def test_every_page_leads_to_it(seeded_api: Api, lang: str) -> None:
    page = (await seeded_api.client.get(f"/about?lang={lang}")).text

    assert f'href="/data?lang={lang}"' in page
