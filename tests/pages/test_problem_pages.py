"""What went wrong, as a page: in the reader's language, and how to mend it."""

import pytest

from tests.api import SUMSKAS
from tests.pages.conftest import Get


def test_what_is_wrong_with_an_address_is_told_in_the_readers_language(get: Get) -> None:
    page = get("/?at=foo&traffic=tram&lang=ru").text

    assert "<code>at</code>: укажите дату или дату и время UTC" in page
    assert "<code>traffic</code>: уберите или выберите" in page
    assert "must be" not in page


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/crossings/nowhere", "Punkto tokiu adresu nežinome."),
        ("/borders/AA-BB", "Sienos tokiu adresu neturime."),
        ("/nowhere", "Šiuo adresu nieko nėra."),
        (f"/crossings/{SUMSKAS}?known_at=2099-01-01T00:00:00Z", "nurodykite praėjusią datą"),
        (f"/crossings/{SUMSKAS}?known_change=99999999", "nurodykite esamo pakeitimo numerį"),
    ],
)
def test_no_detail_is_left_in_english(get: Get, path: str, told: str) -> None:
    page = get(f"{path}{'&' if '?' in path else '?'}lang=lt").text

    assert told in page
    main = page[page.index("<main") : page.index("</main>")]
    assert "There is" not in main
    assert 'lang="en"' not in main
