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
"""The score of a query that equals a spelling, apart from case, accents and word order."""

# A match of letters ranks above one of sounds; both rank below a match of a whole spelling.
_SPELT, _SOUNDING = 99.0, 95.0

# A match of only the country or mode; the factor for crossings of another mode than the query.
_DESCRIBED, _OF_ANOTHER_MODE = 50.0, 0.5

# How many letters a word needs to allow for one error and for two: short words match too much.
_LETTERS_PER_ERROR = (4, 8)
_LETTERS_FOR_INITIAL_ERROR = 6
"""How many letters a word needs to allow for an error in the first (Siena is not Kiena)."""

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
        """Yield the words similar to ``word`` with their similarity, up to 1 for the word itself.

        With ``begun`` also the words that begin with it.
        """
        slips = sum(len(word) >= enough for enough in _LETTERS_PER_ERROR)
        for length in range(len(word) - slips, len(word) + slips + 1) if slips else ():
            others = self.by_length.get(length, ())
            for other, distance, _ in extract_iter(
                word, others, scorer=OSA.distance, score_cutoff=slips
            ):
                if len(word) >= _LETTERS_FOR_INITIAL_ERROR or word[0] == other[0]:
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
    """What a query may contain besides the name of a crossing."""

    countries: frozenset[str]
    mode: Mode


@dataclass(frozen=True, slots=True)
class Index:
    """The index of the folded spellings of crossings."""

    spellings: Mapping[tuple[str, ...], set[str]]
    spelt: _Words
    sounding: _Words
    descriptions: Mapping[str, Description] = field(default_factory=dict)
    countries: frozenset[str] = frozenset()
    """The countries of all crossings."""

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
                # Also joined into one word, because a space may be missing or misplaced.
                for word in {*words, "".join(words)}:
                    spelt[word].add(crossing)
                    sounding[sound(word)].add(crossing)
        described = dict(descriptions or {})
        countries = frozenset(
            code for description in described.values() for code in description.countries
        )
        return cls(dict(whole), _Words.of(spelt), _Words.of(sounding), described, countries)

    def find(self, q: str) -> dict[str, float]:
        """Return the score of each crossing that matches ``q``: above 0 and up to ``EXACT``.

        Every word of ``q`` must be a word of the crossing, begin one, or differ from one by one or
        two typing errors; the words may come from different spellings. But a country's name must
        only be true of the crossing, a mode puts crossings of other modes last, and words that
        apply to any crossing are ignored.
        """
        words = fold(q).split()
        countries = [codes for word in words if (codes := self._countries_called(word))]
        modes = {mode for word in words if self.descriptions and (mode := mode_of(word))}
        names = [
            word
            for word in words
            if not (is_generic(word) or mode_of(word) in modes or self._countries_called(word))
        ]
        scores = self._scores_by_name(words, names or words)
        if not names and (countries or modes):
            scores = self._scores_by_description(modes) | scores
        scores = {
            crossing: score * (1 if self._has_mode(crossing, modes) else _OF_ANOTHER_MODE)
            for crossing, score in scores.items()
            if all(codes & self.descriptions[crossing].countries for codes in countries)
        }
        return scores | dict.fromkeys(self.spellings.get(tuple(sorted(words)), ()), EXACT)

    def _countries_called(self, word: str) -> frozenset[str]:
        # A word that looks like a form of a country's name may be a place: Polana is not Poland.
        is_exact = word in self.spelt.owners
        return frozenset(
            code for code in self.countries if names_country(word, code, is_exact=is_exact)
        )

    def _has_mode(self, crossing: str, modes: Collection[Mode]) -> bool:
        """Return whether a crossing has one of the modes; without modes, any crossing does."""
        description = self.descriptions.get(crossing)
        return not modes or description is None or description.mode in modes

    def _scores_by_description(self, modes: Collection[Mode]) -> dict[str, float]:
        return dict.fromkeys(
            (crossing for crossing in self.descriptions if self._has_mode(crossing, modes)),
            _DESCRIBED,
        )

    def _scores_by_name(self, words: list[str], names: list[str]) -> dict[str, float]:
        """Score the crossings that have all of ``names``, or all of either list as one word."""
        scores = self._scores_of_all(names)
        for joined in {"".join(words), "".join(names)} - {*names, ""}:
            for crossing, nearness in self._scores_of(joined).items():
                scores[crossing] = max(nearness, scores.get(crossing, 0.0))
        return scores | dict.fromkeys(self.spellings.get(tuple(sorted(names)), ()), EXACT)

    def _scores_of_all(self, words: list[str]) -> dict[str, float]:
        """Score the crossings that have all of ``words``, by the mean over their letters."""
        totals: dict[str, float] = {}
        letters = 0
        for word in dict.fromkeys(words):
            scores = self._scores_of(word)
            totals = {
                crossing: (totals.get(crossing, 0.0) * letters + score * len(word))
                / (letters + len(word))
                for crossing, score in scores.items()
                if crossing in totals or not letters
            }
            letters += len(word)
            if not totals:
                break
        return totals

    def _scores_of(self, word: str) -> dict[str, float]:
        best: dict[str, float] = {}
        # Beginnings are compared only by letters, because names that begin with similar sounds
        # differ (Riga, Rygards).
        for words, form, top, begun in (
            (self.spelt, word, _SPELT, True),
            (self.sounding, sound(word), _SOUNDING, False),
        ):
            for other, nearness in words.near(form, begun=begun):
                for crossing in words.owners[other]:
                    best[crossing] = max(top * nearness, best.get(crossing, 0.0))
        return best
