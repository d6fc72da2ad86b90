"""Finding a crossing by any spelling: words folded to ASCII, and how near they are. Pure."""

import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from rapidfuzz.distance import OSA
from rapidfuzz.process import extract_iter

from app.places.phrases import fold, is_generic, mode_of, names_country
from app.vocabulary import Mode

EXACT = 100.0
"""The score of a query that is one of the spellings, whatever its case, accents and word order."""

# A word met as it is spelt outranks one that only sounds alike; neither is a whole spelling.
_SPELT, _SOUNDING = 99.0, 95.0

# What only says where or of which kind it is; and one of another kind than was asked for.
_DESCRIBED, _OF_ANOTHER_MODE = 50.0, 0.5

# Letters a word must have for one slip and for two: a shorter one slips into any other.
_ENOUGH_FOR_A_SLIP = (4, 8)
_ENOUGH_FOR_ANOTHER_INITIAL = 6
"""Letters of a word whose first may be the slip: shorter ones are other words (Siena, Kiena)."""

_DIGRAPHS = re.compile(r"[sc][hz]|[zk]h|t[sz]")
_INITIALS = {"t": "c", "k": "h"}
_LETTERS = str.maketrans("gwyjo", "hviia")
_GLIDE = re.compile(r"i+(?=[aeu])")
_REPEATED = re.compile(r"(.)\1+")


def sound(word: str) -> str:
    """Squeeze a folded word until Baltic, Polish, Russian and Belarusian spellings of it meet.

    One letter for each sound (sz, sh and s; cz, ch, ts and c; zh and z; g, kh and h; w and v;
    y, j and i), o like a as Belarusian writes it, its short u like v, no i before a vowel
    (Bieniakoni, Benyakoni), no letter twice.
    """
    word = _DIGRAPHS.sub(lambda digraph: _INITIALS.get(digraph[0][0], digraph[0][0]), word)
    word = word.translate(_LETTERS).replace("au", "av")
    return _REPEATED.sub(r"\1", _GLIDE.sub("", word))


@dataclass(frozen=True, slots=True)
class _Words:
    """The words of every spelling in one form, and whose they are."""

    owners: Mapping[str, set[str]]
    ordered: list[str]
    by_length: Mapping[int, list[str]]

    @classmethod
    def of(cls, owners: Mapping[str, set[str]]) -> "_Words":
        by_length: defaultdict[int, list[str]] = defaultdict(list)
        for word in owners:
            by_length[len(word)].append(word)
        return cls(dict(owners), sorted(owners), dict(by_length))

    def near(self, word: str, *, begun: bool) -> Iterator[tuple[str, float]]:
        """Yield the words like ``word`` with how near they are: 1 is the word itself.

        With ``begun`` those too that it begins.
        """
        slips = sum(len(word) >= enough for enough in _ENOUGH_FOR_A_SLIP)
        for length in range(len(word) - slips, len(word) + slips + 1) if slips else ():
            others = self.by_length.get(length, ())
            for other, distance, _ in extract_iter(
                word, others, scorer=OSA.distance, score_cutoff=slips
            ):
                if len(word) >= _ENOUGH_FOR_ANOTHER_INITIAL or word[0] == other[0]:
                    yield other, 0.9 * (1 - distance / len(word))
        if not begun:
            if word in self.owners:
                yield word, 1.0
            return
        start, end = (bisect_left(self.ordered, bound) for bound in (word, word + "\x7f"))
        for other in self.ordered[start:end]:
            yield other, 1.0 if other == word else 0.7 + 0.2 * len(word) / len(other)


@dataclass(frozen=True, slots=True)
class Description:
    """What a search may say of a crossing besides its name."""

    countries: frozenset[str]
    mode: Mode


