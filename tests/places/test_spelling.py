"""Finding a crossing by any spelling: what finds which, and what finds nothing."""

import unicodedata
from collections.abc import Iterable
from random import Random

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from app.places.phrases import fold
from app.places.spelling import EXACT, Description, Index, sound
from app.vocabulary import Mode

SPELLINGS = {
    "medininkai-kamienny-loh": [
        "Medininkai", "Miedniki", "Мядининкай", "Каменны Лог", "Каменный Лог", "Kamenyj Log",
        "Kamenny Log", "Kamienny Łoh", "Stone Log", "Медининкай",
    ],
    "salcininkai-bieniakoni": [
        "Šalčininkai", "Soleczniki", "Шальчининкай", "Беняконі", "Бенякони", "Benekainys",
        "Benyakoni",
    ],
    "lavoriskes-katlouka": [
        "Lavoriškės", "Ławaryszki", "Лаворишкес", "Катлоўка", "Котловка", "Kotlovka",
    ],
    "raigardas-pryvalka": ["Raigardas", "Rajgród", "Райгардас", "Прывалка", "Привалка"],
    "sumskas-losa": [
        "Šumskas", "Szumsk", "Шумскас", "Лоша", "Losha", "Loša", "Sumsko", "Shumsky",
    ],
    "tverecius-vidzy": [
        "Tverečius", "Twerecz", "Твярячюс", "Відзы", "Видзы", "Vidzy", "Widze", "Tverecuis",
    ],
    "kena-hudahaj-rail": ["Kena", "Кяна", "Kiena", "Гудагай", "Гудогай", "Gudogai"],
    "kuznica-bruzhi": ["Kuźnica", "Кузница", "Bruzgi", "Брузгі", "Брузги"],
    "kuznica-hrodna-rail": ["Kuźnica Białostocka", "Кузница Белостоцкая", "Гродна", "Grodno"],
    "terespol-brest": ["Terespol", "Тересполь", "Brześć", "Брэст", "Брест", "Brest"],
    "terespol-brest-rail": ["Terespol", "Тересполь", "Brześć", "Брэст", "Брест", "Brest"],
    "paternieki-hryharauscyna": [
        "Pāternieki", "Патерниеки", "Грыгараўшчына", "Григоровщина", "Grigorovshchina",
    ],
    "silene-urbany": ["Silene", "Силене", "Urbany", "Урбаны"],
}  # fmt: skip
INDEX = Index.of({crossing: [crossing, *texts] for crossing, texts in SPELLINGS.items()})

CROSSINGS = st.sampled_from(sorted(SPELLINGS))
NAMED = CROSSINGS.flatmap(
    lambda crossing: st.tuples(st.just(crossing), st.sampled_from([crossing, *SPELLINGS[crossing]]))
)
"""A crossing and one of its spellings."""

TEXT = st.text(st.characters(exclude_categories=["Cs"]))


def score(q: str, spellings: Iterable[str]) -> float | None:
    """Return how well ``q`` names a crossing of these spellings; None if it does not."""
    return Index.of({"": spellings}).find(q).get("")


def best(q: str) -> list[str]:
    """Return the crossings that ``q`` finds with the top score, by id."""
    found = INDEX.find(q)
    return sorted(crossing for crossing in found if found[crossing] == max(found.values()))


@pytest.mark.parametrize(
    ("crossing", "terms"),
    [
        (
            "sumskas-losa",
            (
                "Šumskas,Sumskas,Sumsko,Shumskas,Szumsk,Шумскас,Лоша,Losha,Shumskass,šumskas,SZUMSK,"
                "Losha - Šumskas,Šumskas/Loša,Лоша—Шумскас,sumskas-losa,losa sumskas,Лошу"
            ),
        ),
        (
            "medininkai-kamienny-loh",
            (
                "Medininkai,Мядининкай,Kamenny Log,Каменны Лог,Miedniki,Medininkay,Med,Меди,"
                "Medininkai – Kamenny Log,Kamenny Log Medininkai,log kamenny,kamennylog,Medininkų,"
                "Kamenny L,Medi ninkai,Меднинкай,Log"
            ),
        ),
        ("salcininkai-bieniakoni", "Salcininkai,Salchininkai,Szalczininkaj,Šalčin,Bieniakoni"),
        ("lavoriskes-katlouka", "Lavoriskes,Lavorishkes,Катловка,Katlouka,Kotłówka"),
        ("kuznica-bruzhi", "Bruzhi,Bruzgi,Брузги,Kuźnica Bruzgi"),
        ("paternieki-hryharauscyna", "Paternieki,Grigorovshchina,Grigorovščina,Hryharauscyna"),
        ("tverecius-vidzy", "Tverecuis,Тверячус,Tverecius,Vidzi,Wizdy,Tver"),
        ("kuznica-hrodna-rail", "Grodno,Hrodna,Bialostocka,kuznica rail"),
    ],
)
def test_any_spelling_puts_the_crossing_first(crossing: str, terms: str) -> None:
    for term in terms.split(","):
        assert best(term) == [crossing], term


