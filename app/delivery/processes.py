"""Child processes: they end with their parent, and not by the terminal's Ctrl-C."""

import logging
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.process import BaseProcess

END_SECONDS = 10.0
"""Seconds to wait for a process that was asked to end, before it is killed."""
FIRST_RESTART_PAUSE, LONGEST_RESTART_PAUSE = 0.5, 30.0
"""Seconds before a process that died is restarted; twice as long each time."""
WELL_SECONDS = 60.0
"""A process that ran for this long is restarted after the first pause again."""

_log = logging.getLogger(__name__)


def follow_parent() -> None:
    """End this process, as by SIGTERM, when the one that started it has ended."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_follow, args=[parent], daemon=True).start()


def _follow(parent: BaseProcess) -> None:
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Block SIGINT; in a process that is started meanwhile it stays blocked."""
    # Otherwise the first process starts it, and that unblocks SIGINT.
    resource_tracker.ensure_running()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


@contextmanager
def kept_alive(target: Callable[[], None], *, name: str) -> Iterator[None]:
    """Run ``target`` in a child process until the block ends, and restart it whenever it dies."""
    stop = threading.Event()
    keeper = threading.Thread(target=_keep_alive, args=[target, name, stop])
    keeper.start()
    try:
        yield
    finally:
        stop.set()
        keeper.join()


def _keep_alive(target: Callable[[], None], name: str, stop: threading.Event) -> None:
    pause = FIRST_RESTART_PAUSE
    while not stop.is_set():
        process = multiprocessing.get_context("spawn").Process(target=target, name=name)
        began = time.monotonic()
        with interrupts_held():
            process.start()
        while process.is_alive() and not stop.wait(0.1):
            pass
        if stop.is_set():
            _end(process)
            return
        if time.monotonic() - began > WELL_SECONDS:
            pause = FIRST_RESTART_PAUSE
        _log.warning("The %s exited with %s and is being restarted.", name, process.exitcode)
        stop.wait(pause)
        pause = min(2 * pause, LONGEST_RESTART_PAUSE)


def _end(process: BaseProcess) -> None:
    process.terminate()
    process.join(END_SECONDS)
    process.kill()
    process.join()
