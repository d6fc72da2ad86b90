"""A cache of one second in front: what it adds, and what it leaves the service to do."""

import os
import pwd
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager

from app.config import PROJECT
from bench.findings import Finding, median_of, unmeasured
from bench.load import Asking, Load, alternate
from bench.parts.board import STATUS, good
from bench.processes import BenchError, Web, answering, free_port
from bench.stage import Stage

NGINX = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")

_CONFIG = PROJECT / "deploy" / "nginx.conf"


def cache(stage: Stage) -> Iterator[Finding]:
    """Compare nginx in front with the service alone, on the same cores."""
    if NGINX is None:
        yield unmeasured("status by way of nginx", "nginx is not installed")
        return
    shares = []
    with stage.service(stage.database(stage.usual)) as service, _nginx(stage, service) as nginx:
        if good(nginx, STATUS).body != good(service, STATUS).body:
            raise BenchError("nginx does not pass on the service's answer")

        def through_nginx(seconds: float) -> Load:
            began, used = time.perf_counter(), service.cpu_seconds()
            load = Asking(nginx.url(STATUS)).load(seconds)
            shares.append((service.cpu_seconds() - used) / (time.perf_counter() - began))
            return load

        contest = alternate(stage, through_nginx, Asking(service.url(STATUS)).load)
    yield contest.rate("status by way of nginx / the service alone", at_least=1.2)
    yield median_of("service's share of a core behind nginx", shares, at_most=0.1)


@contextmanager
def _nginx(stage: Stage, service: Web) -> Iterator[Web]:
    """Run the project's own configuration, moved to this machine's loopback and our folder."""
    folder, port = stage.path("nginx"), free_port()
    folder.mkdir()
    text = _CONFIG.read_text(encoding="utf-8").replace("/tmp/", f"{folder}/")  # noqa: S108
    text = re.sub(r"api-\d+:\d+", f"127.0.0.1:{service.port}", text)
    text = re.sub(r"listen \d+", f"listen 127.0.0.1:{port}", text)
    config = folder / "nginx.conf"
    config.write_text(text, encoding="utf-8")
    # The folder is only ours to enter.
    ours = f"daemon off; user {pwd.getpwuid(os.geteuid()).pw_name};"
    command = (str(NGINX), "-c", config, "-p", folder, "-e", "stderr", "-g", ours)
    with answering(*command, port=port, log=folder / "log", ready=STATUS) as found:
        yield found