@pytest.mark.parametrize("q", ["Kuznica", "Kuźnica", "кузница"])
def test_a_whole_name_outranks_a_word_of_a_longer_one(q: str) -> None:
    """The road point is called Kuźnica, the railway's Kuźnica Białostocka."""
    found = INDEX.find(q)

    assert found.keys() == {"kuznica-bruzhi", "kuznica-hrodna-rail"}
    assert found["kuznica-bruzhi"] == EXACT > found["kuznica-hrodna-rail"]


def test_crossings_of_the_same_name_are_found_alike() -> None:
    assert INDEX.find("Brest") == {"terespol-brest": EXACT, "terespol-brest-rail": EXACT}


@pytest.mark.parametrize(
    "q",
    ["xyzzy", "Minsk", "Vilnius", "Belarus", "border", "Lida", "open", "Киев", "q", "Lg", "lqg"],
)
def test_what_is_no_name_finds_nothing(q: str) -> None:
    assert INDEX.find(q) == {}


@pytest.mark.parametrize("q", ["", " ", "–", "!!!", "\u0301", "''", "\u200b"])
def test_nothing_to_look_for_finds_nothing(q: str) -> None:
    assert fold(q) == ""
    assert INDEX.find(q) == {}
    assert score(q, [q, "Losha"]) is None


DESCRIPTIONS = {
    crossing: Description(
        frozenset(["BY", "PL" if crossing[:2] in {"ku", "te"} else "LT"]),
        Mode.RAIL if crossing.endswith("-rail") else Mode.ROAD,
    )
    for crossing in SPELLINGS
}
DESCRIBED = Index.of({one: [one, *texts] for one, texts in SPELLINGS.items()}, DESCRIPTIONS)


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("Šumskas", "Šumskas Lithuania"),
        ("Šumskas", "Lietuva, Šumskas"),
        ("Šumskas", "border crossing Šumskas"),
        ("Šumskas", "Šumskas checkpoint, Lithuania"),
        ("Šumskas", "Šumskas pasienio kontrolės punktas"),
        ("Шумскас", "пункт пропуска Шумскас"),
        ("Шумскас", "пункт пропуску Шумскас, Літва"),
        ("Шумскас", "Шумскас на границе Литвы"),
        ("Brest", "Brest, Belarus"),
        ("Брест", "Брест, Белоруссия"),
        ("Terespol", "przejście graniczne Terespol"),
        ("Terespol", "Terespol Polska"),
        ("Terespol", "granica Terespol"),
    ],
)
def test_words_for_the_country_or_for_any_crossing_find_no_fewer(name: str, more: str) -> None:
    assert DESCRIBED.find(more) == DESCRIBED.find(name) != {}


@pytest.mark.parametrize(
    ("q", "first"),
    [
        ("Terespol rail", "terespol-brest-rail"),
        ("Terespol road", "terespol-brest"),
        ("Terespol kolejowe przejście graniczne", "terespol-brest-rail"),
        ("железнодорожный пункт пропуска Брест", "terespol-brest-rail"),
        ("автомобильный пункт пропуска Брест", "terespol-brest"),
    ],
)
def test_a_word_for_the_mode_puts_the_others_last_and_drops_none(q: str, first: str) -> None:
    found = DESCRIBED.find(q)

    assert found.keys() == {"terespol-brest", "terespol-brest-rail"}
    assert max(found, key=lambda one: found[one]) == first
    assert DESCRIBED.find("Šumskas railway").keys() == {"sumskas-losa"}


def test_a_place_that_is_spelt_almost_like_a_country_is_found_where_it_lies() -> None:
    described = {"polana-rona": Description(frozenset(["RO", "UA"]), Mode.ROAD), **DESCRIPTIONS}
    index = Index.of({"polana-rona": ["Polana"], **SPELLINGS}, described)

    assert "polana-rona" in index.find("Polana")
    assert "polana-rona" not in index.find("Polsce")


def test_another_country_than_its_own_finds_nothing() -> None:
    assert DESCRIBED.find("Šumskas Poland") == {}


def test_a_country_alone_finds_its_crossings_and_what_any_crossing_is_finds_none() -> None:
    assert DESCRIBED.find("Poland").keys() == {
        one for one, described in DESCRIPTIONS.items() if "PL" in described.countries
    }
    assert DESCRIBED.find("railway border crossing Lithuania").keys() == {"kena-hudahaj-rail"}
    assert DESCRIBED.find("border crossing") == {}


