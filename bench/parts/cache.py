"""A cache of one second in front: what it adds, and what it leaves the service to do."""

import os
import pwd
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager

from bench.findings import Finding, median_of, unmeasured
from bench.load import Asking, Load, alternate
from bench.parts.board import STATUS, good
from bench.processes import BenchError, Web, answering, free_port
from bench.stage import Stage

NGINX = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")

_CONFIG = """\
daemon off;
user {user};
worker_processes auto;
pid {folder}/pid;
error_log stderr warn;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    proxy_cache_path {folder}/cache keys_zone=answers:10m;
    upstream service {{ server 127.0.0.1:{service}; keepalive 16; }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://service;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_cache answers;
            proxy_cache_valid 200 1s;
            proxy_ignore_headers Cache-Control Expires;
            proxy_cache_lock on;
            proxy_cache_use_stale updating error timeout;
            proxy_cache_background_update on;
        }}
    }}
}}
"""


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
    folder = stage.path("nginx")
    folder.mkdir()
    port = free_port()
    config = folder / "nginx.conf"
    config.write_text(
        _CONFIG.format(
            user=pwd.getpwuid(os.geteuid()).pw_name,
            folder=folder,
            service=service.port,
            port=port,
        ),
        encoding="utf-8",
    )
    command = (str(NGINX), "-c", config, "-p", folder, "-e", "stderr")
    with answering(*command, port=port, log=folder / "log", ready=STATUS) as found:
        yield found
