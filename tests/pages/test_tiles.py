"""Tiles under the map, which are an operator's choice."""

import pytest
from pydantic import ValidationError

from app.config import Settings
from tests.conftest import Database


async def test_only_their_host_is_asked_and_only_for_images(seeded: Database) -> None:
    """Without one, no other host is ever asked; with one, images of that host alone."""
    address = "https://tiles.example/{z}/{x}/{y}.png"
    async with seeded.api(tile_url=address, tile_attribution="Somebody & co") as api:
        page = await api.client.get("/", headers={"Accept": "text/html"})
    async with seeded.api() as api:
        plain = await api.client.get("/", headers={"Accept": "text/html"})

    policy = page.headers["content-security-policy"]
    assert "img-src 'self' https://tiles.example data:;" in policy
    assert f'data-tiles="{address}" data-tiles-by="Somebody &amp; co"' in page.text
    assert "img-src 'self' data:;" in plain.headers["content-security-policy"]
    assert "data-tiles" not in plain.text


@pytest.mark.parametrize(
    "address",
    [
        "tiles.example/{z}",
        "javascript://tiles.example/x",
        "https://a; script-src *; /x",
        "https://",
    ],
)
def test_an_address_that_would_open_more_than_images_is_refused(address: str) -> None:
    with pytest.raises(ValidationError):
        Settings.model_validate({"tile_url": address})