@pytest.mark.parametrize(
    ("q", "spelling"),
    [
        ("Riga", "Rygards"),
        ("Riga", "Righards"),
        ("Kraków", "Krakovets"),
        ("Roma", "Loma"),
        ("Siena", "Kiena"),
    ],
)
def test_another_place_that_only_sounds_alike_is_not_found(q: str, spelling: str) -> None:
    assert score(q, [spelling]) is None


def test_every_word_has_to_match() -> None:
    assert INDEX.find("Losha xyzzy") == INDEX.find("Medininkai Losha") == {}


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("Šumskas – Loša", "sumskas losa"),
        ("  ШАЛЬЧИНИНКАЙ!", "shalchininkay"),
        ("Med\u00adinin\u200bkai", "medininkai"),
        ("S\u030cumskas", "sumskas"),
        ("Point №\u00a05 (rail)", "point no 5 rail"),
        ("Ｌｏｓｈａ", "losha"),
    ],
)
def test_folding_leaves_ascii_words(text: str, folded: str) -> None:
    assert fold(text) == folded


@pytest.mark.parametrize(
    "spellings",
    [
        "Šumskas Шумскас Szumskas Shumskass",
        "Bieniakoni Benyakoni Беняконі Бенякони",
        "Katloŭka Катлоўка Котловка Kotlovka",
        "Kazlovičy Козловичи Kozłowiczy Kazlovichy",
        "Кузница Kuznica Kuznitsa",
        "Hrodna Гродно Grodno",
        "Zhitkovichi Житковичи Žitkoviči",
    ],
)
def test_spellings_of_one_name_sound_alike(spellings: str) -> None:
    assert len({sound(fold(spelling)) for spelling in spellings.split()}) == 1


@given(TEXT)
def test_folding_is_idempotent_and_takes_any_text(text: str) -> None:
    folded = fold(text)

    assert fold(folded) == folded
    assert folded.isascii()
    assert folded == " ".join(folded.split())
    assert folded == folded.lower()


@given(st.lists(TEXT), TEXT)
def test_the_score_is_none_or_at_most_exact(spellings: list[str], q: str) -> None:
    found = score(q, spellings)

    assert found is None or 0 < found <= EXACT


@given(st.lists(TEXT, min_size=1))
def test_any_text_with_a_letter_finds_itself(spellings: list[str]) -> None:
    for spelling in spellings:
        assert score(spelling, spellings) == (EXACT if fold(spelling) else None)


@given(NAMED)
def test_every_spelling_finds_its_own_crossing_with_the_top_score(named: tuple[str, str]) -> None:
    crossing, spelling = named

    assert INDEX.find(spelling)[crossing] == EXACT


@given(NAMED, st.randoms(use_true_random=False))
def test_case_accents_separators_and_order_do_not_matter(
    named: tuple[str, str], random: Random
) -> None:
    words = named[1].replace("-", " ").split()
    random.shuffle(words)
    shuffled = random.choice([" ", "-", " – ", "/"]).join(words)
    bare = "".join(c for c in unicodedata.normalize("NFD", shuffled) if c.isascii())

    for q in (shuffled.upper(), shuffled.swapcase(), unicodedata.normalize("NFD", shuffled)):
        assert INDEX.find(q) == INDEX.find(named[1])
    # Some letters are no letter and accent, and have to stay (Cyrillic, the Polish ł).
    if fold(bare).split() == fold(shuffled).split():
        assert INDEX.find(bare) == INDEX.find(named[1])


@given(st.data(), NAMED)
def test_one_slip_in_a_longer_name_still_finds_it(
    data: st.DataObject, named: tuple[str, str]
) -> None:
    """A letter left out, doubled or swapped with the next, in the script it is written in."""
    crossing, name = named
    assume(sum(c.isalpha() for c in name) >= 7)
    i = data.draw(st.integers(0, len(name) - 1))
    slipped = data.draw(
        st.sampled_from(
            [
                name[:i] + name[i + 1 :],
                name[:i] + name[i] + name[i:],
                name[:i] + name[i + 1 : i + 2] + name[i] + name[i + 2 :],
            ]
        )
    )

    assert crossing in INDEX.find(slipped)


@given(CROSSINGS, TEXT)
def test_one_crossing_scores_as_it_does_among_others(crossing: str, q: str) -> None:
    """What else there is changes nobody's score."""
    for text in (q, *SPELLINGS[crossing], crossing[:5]):
        assert score(text, [crossing, *SPELLINGS[crossing]]) == INDEX.find(text).get(crossing)
