"""Execs a PostgreSQL program that has the right identity and ends with its parent.

This is run as a script, never imported. It does what must happen between fork and exec, which may
deadlock in a parent with several threads, in a process with one thread.
"""

import ctypes
import os
import signal
import sys
from pathlib import Path

CLONE_NEWUSER = 0x10000000
PR_SET_PDEATHSIG = 1


def ask_kernel(name: str, *arguments: int) -> None:
    """Call a function of the C library that Python 3.11 does not offer."""
    if getattr(ctypes.CDLL(None, use_errno=True), name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def disguise(uid: int, gid: int) -> None:
    """Appear as ``uid`` in a user namespace, while the file system sees our own user."""
    outer_uid, outer_gid = os.geteuid(), os.getegid()
    ask_kernel("unshare", CLONE_NEWUSER)
    Path("/proc/self/setgroups").write_text("deny", "ascii")
    Path("/proc/self/uid_map").write_text(f"{uid} {outer_uid} 1", "ascii")
    Path("/proc/self/gid_map").write_text(f"{gid} {outer_gid} 1", "ascii")


def become(uid: int, gid: int) -> None:
    """Switch from root to another user for good."""
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)


def follow(parent: int) -> None:
    """Receive SIGINT, a fast shutdown to PostgreSQL, when the thread that forked us ends."""
    # Python's handler only sets a flag, which would be lost in exec.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    # Must follow the change of identity, which resets it.
    if sys.platform == "linux":
        ask_kernel("prctl", PR_SET_PDEATHSIG, signal.SIGINT)
    if os.getppid() != parent:
        sys.exit("the process that wanted PostgreSQL is gone")


def main(parent: str, how: str, uid: str, gid: str, directory: str, *command: str) -> None:
    """Change identity (``how`` is plain, disguise or become) and exec the command in directory."""
    if how == "disguise":
        disguise(int(uid), int(gid))
    elif how == "become":
        become(int(uid), int(gid))
    follow(int(parent))
    os.umask(0o077)
    os.chdir(directory)
    os.execv(command[0], command)  # noqa: S606 -- the point of this module


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except OSError as error:
        sys.exit(str(error))
