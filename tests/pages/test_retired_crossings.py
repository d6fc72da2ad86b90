"""Pages and retired crossings: not offered anywhere, and plainly said where one looks at it."""

from html.parser import HTMLParser

import pytest

from tests.api import MEDININKAI, SUMSKAS, TVERECIUS, Api, citation
from tests.marks import full, in_full

HERE = f"/crossings/{SUMSKAS}"
RETIRED_AT = "2024-03-01T00:00:00Z"
BEFORE = "2024-02-29T00:00:00Z"


class Marked(HTMLParser):
    """The text and the links of the elements with an id."""

    def __init__(self, html: str, element: str) -> None:
        super().__init__()
        self._element, self._depth = element, 0
        self.text, self.links = "", list[str]()
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if self._depth or given.get("id") == self._element:
            self._depth += 1
            if tag == "a":
                self.links.append(str(given["href"]))

    def handle_endtag(self, _: str) -> None:
        self._depth = max(0, self._depth - 1)

    def handle_data(self, data: str) -> None:
        if self._depth:
            self.text += data


async def read(api: Api, path: str, **parameters: str) -> str:
    response = await api.client.get(
        path, params=parameters or None, headers={"Accept": "text/html"}
    )
    assert response.status_code == 200, response.text
    return response.text


async def retire(api: Api, name: str = SUMSKAS, replaced_by: str | None = None) -> int:
    body = {"retired_at": RETIRED_AT, "replaced_by": replaced_by, "citations": [citation()]}
    response = await api.patch(f"/v1/crossings/{name}", body)
    assert response.status_code == 200, response.text
    return int(response.headers["change-number"])


async def banner(api: Api, **parameters: str) -> Marked:
    return Marked(await read(api, HERE, **{"lang": "en", **parameters}), "retired")


# Its own page


@full
@pytest.mark.parametrize(
    ("lang", "said", "successor", "title"),
    [
        (
            "en",
            (
                "This crossing was retired on 1 Mar 2024."
                " Nothing more is recorded about it. Below is its history."
            ),
            "Replaced by: Medininkai – Kamenny Log",
            "Šumskas – Losha: closed (retired)",
        ),
        (
            "lt",
            (
                "2024-03-01 šis punktas išbrauktas iš sąrašo."
                " Apie jį daugiau nieko neregistruojama. Toliau pateikiama jo istorija."
            ),
            "Vietoj jo: Medininkai – Kamenyj Log",
            "Šumskas – Loša: uždaryta (išbrauktas iš sąrašo)",
        ),
        (
            "pl",
            (
                "To przejście skreślono z listy 1 mar 2024."
                " Nic więcej o nim nie zapisujemy. Poniżej jego historia."
            ),
            "Zastąpiło je: Miedniki – Kamienny Łog",
            "Szumsk – Łosza: zamknięte (skreślone z listy)",
        ),
        (
            "ru",
            (
                "1 мар. 2024 г. этот пункт пропуска исключён из списка."
                " О нём больше ничего не записывается. Ниже — его история."
            ),
            "Вместо него: Мядининкай – Каменный Лог",
            "Шумскас – Лоша: закрыто (исключён из списка)",
        ),
        (
            "be",
            (
                "1 сак 2024 г. гэты пункт пропуску выключаны са спіса."
                " Пра яго больш нічога не запісваецца. Ніжэй — яго гісторыя."
            ),
            "Замест яго: Меднікі – Каменны Лог",
            "Шумск – Лоша: закрыта (выключаны са спіса)",
        ),
    ],
)
async def test_it_says_so_and_leads_to_its_successor(
    api: Api, lang: str, said: str, successor: str, title: str
) -> None:
    await retire(api, replaced_by=MEDININKAI)

    page = await read(api, HERE, lang=lang)

    told = Marked(page, "retired")
    lines = [" ".join(line.split()) for line in told.text.strip().splitlines() if line.strip()]
    assert lines == [said, successor]
    assert told.links == [f"/crossings/{MEDININKAI}?lang={lang}"]
    assert f"<title>{title} · Crossing Status</title>" in page


async def test_it_still_shows_its_answer_and_its_history(api: Api) -> None:
    await retire(api)

    page = await read(api, HERE)

    assert 'id="history"' in page
    assert 'class="event"' in page
    assert "answer-closed" in page


async def test_without_a_successor_it_leads_nowhere(api: Api) -> None:
    await retire(api)

    assert (await banner(api)).links == []


