"""Write `docs/licences.md`: the licence of every package that the service runs with."""

import re
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

ROOT = Path(__file__).parents[1]
FILE = ROOT / "docs" / "licences.md"
HEAD = """\
# Licences

The licence of every package in `requirements.txt`, as the package states it. `make licences` writes
this list. What a licence requires us to state is in `NOTICE`.

| package | licence |
|---|---|
"""
_KNOWN = {
    "BSD License": "BSD-3-Clause",
    "MIT License": "MIT",
    "Apache Software License": "Apache-2.0",
    "GNU Lesser General Public License v3 (LGPLv3)": "LGPL-3.0-only",
    "Python Software Foundation License": "PSF-2.0",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "ISC License (ISCL)": "ISC",
}
_LONGEST = 60


def licence_of(name: str) -> str:
    """Return the licence that an installed package states, as an SPDX expression where it can."""
    found = metadata(name)
    if "License-Expression" in found:
        return found["License-Expression"]
    classifiers = found.get_all("Classifier") or []
    told = [one.rpartition(" :: ")[2] for one in classifiers if one.startswith("License :: OSI")]
    if told:
        return " AND ".join(_KNOWN.get(one, one) for one in told)
    if "License" in found:
        return found["License"].strip().splitlines()[0][:_LONGEST]
    return "unknown"


def rows() -> Iterator[str]:
    """Yield a row for each package that is locked and, on this system, installed."""
    locked = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    for name in re.findall(r"^([A-Za-z0-9._-]+)(?:\[\w+\])?==", locked, re.MULTILINE):
        try:
            yield f"| `{name}` | {licence_of(name)} |\n"
        except PackageNotFoundError:
            continue  # not for this system


def document() -> str:
    """Return the text of the file."""
    return HEAD + "".join(rows())


if __name__ == "__main__":
    FILE.write_text(document(), encoding="utf-8")
