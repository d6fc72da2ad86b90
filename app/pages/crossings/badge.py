"""The widths of the parts of a badge, which an image cannot measure. Pure."""

from dataclasses import dataclass

from app.vocabulary import Status

_NARROW = frozenset("iljtfrI .,:;'|!()-–")
_WIDE = frozenset("mwMWшщюмжфыШЩЮМЖФЫ")
_GAP = 8
_MARK = 14


def _width(text: str) -> int:
    """Return the approximate width of a text in pixels at size 11; the image makes it fit."""
    letters = sum(
        4.0 if character in _NARROW else 9.5 if character in _WIDE else 6.7 for character in text
    )
    return round(letters)


@dataclass(frozen=True, slots=True)
class Badge:
    """A name, and a status with its word, in two fields; widths are in pixels."""

    name: str
    status: Status
    word: str

    @property
    def name_width(self) -> int:
        return _width(self.name)

    @property
    def word_width(self) -> int:
        return _width(self.word)

    @property
    def middle(self) -> int:
        return self.name_width + 2 * _GAP

    @property
    def width(self) -> int:
        return self.middle + _MARK + self.word_width + 3 * _GAP - 3
