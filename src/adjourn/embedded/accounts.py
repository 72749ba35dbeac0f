"""Whom the server runs as.

Postgres refuses to run as root. An ordinary user's server runs as that user; root's runs as the owner of its directory,
or for a new directory as the user ``postgres`` where there is one, else as ``nobody``.
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

VARIABLES_FOR_THE_SERVER = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TZ", "TMPDIR")
"""What the server's processes get from our environment. Not PG*, which would change its settings, nor LANG and LC_*,
which would change its language, nor anybody's secrets."""


@dataclass(frozen=True)
class Account:
    """A user of the system other than the one we run as.

    Parameters
    ----------
    name
        For messages.
    user
        The number of the user.
    group
        The number of the user's group.
    """

    name: str
    user: int
    group: int


def environment() -> dict[str, str]:
    """The environment of the server's processes."""
    return {name: os.environ[name] for name in VARIABLES_FOR_THE_SERVER if name in os.environ}


def is_root() -> bool:
    """Whether Postgres would refuse to run as us."""
    return os.geteuid() == 0


def account_of(user: int, group: int) -> Account:
    """The account with this number, which need not have a name."""
    try:
        entry = pwd.getpwuid(user)
    except KeyError:
        return Account(f"user {user}", user, group)
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def account_for_root() -> Account:
    """The account that root's server runs as in a directory that is nobody's yet.

    Raises
    ------
    EmbeddedServerError
        If the system has none of the accounts that are meant for such things.
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
    """Run a command to its end as another user, from a directory that everybody can enter.

    Raises
    ------
    OSError
        If it cannot be run, for instance because that user cannot reach it.
    subprocess.TimeoutExpired
        If it took longer than `timeout`, in seconds.
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
    """The first of these directories that the account cannot enter; asked of the kernel, which knows of more rules
    than the mode.

    Raises
    ------
    EmbeddedServerError
        If we cannot become that account.
    """
    script = 'for directory do [ -x "$directory" ] || { printf %s "$directory"; exit; }; done'
    try:
        answer = run_as(account, "/bin/sh", "-c", script, "sh", *directories, timeout=30.0).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise EmbeddedServerError(
            f"Postgres does not run as root, and this root cannot run it as {account.name}: {error}. Run this program as "
            "an ordinary user."
        ) from error
    return Path(answer) if answer else None
