"""A retired crossing in a browser: its page, and the list in which it is shown when asked for."""

import pytest

from tests import clients
from tests.api import MEDININKAI, SUMSKAS, citation
from tests.marks import full
from tests.pages.conftest import VIEWS, LookAt
from tests.servers import ThreadedService

pytestmark = full


@pytest.fixture(scope="module", autouse=True)
def retired(served: ThreadedService, key: str) -> None:
    answer = clients.patch(
        f"{served.url}/v1/crossings/{SUMSKAS}",
        json={
            "retired_at": "2024-03-01T00:00:00Z",
            "replaced_by": MEDININKAI,
            "citations": [citation()],
        },
        headers={"Authorization": f"Bearer {key}"},
    )
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(("size", "scheme"), VIEWS)
@pytest.mark.parametrize(
    "path", [f"/crossings/{SUMSKAS}", "/borders/BY-LT?retired=true", "/?retired=true"]
)
def test_it_is_accessible_and_fits(look: LookAt, size: str, scheme: str, path: str) -> None:
    window = look(size, scheme)
    window.open(path)

    window.assert_presentable()


def test_its_page_leads_to_its_successor(look: LookAt) -> None:
    page = look().open(f"/crossings/{SUMSKAS}?lang=en")

    page.get_by_role("note").get_by_role("link", name="Medininkai").click()

    assert page.url.endswith(f"/crossings/{MEDININKAI}?lang=en")


def test_the_map_shows_it_when_the_filter_asks_for_it(look: LookAt) -> None:
    window = look()
    page = window.open("/?lang=en")
    shown = page.locator(f"#{SUMSKAS}")
    assert shown.count() == 0

    page.get_by_text("Filter", exact=True).click()
    page.get_by_label("Show retired crossings").check()
    window.wait_until(lambda: shown.count() == 1)

    assert "retired=true" in page.url
    assert "retired on 1 Mar 2024" in shown.inner_text()
    page.get_by_label("Show retired crossings").uncheck()
    window.wait_until(lambda: shown.count() == 0)
