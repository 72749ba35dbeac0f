"""The system user that the server runs as.

Postgres refuses to run as root. If an ordinary user starts the server, it runs as that user. If root starts it, it runs
as the owner of its directory; a new directory, or one that root owns, is given to one of `ACCOUNTS_FOR_ROOT`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from adjourn.embedded.exceptions import EmbeddedServerError

if sys.platform != "win32":  # where Server refuses to start
    import pwd

ACCOUNTS_FOR_ROOT = ("postgres", "_postgres", "nobody")
"""The users to try in this order; the first that exists is used."""

VARIABLES_FOR_THE_SERVER = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TZ", "TMPDIR")
"""The environment variables that the server's processes inherit. PG* would change the server's settings, LANG and LC_*
its language, and any other variable may hold secrets."""


@dataclass(frozen=True)
class Account:
    """A system user other than the one that this process runs as.

    Parameters
    ----------
    name
        The user's name, for messages.
    user
        The user ID.
    group
        The ID of the user's group.
    """

    name: str
    user: int
    group: int


def environment() -> dict[str, str]:
    """Return the environment of the server's processes."""
    return {name: os.environ[name] for name in VARIABLES_FOR_THE_SERVER if name in os.environ}


def is_root() -> bool:
    """Whether this process runs as root; Postgres refuses to."""
    return os.geteuid() == 0


def account_of(user: int, group: int) -> Account:
    """Return the account with this user ID, even if the system has no name for it."""
    try:
        entry = pwd.getpwuid(user)
    except KeyError:
        return Account(f"user {user}", user, group)
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def account_for_root() -> Account:
    """Return the account that runs root's server in a new directory, or in one that root owns.

    Raises
    ------
    EmbeddedServerError
        If none of `ACCOUNTS_FOR_ROOT` exists.
    """
    for name in ACCOUNTS_FOR_ROOT:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)
    raise EmbeddedServerError(
        "Postgres does not run as root, and there is no other user to run it as: add a user named postgres, "
        "or run this program as an ordinary user."
    )


def run_as(account: Account | None, *command: str | Path, timeout: float) -> subprocess.CompletedProcess[str]:
    """Run a command until it ends, as another user if `account` is given, in a directory that every user can enter.

    Raises
    ------
    OSError
        If the command cannot be run, for instance because that user may not enter its directory.
    subprocess.TimeoutExpired
        If it takes longer than `timeout` seconds.
    """
    return subprocess.run(  # noqa: S603
        command,
        cwd="/",
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        timeout=timeout,
        user=account.user if account else None,
        group=account.group if account else None,
        extra_groups=[] if account else None,
    )


def first_out_of_reach(account: Account, directories: Iterable[Path]) -> Path | None:
    """Return the first of these directories that the account cannot enter, or None.

    This runs a test as that account, because the kernel applies more rules than a directory's mode.

    Raises
    ------
    EmbeddedServerError
        If this process cannot switch to that account.
    """
    script = 'for directory do [ -x "$directory" ] || { printf %s "$directory"; exit; }; done'
    try:
        answer = run_as(account, "/bin/sh", "-c", script, "sh", *directories, timeout=30.0).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise EmbeddedServerError(
            f"Postgres does not run as root, and root cannot switch to the user {account.name} here: {error}. Run this "
            "program as an ordinary user."
        ) from error
    return Path(answer) if answer else None
