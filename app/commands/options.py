"""Options that several commands have, and the settings that they change."""

from pathlib import Path
from typing import Annotated

import typer

from app.config import Settings

DataDir = Annotated[
    Path | None,
    typer.Option(help="Where the embedded PostgreSQL keeps its data.", show_default="data"),
]


def settings_of(**options: object) -> Settings:
    """Return the settings of the environment, but for the options that are given."""
    return Settings.model_validate(
        {name: value for name, value in options.items() if value is not None}
    )
