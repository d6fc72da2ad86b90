"""The receiver in docs/api.md takes what is signed, and nothing else."""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2

from app.config import PROJECT
from tests import clients
from tests.servers import free_port
from tests.subscriptions.conftest import Hooks
from tests.waiting import until


@contextmanager
def documented_receiver(folder: Path, secret: object, port: int) -> Iterator[Path]:
    """Run it, and give the file that it prints to."""
    document = (PROJECT / "docs" / "api.md").read_text(encoding="utf-8")
    (program,) = re.findall(r"```python\n(# receiver\.py.*?)```", document, re.DOTALL)
    script, told = folder / "receiver.py", folder / "told"
    script.write_text(program, encoding="utf-8")
    command = [sys.executable, str(script), str(secret), str(port)]
    with told.open("w") as output, subprocess.Popen(command, stdout=output) as process:
        try:
            yield told
        finally:
            process.kill()


async def test_it_verifies_what_arrives(hooks: Hooks, tmp_path: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}/"
    subscription = await hooks.subscribe(url)
    with documented_receiver(tmp_path, subscription["secret"], port) as told:
        await until(lambda: _answers(url))
        await hooks.api.declare()
        (delivery,) = await hooks.settled(subscription)
        unsigned = clients.post(url, json={})

    assert told.read_text(encoding="utf-8").split() == [
        delivery["id"], "crossing-status.change.decision", "crossings/sumskas-losa"
    ]  # fmt: skip
    assert unsigned.status_code == 400


def _answers(url: str) -> bool:
    try:
        return clients.get(url).status_code > 0
    except httpx2.TransportError:
        return False
