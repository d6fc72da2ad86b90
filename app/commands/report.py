"""`crossings report`."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.commands import client as options
from app.commands.client import (
    DEFAULT_SERVER,
    DEFAULT_TIMEOUT,
    ExitStatus,
    connected,
    find_crossing,
    stop,
)
from app.commands.terminal import as_sent, local, print_json, print_table
from crossing_status.vocabulary import (
    Certainty,
    DeclaredStatus,
    ReasonCode,
    SourceKind,
    Traffic,
)

if TYPE_CHECKING:
    from crossing_status.client import Decision, DecisionPreview

app = typer.Typer()


@app.command(
    epilog="Ends with 0: it was recorded, or would be; 20: no such crossing or lane, 21: the server"
    " cannot be reached, 2: wrong usage, or something in it is not valid, 1: anything else, such as"
    " a key that does not allow it. After 21 repeat it with the same --idempotency-key: it is"
    " recorded once."
)
def report(
    crossing: options.Named,
    status: Annotated[DeclaredStatus, typer.Argument(help="What is declared.")],
    side: Annotated[
        list[str], typer.Option(metavar="COUNTRY", help="Whose authority says so; repeatable.")
    ],
    summary: Annotated[str, typer.Option(help="Why, in a sentence that people read.")],
    source_url: Annotated[str | None, typer.Option(help="Where it is published.")] = None,
    source_title: Annotated[
        str | None, typer.Option(show_default="the summary", help="Of the source.")
    ] = None,
    source_kind: Annotated[SourceKind, typer.Option(help="What the source is.")] = (
        SourceKind.ARTICLE
    ),
    publisher: Annotated[str | None, typer.Option(help="Of the source.")] = None,
    reason: Annotated[ReasonCode, typer.Option(help="Why, as a code.")] = ReasonCode.OTHER,
    from_: Annotated[
        datetime | None,
        typer.Option("--from", **options.INSTANT, help="When it begins.", show_default="now"),
    ] = None,
    until: Annotated[
        datetime | None,
        typer.Option(
            **options.INSTANT, help="When it ends.", show_default="until further notice"
        ),
    ] = None,
    expected_until: Annotated[
        datetime | None,
        typer.Option(**options.INSTANT, help="An announced end that does not reopen it."),
    ] = None,
    announced_at: Annotated[
        datetime | None,
        typer.Option(**options.INSTANT, help="When the authority said so.", show_default="now"),
    ] = None,
    traffic: Annotated[
        list[Traffic] | None, typer.Option(help="Only for this traffic; repeatable.")
    ] = None,
    to: Annotated[
        str | None, typer.Option(metavar="COUNTRY", help="Only entering this country.")
    ] = None,
    certainty: Annotated[Certainty, typer.Option(help="How reliable it is.")] = (
        Certainty.CONFIRMED
    ),
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would change, and write nothing.")
    ] = False,
    idempotency_key: Annotated[
        str | None,
        typer.Option(help="With the same key it is recorded once.", show_default="a new one"),
    ] = None,
    key_file: Annotated[
        Path | None,
        typer.Option(
            exists=True, dir_okay=False, readable=True,
            help="A file with the API key, instead of CROSSINGS_API_KEY.",
        ),
    ] = None,
    api_key: Annotated[str | None, typer.Option(envvar="CROSSINGS_API_KEY", hidden=True)] = None,
    as_json: options.AsJson = False,
    server: options.Server = DEFAULT_SERVER,
    timeout: options.Timeout = DEFAULT_TIMEOUT,
    no_color: options.NoColor = None,
) -> None:  # fmt: skip
    """Declare that a crossing is closed, restricted or open. Needs an API key."""
    from crossing_status.client import (  # noqa: PLC0415
        NewCitation,
        NewDecision,
        NewPeriod,
        NewReason,
        NewSource,
        Unreachable,
    )

    key = key_file.read_text(encoding="utf-8").strip() if key_file else api_key
    if not key:
        stop(ExitStatus.USAGE, "An API key is needed: set CROSSINGS_API_KEY, or give --key-file.")
    source = NewSource(
        kind=source_kind, title=source_title or summary, publisher=publisher, url=source_url
    )
    with connected(server, timeout, key) as client:
        decision = NewDecision(
            crossings=[find_crossing(client, crossing).id],
            sides=side,
            status=status,
            effective=NewPeriod(from_=from_, until=until),
            expected_until=expected_until,
            announced_at=announced_at,
            traffic=traffic,
            to=to,
            reason=NewReason(code=reason, text=summary),
            certainty=certainty,
            citations=[NewCitation(source=source)],
        )
        answer: Decision | DecisionPreview
        if dry_run:
            answer = client.preview_declaration(decision)
        else:
            try:
                answer = client.declare(decision, idempotency_key=idempotency_key)
            except Unreachable as error:
                again = f"Repeat it with --idempotency-key {error.idempotency_key}"
                stop(ExitStatus.NOT_REACHED, f"{error}. {again}: it is recorded once.")
    if as_json:
        print_json(as_sent(answer))
    else:
        _print(answer, no_color)


def _print(answer: "Decision | DecisionPreview", no_color: str | None) -> None:
    """Say what was recorded, what it changes, and where it is taken back."""
    if answer.change is None:
        typer.echo("It is valid, and nothing was written.")
    else:
        typer.echo(f"Recorded as change {answer.change}.")
    if not answer.effect:
        typer.echo("It has no effect: the answers stay as they are.")
        return
    rows = [("CROSSING", "FROM", "UNTIL", "BEFORE", "AFTER", "LANES")]
    for effect in answer.effect:
        lanes = ", ".join(f"{lane.traffic} to {lane.to}" for lane in effect.lanes)
        until = local(effect.until) if effect.until else "further notice"
        statuses = (str(effect.before), str(effect.after))
        rows.append((effect.crossing, local(effect.from_), until, *statuses, lanes))
    print_table(rows, no_color=no_color)
    for address in answer.undo:
        typer.echo(f"To take it back: POST {address}")