async def test_it_leads_to_what_replaced_its_successor_since(api: Api) -> None:
    """Also from the page as it was: to what is in its place, as known then."""
    await retire(api, replaced_by=TVERECIUS)
    then = await retire(api, MEDININKAI)
    await retire(api, TVERECIUS, replaced_by="lavoriskes-katlouka")

    assert (await banner(api)).links == ["/crossings/lavoriskes-katlouka?lang=en"]
    assert (await banner(api, known_change=str(then))).links == [f"/crossings/{TVERECIUS}?lang=en"]


async def test_as_known_before_it_was_not_retired(api: Api) -> None:
    change = await retire(api)

    assert (await banner(api, known_change=str(change - 1))).text == ""
    assert (await banner(api, at=BEFORE)).text != ""


async def test_nothing_is_to_be_reported_there(api: Api) -> None:
    assert "/report?" in await read(api, HERE)

    await retire(api)

    assert "/report?" not in await read(api, HERE)


async def test_its_badge_says_no_status(api: Api) -> None:
    await retire(api)

    badge = (await api.client.get(f"/badges/{SUMSKAS}.svg?lang=en")).text

    assert 'aria-label="Šumskas – Losha: retired"' in badge
    assert "stroke-dasharray" in badge  # the mark of what is unknown


# Where it is not offered


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/map.json",
        "/borders/BY-LT",
        *in_full(
            "/?q=Šumskas",
            "/?border=BY-LT&traffic=car",
            "/?at=2024-06-01",
            "/map.json?at=2024-06-01",
            "/borders/BY-LT?at=2024-06-01",
        ),
    ],
)
async def test_lists_and_the_map_leave_it_out_unless_they_are_asked_for_it(
    api: Api, path: str
) -> None:
    assert SUMSKAS in await read(api, path)

    await retire(api)

    asked = f"{path}{'&' if '?' in path else '?'}retired="
    assert SUMSKAS not in await read(api, path)
    assert SUMSKAS not in await read(api, asked)
    assert SUMSKAS in await read(api, f"{asked}true")


@pytest.mark.parametrize("path", ["/?at=2024-02-28", "/borders/BY-LT?at=2024-02-28"])
async def test_lists_of_an_instant_before_it_was_retired_have_it(api: Api, path: str) -> None:
    await retire(api)

    assert SUMSKAS in await read(api, path)


@pytest.mark.parametrize("path", ["/", "/borders/BY-LT", f"/map/{SUMSKAS}"])
async def test_where_it_is_listed_it_is_marked(api: Api, path: str) -> None:
    """The card of the map is for one crossing, and tells of it in any case."""
    parameters = {} if path.startswith("/map") else {"retired": "true"}
    before = await read(api, path, **parameters, lang="en")

    await retire(api)

    mark = '<strong>retired on <time datetime="2024-03-01">1 Mar 2024</time></strong>'
    assert mark not in before
    assert mark in await read(api, path, **parameters, lang="en")


async def test_the_filter_offers_retired_crossings(api: Api) -> None:
    unchecked = '<input type="checkbox" name="retired" value="true">'

    assert unchecked in await read(api, "/")
    assert unchecked.replace(">", " checked>") in await read(api, "/?retired=true")


@pytest.mark.parametrize("path", [f"/crossings/{MEDININKAI}", "/crossings/lavoriskes-katlouka"])
async def test_it_is_nobodys_alternative(api: Api, path: str) -> None:
    await api.declare(status="open", sides=["LT", "BY"])
    assert SUMSKAS in alternatives_in(await read(api, path))

    await retire(api)

    assert SUMSKAS not in alternatives_in(await read(api, path))


def alternatives_in(page: str) -> str:
    return page.partition('id="alternatives"')[2].partition('id="history"')[0]


@pytest.mark.parametrize("action", ["declare", "confirm"])
async def test_it_is_not_offered_in_the_report(api: Api, action: str) -> None:
    path = f"/report?action={action}&crossing={SUMSKAS}"
    assert f'value="{SUMSKAS}"' in await read(api, path)

    await retire(api)

    assert f'value="{SUMSKAS}"' not in await read(api, path)


async def test_a_border_of_retired_crossings_alone_is_not_offered_in_the_report(api: Api) -> None:
    before = await read(api, "/report?lang=en")
    for name in ("paternieki-hryharauscyna", "silene-urbany"):
        await retire(api, name)

    after = await read(api, "/report?lang=en")

    assert "<legend>Belarus – Latvia</legend>" in before
    assert "<legend>Belarus – Latvia</legend>" not in after
    assert (await api.client.get("/borders/BY-LV")).status_code == 200
