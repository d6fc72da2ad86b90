"""A service as a process of its own, and a proxy before it."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.client.proxies import Proxy, proxy_of
from tests.servers import Service, service


@pytest.fixture(scope="session")
def server(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that these tests share; they write, but rely on nothing that others write."""
    folder = tmp_path_factory.mktemp("server")
    data_dir = Path(shutil.copytree(prepared, folder / "data"))
    with service(folder / "serve.log", data_dir=data_dir, worker=False) as running:
        yield running


@pytest.fixture
def proxy(server: Service) -> Iterator[Proxy]:
    with proxy_of(server.url) as found:
        yield found
