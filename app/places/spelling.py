"""Finding a crossing by any spelling: words folded to ASCII, and how near they are. Pure."""

import re
import unicodedata
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from anyascii import anyascii
from rapidfuzz.distance import OSA
from rapidfuzz.process import extract_iter

EXACT = 100.0
"""The score of a query that is one of the spellings, whatever its case, accents and word order."""

# A word met as it is spelt outranks one that only sounds alike; neither is a whole spelling.
_SPELT, _SOUNDING = 99.0, 95.0

# Letters a word must have for one slip and for two: a shorter one slips into any other.
_ENOUGH_FOR_A_SLIP = (4, 8)

_DIGRAPHS = re.compile(r"[sc][hz]|[zk]h|t[sz]")
_INITIALS = {"t": "c", "k": "h"}
_LETTERS = str.maketrans("gwyjo", "hviia")
_GLIDE = re.compile(r"i+(?=[aeu])")
_REPEATED = re.compile(r"(.)\1+")
# They stand for soft signs within words.
_APOSTROPHES = str.maketrans("", "", "'`")


def fold(text: str) -> str:
    """Return the lower-case ASCII words of ``text``, in order, separated by single spaces."""
    ascii_text = anyascii(unicodedata.normalize("NFKC", text)).translate(_APOSTROPHES)
    return " ".join(re.findall("[a-z0-9]+", ascii_text.lower()))


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

    def near(self, word: str) -> Iterator[tuple[str, float]]:
        """Yield the words like ``word`` with how near they are: 1 is the word itself."""
        slips = sum(len(word) >= enough for enough in _ENOUGH_FOR_A_SLIP)
        for length in range(len(word) - slips, len(word) + slips + 1) if slips else ():
            others = self.by_length.get(length, ())
            for other, distance, _ in extract_iter(
                word, others, scorer=OSA.distance, score_cutoff=slips
            ):
                yield other, 0.9 * (1 - distance / len(word))
        start, end = (bisect_left(self.ordered, bound) for bound in (word, word + "\x7f"))
        for other in self.ordered[start:end]:
            yield other, 1.0 if other == word else 0.7 + 0.2 * len(word) / len(other)


@dataclass(frozen=True, slots=True)
class Index:
    """The spellings of many crossings, folded once: to be kept for as long as they hold."""

    spellings: Mapping[tuple[str, ...], set[str]]
    spelt: _Words
    sounding: _Words

    @classmethod
    def of(cls, spellings: Mapping[str, Iterable[str]]) -> "Index":
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
        return cls(dict(whole), _Words.of(spelt), _Words.of(sounding))

    def find(self, q: str) -> dict[str, float]:
        """Return the score of each crossing that matches ``q``, above 0 up to ``EXACT``.

        Every word of ``q`` has to be, to begin or to be a slip or two away from a word of the
        crossing; the words of a pair may come from different spellings.
        """
        words = fold(q).split()
        found = self._with_all(words)
        if len(words) > 1:
            for crossing, nearness in self._with("".join(words)).items():
                found[crossing] = max(nearness, found.get(crossing, 0.0))
        return found | dict.fromkeys(self.spellings.get(tuple(sorted(words)), ()), EXACT)

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
        for words, form, top in (
            (self.spelt, word, _SPELT),
            (self.sounding, sound(word), _SOUNDING),
        ):
            for other, nearness in words.near(form):
                for crossing in words.owners[other]:
                    best[crossing] = max(top * nearness, best.get(crossing, 0.0))
        return best
