"""Search for crossings by any spelling: words folded to ASCII, and their similarity. Pure."""

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

# A match of letters outranks one of sounds; neither is a match of the whole spelling.
_SPELT, _SOUNDING = 99.0, 95.0

# A match of the country or the mode alone; and a crossing of another mode than the query names.
_DESCRIBED, _OF_ANOTHER_MODE = 50.0, 0.5

# Letters that a word needs for one typing error and for two: shorter words match too much.
_ENOUGH_FOR_A_SLIP = (4, 8)
_ENOUGH_FOR_ANOTHER_INITIAL = 6
"""Letters that a word needs for an error in its first (Siena and Kiena are two words)."""

_DIGRAPHS = re.compile(r"[sc][hz]|[zk]h|t[sz]")
_INITIALS = {"t": "c", "k": "h"}
_LETTERS = str.maketrans("gwyjo", "hviia")
_GLIDE = re.compile(r"i+(?=[aeu])")
_REPEATED = re.compile(r"(.)\1+")


def sound(word: str) -> str:
    """Reduce a folded word so that its Baltic, Polish, Russian and Belarusian spellings are equal.

    One letter for each sound (sz, sh and s; cz, ch, ts and c; zh and z; g, kh and h; w and v;
    y, j and i), o like a as Belarusian writes it, its short u like v, no i before a vowel
    (Bieniakoni, Benyakoni), no letter twice.
    """
    word = _DIGRAPHS.sub(lambda digraph: _INITIALS.get(digraph[0][0], digraph[0][0]), word)
    word = word.translate(_LETTERS).replace("au", "av")
    return _REPEATED.sub(r"\1", _GLIDE.sub("", word))


@dataclass(frozen=True, slots=True)
class _Words:
    """The words of all spellings in one form, with the crossings that have them."""

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
        """Yield the words similar to ``word`` with their similarity: 1 is the word itself.

        With ``begun`` also those that begin with it.
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
    """What a search may name of a crossing besides its name."""

    countries: frozenset[str]
    mode: Mode


@dataclass(frozen=True, slots=True)
class Index:
    """The spellings of many crossings, folded once."""

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
        """Index the spellings of each crossing; its id counts only if it is one of them."""
        whole: defaultdict[tuple[str, ...], set[str]] = defaultdict(set)
        spelt: defaultdict[str, set[str]] = defaultdict(set)
        sounding: defaultdict[str, set[str]] = defaultdict(set)
        for crossing, texts in spellings.items():
            for words in {tuple(fold(text).split()) for text in texts} - {()}:
                whole[tuple(sorted(words))].add(crossing)
                # As one word, too: a space may be missing or misplaced.
                for word in {*words, "".join(words)}:
                    spelt[word].add(crossing)
                    sounding[sound(word)].add(crossing)
        described = dict(descriptions or {})
        countries = frozenset(code for one in described.values() for code in one.countries)
        return cls(dict(whole), _Words.of(spelt), _Words.of(sounding), described, countries)

    def find(self, q: str) -> dict[str, float]:
        """Return the score of each crossing that matches ``q``: above 0 and up to ``EXACT``.

        Every word of ``q`` must be a word of the crossing, begin one, or differ from one by one or
        two typing errors; the words may come from different spellings. But a country's name must
        only be true of the crossing, a mode puts crossings of other modes last, and words that
        apply to any crossing are ignored.
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
        # What looks like a case of a country's name may be a place: Polana is not Poland.
        is_exact = word in self.spelt.owners
        return frozenset(
            code for code in self.countries if names_country(word, code, is_exact=is_exact)
        )

    def _is_of(self, crossing: str, modes: Collection[Mode]) -> bool:
        """Return whether a crossing has one of the modes; without modes, any crossing does."""
        one = self.descriptions.get(crossing)
        return not modes or one is None or one.mode in modes

    def _described(self, modes: Collection[Mode]) -> dict[str, float]:
        return dict.fromkeys(
            (one for one in self.descriptions if self._is_of(one, modes)), _DESCRIBED
        )

    def _named(self, words: list[str], names: list[str]) -> dict[str, float]:
        """Score the crossings that have all of ``names``, or all of either list as one word."""
        found = self._with_all(names)
        for joined in {"".join(words), "".join(names)} - {*names, ""}:
            for crossing, nearness in self._with(joined).items():
                found[crossing] = max(nearness, found.get(crossing, 0.0))
        return found | dict.fromkeys(self.spellings.get(tuple(sorted(names)), ()), EXACT)

    def _with_all(self, words: list[str]) -> dict[str, float]:
        """Score the crossings that have all of ``words``, by the mean over their letters."""
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
        # An unfinished word is compared by its letters alone: a beginning that only sounds alike
        # is of another name (Riga, Rygards).
        for words, form, top, begun in (
            (self.spelt, word, _SPELT, True),
            (self.sounding, sound(word), _SOUNDING, False),
        ):
            for other, nearness in words.near(form, begun=begun):
                for crossing in words.owners[other]:
                    best[crossing] = max(top * nearness, best.get(crossing, 0.0))
        return best
