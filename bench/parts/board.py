"""Present reads: beside a bare application, beside the usual way, over growing databases."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from bench.crowd import WATCHED, Crowd
from bench.findings import Finding, unmeasured
from bench.load import Asking, alternate
from bench.processes import Answer, BenchError, Web
from bench.stage import Stage

STATUS = f"/v1/crossings/{WATCHED}/status"
LANE = f"{STATUS}?traffic=car&to=LT"
LIST = "/v1/crossings?limit=200"
GZIP = {"Accept-Encoding": "gzip"}


def bare(stage: Stage) -> Iterator[Finding]:
    """Compare with an application that returns the same bytes and does nothing else."""
    with stage.service(stage.database(stage.usual)) as service:
        yield from _same_bytes(stage, service, "status, whole", STATUS)
        if not stage.quick:
            yield from _same_bytes(stage, service, "status of a lane", LANE)
        yield from _same_bytes(stage, service, "200 crossings", LIST)
        if good(service, LIST, GZIP).header("content-encoding") == "gzip":
            yield from _same_bytes(stage, service, "200 crossings, gzip", LIST, GZIP)
        else:
            yield unmeasured("200 crossings, gzip", "the service does not compress")
        yield from _unchanged(stage, service)


def orm(stage: Stage) -> Iterator[Finding]:
    """Compare with a query a request through the ORM."""
    database = stage.database(stage.usual)
    with (
        stage.service(database) as service,
        stage.uvicorn("bench.yardstick:app", ready=STATUS, DATABASE_URL=database.url) as usual,
    ):
        told, same = (json.loads(good(one, STATUS).body) for one in (service, usual))
        if (told["status"], told["sides"]) != (same["status"], same["sides"]):
            raise BenchError(f"the yardstick gives another status: {same}")
        contest = alternate(stage, Asking(service.url(STATUS)).load, Asking(usual.url(STATUS)).load)
        yield contest.rate("status / by the ORM, a query a request", at_least=35)


def size(stage: Stage) -> Iterator[Finding]:
    """Compare a long log with a short one, and many crossings with few."""
    with (
        stage.service(stage.database(stage.long)) as long,
        stage.service(stage.database(stage.few)) as few,
    ):
        good(long, STATUS), good(few, STATUS)
        contest = alternate(stage, Asking(long.url(STATUS)).load, Asking(few.url(STATUS)).load)
        name = f"status, {stage.long.events:,} events / {stage.few.events:,}"
        yield contest.rate(name, at_least=0.95)
    if stage.quick:
        return
    with (
        stage.service(stage.database(stage.wide)) as wide,
        stage.service(stage.database(stage.usual)) as usual,
    ):
        subject = _any_of(stage, wide, stage.wide)
        contest = alternate(stage, subject.load, _any_of(stage, usual, stage.usual).load)
        name = f"status, any of {stage.wide.crossings:,} crossings / of {stage.usual.crossings:,}"
        yield contest.rate(name, at_least=0.90)


def good(web: Web, path: str, headers: Mapping[str, str] | None = None) -> Answer:
    """Return the answer, which is to be measured. Raises BenchError unless it is a 200."""
    answer = web.get(path, headers)
    if answer.status != 200:
        raise BenchError(f"{path} answers {answer.status}: {answer.body[:500]!r}")
    return answer


def _same_bytes(
    stage: Stage, service: Web, name: str, path: str, headers: Mapping[str, str] | None = None
) -> Iterator[Finding]:
    answer = good(service, path, headers)
    with _replaying(stage, answer) as plain:
        if plain.get(path, headers) != answer:
            raise BenchError(f"the bare application does not give the same answer at {path}")
        subject, baseline = Asking(service.url(path), headers), Asking(plain.url(path), headers)
        contest = alternate(stage, subject.load, baseline.load)
    note = f"{len(answer.body):,} bytes"
    yield contest.rate(f"{name} / bare ASGI, same bytes", at_least=0.85, note=note)
    yield contest.p99(f"{name}, p99 / bare ASGI's", at_most=1.5)


def _any_of(stage: Stage, web: Web, crowd: Crowd) -> Asking:
    """Return how to ask for the status of any crossing, after asking once for each."""
    paths = [f"/v1/crossings/{one}/status" for one in crowd.ids()]
    for path in paths:
        good(web, path)
    return Asking(web.url(""), lines=stage.lines(paths))


def _unchanged(stage: Stage, service: Web) -> Iterator[Finding]:
    """Compare a 304 with a greeting, and with the least that the same 304 costs."""
    tag = good(service, STATUS).header("etag")
    if tag is None:
        yield unmeasured("304", "the service gives no ETag")
        return
    headers = {"If-None-Match": tag}
    answer = service.get(STATUS, headers)
    if answer.status != 304:
        raise BenchError(f"{STATUS} does not know its own ETag {tag} again")
    subject = Asking(service.url(STATUS), headers)
    with stage.uvicorn("bench.bare:app") as hello, _replaying(stage, answer) as plain:
        greeting, same = Asking(hello.url("/")), Asking(plain.url(STATUS), headers)
        contest = alternate(stage, subject.load, same.load)
        yield contest.rate("304 / the same 304 of bare ASGI", at_least=0.9)
        contest = alternate(stage, subject.load, greeting.load)
        yield contest.rate("304 / hello of bare ASGI")


@contextmanager
def _replaying(stage: Stage, answer: Answer) -> Iterator[Web]:
    told = {
        "status": answer.status,
        "headers": answer.headers,
        "body": answer.body.decode("latin-1"),
    }
    path = stage.path("answer.json")
    path.write_text(json.dumps(told), encoding="utf-8")
    with stage.uvicorn("bench.bare:app", BENCH_ANSWER=str(path)) as plain:
        yield plain
