"""Lint the SQL of every migration with squawk, which knows what stops a service that works.

Migrations are rendered without a database, each as the transaction that it is. One that breaks a
rule on purpose, such as one that drops what no code uses any more, has ``exempt_from``: the names
of the rules, each with the reason.
"""

import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from io import StringIO
from pathlib import Path

from alembic.config import Config
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import Script, ScriptDirectory

from app.schema import LOCK_TIMEOUT, metadata

ROOT = Path(__file__).parents[1]
SQUAWK = Path(sys.executable).with_name("squawk")
POSTGRESQL = "18"

NEWEST_EXEMPT = "0019"
"""Migrations up to this one came before the first release, and ran on small tables or none."""
_SMALL = "no service worked meanwhile, and the tables had few rows or none"
EXEMPT = {
    "adding-foreign-key-constraint": _SMALL,
    "constraint-missing-not-valid": _SMALL,
    "require-concurrent-index-creation": _SMALL,
    "ban-drop-constraint": "the code that relied on it had to stop before",
    "ban-drop-schema": "it was that of a queue which no code used any more",
    "ban-drop-table": "its rows went to another table",
}
"""The rules that those break, and why that did no harm."""
NOT_RENDERED = {
    "0005": "runs a file of the queue that 0009 drops",
    "0016": "encrypts row by row",
}
"""Of those, what needs a database to run at all."""
NOT_OURS = {
    "prefer-bigint-over-int": "minutes, versions and statuses of HTTP do not grow",
    "prefer-bigint-over-smallint": "the same",
    "require-statement-timeout": "to validate takes as long as a read, and nobody waits for it",
}
"""Rules that no migration has to keep, and why."""


def scripts(folder: Path = ROOT / "migrations") -> list[Script]:
    """Return the migrations of a folder, the oldest first."""
    config = Config()
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    return [*ScriptDirectory.from_config(config).walk_revisions()][::-1]


def render(script: Script) -> str:
    """Return the SQL of a migration. Raises an exception if it needs a database for that."""
    sql = StringIO()
    options = {"as_sql": True, "output_buffer": sql, "target_metadata": metadata}
    context = MigrationContext.configure(dialect_name="postgresql", opts=options)
    with Operations.context(context), context.begin_transaction():
        script.module.upgrade()
    return f"SET lock_timeout = '{LOCK_TIMEOUT}';\n{sql.getvalue()}"


def faults(folder: Path = ROOT / "migrations") -> Iterator[str]:
    """Yield what is wrong with the migrations of a folder."""
    migrations = scripts(folder)
    names = [script.revision for script in migrations]
    newer = names.index(NEWEST_EXEMPT) + 1
    yield from _lint(migrations[:newer], excluded=[*NOT_OURS, *EXEMPT])
    for script in migrations[newer:]:
        # What contracts a schema on purpose says which rules that breaks, and why.
        exempt: dict[str, str] = getattr(script.module, "exempt_from", {})
        yield from _lint([script], excluded=[*NOT_OURS, *exempt])


def _lint(migrations: Iterable[Script], excluded: Iterable[str]) -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        files = []
        for script in migrations:
            if script.revision in NOT_RENDERED:
                continue
            file = Path(folder, f"{Path(script.path).stem}.sql")
            try:
                file.write_text(render(script), encoding="utf-8")
            except AttributeError as error:
                yield f"{script.path}: cannot be rendered without a database: {error}"
            else:
                files.append(file.name)
        if files:
            yield from _squawk(files, excluded, folder)


def _squawk(files: list[str], excluded: Iterable[str], folder: str) -> Iterator[str]:
    rules = ",".join(excluded)
    command = [
        str(SQUAWK),
        "--reporter=gcc",
        f"--pg-version={POSTGRESQL}",
        f"--exclude={rules}",
        *files,
    ]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        yield done.stdout + done.stderr


def main() -> None:
    """Print what is wrong, and end with exit status 1 if anything is."""
    found = [*faults()]
    if found:
        sys.exit("\n".join(found))


if __name__ == "__main__":
    main()