@dataclass(frozen=True, slots=True)
class Index:
    """The spellings of many crossings, folded once: to be kept for as long as they hold."""

    spellings: Mapping[tuple[str, ...], set[str]]
    spelt: _Words
    sounding: _Words
    descriptions: Mapping[str, Description] = field(default_factory=dict)
    countries: frozenset[str] = frozenset()
    """Of all crossings."""

    @classmethod
    def of(
        cls,
        spellings: Mapping[str, Iterable[str]],
        descriptions: Mapping[str, Description] | None = None,
    ) -> "Index":
        """Index the spellings by crossing; its id is a spelling only if it is among them."""
        whole: defaultdict[tuple[str, ...], set[str]] = defaultdict(set)
        spelt: defaultdict[str, set[str]] = defaultdict(set)
        sounding: defaultdict[str, set[str]] = defaultdict(set)
        for crossing, texts in spellings.items():
            for words in {tuple(fold(text).split()) for text in texts} - {()}:
                whole[tuple(sorted(words))].add(crossing)
                # Written as one word too: a space may be left out, or slip.
                for word in {*words, "".join(words)}:
                    spelt[word].add(crossing)
                    sounding[sound(word)].add(crossing)
        described = dict(descriptions or {})
        countries = frozenset(code for one in described.values() for code in one.countries)
        return cls(dict(whole), _Words.of(spelt), _Words.of(sounding), described, countries)

    def find(self, q: str) -> dict[str, float]:
        """Return the score of each crossing that matches ``q``, above 0 up to ``EXACT``.

        Every word of ``q`` has to be, to begin or to be a slip or two away from a word of the
        crossing; the words of a pair may come from different spellings. But what names a country
        only has to be true of the crossing, what names a mode puts others last, and what is said
        of any crossing is ignored.
        """
        words = fold(q).split()
        countries = [codes for word in words if (codes := self._countries_named(word))]
        modes = {mode for word in words if self.descriptions and (mode := mode_of(word))}
        names = [
            word
            for word in words
            if not (is_generic(word) or mode_of(word) in modes or self._countries_named(word))
        ]
        found = self._named(words, names or words)
        if not names and (countries or modes):
            found = self._described(modes) | found
        found = {
            crossing: score * (1 if self._is_of(crossing, modes) else _OF_ANOTHER_MODE)
            for crossing, score in found.items()
            if all(codes & self.descriptions[crossing].countries for codes in countries)
        }
        return found | dict.fromkeys(self.spellings.get(tuple(sorted(words)), ()), EXACT)

    def _countries_named(self, word: str) -> frozenset[str]:
        # What is spelt like a case of a country's name may be a place: Polana is not Poland.
        is_exact = word in self.spelt.owners
        return frozenset(
            code for code in self.countries if names_country(word, code, is_exact=is_exact)
        )

    def _is_of(self, crossing: str, modes: Collection[Mode]) -> bool:
        """Tell whether a crossing is of one of the modes; any is of none that is named."""
        one = self.descriptions.get(crossing)
        return not modes or one is None or one.mode in modes

    def _described(self, modes: Collection[Mode]) -> dict[str, float]:
        return dict.fromkeys(
            (one for one in self.descriptions if self._is_of(one, modes)), _DESCRIBED
        )

    def _named(self, words: list[str], names: list[str]) -> dict[str, float]:
        """Score the crossings that have all of ``names``, or are spelt as all of either in one."""
        found = self._with_all(names)
        for joined in {"".join(words), "".join(names)} - {*names, ""}:
            for crossing, nearness in self._with(joined).items():
                found[crossing] = max(nearness, found.get(crossing, 0.0))
        return found | dict.fromkeys(self.spellings.get(tuple(sorted(names)), ()), EXACT)

    def _with_all(self, words: list[str]) -> dict[str, float]:
        """Score the crossings that have all of ``words``: the mean of their letters."""
        found: dict[str, float] = {}
        read = 0
        for word in dict.fromkeys(words):
            scores = self._with(word)
            found = {
                crossing: (found.get(crossing, 0.0) * read + score * len(word)) / (read + len(word))
                for crossing, score in scores.items()
                if crossing in found or not read
            }
            read += len(word)
            if not found:
                break
        return found

    def _with(self, word: str) -> dict[str, float]:
        best: dict[str, float] = {}
        # One who is still typing writes as it is spelt; what only sounds like a beginning is
        # another name: Riga is not Rygards.
        for words, form, top, begun in (
            (self.spelt, word, _SPELT, True),
            (self.sounding, sound(word), _SOUNDING, False),
        ):
            for other, nearness in words.near(form, begun=begun):
                for crossing in words.owners[other]:
                    best[crossing] = max(top * nearness, best.get(crossing, 0.0))
        return best
