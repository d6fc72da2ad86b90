"""The seeds that tests stand on: those of the borders with Belarus, and of the article."""

from collections.abc import Sequence
from functools import cache

from app.places.schemas import CrossingIn
from app.seeding.files import SEEDS, Seed, Seeds

SETS = ("article", "by-lt", "by-lv", "by-pl")


@cache
def seeds() -> Sequence[Seed]:
    """Return the seeds of these sets, in the order of loading."""
    return Seeds(SEEDS, only=SETS).load()


def seeded_crossings() -> list[CrossingIn]:
    return [seed.body for seed in seeds() if isinstance(seed.body, CrossingIn)]
