"""Programs that Debian has and pip has not: looked for, installed where that is possible, and run."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from adjourn.embedded import accounts
from adjourn.embedded.cluster import parent_death_signal
from torture.exceptions import NotRun
from torture.postgres import account


def need(package: str, *programs: str) -> list[Path]:
    """Find programs of a Debian package, and install it if they are not there.

    Raises
    ------
    NotRun
        If they are not there, and cannot be installed.
    """
    found = _find(programs)
    if found is None and accounts.is_root() and shutil.which("apt-get"):
        command = ["apt-get", "install", "--yes", "--quiet", "--no-install-recommends", package]
        # Nothing that is installed may start here by itself.
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
        subprocess.run(command, env=environment, capture_output=True, check=False, timeout=300)
        found = _find(programs)
    if found is None:
        raise NotRun(f"{' and '.join(programs)} not found: install the package {package} (Debian's name)")
    return found


def _find(programs: Sequence[str]) -> list[Path] | None:
    places = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"
    found = [shutil.which(program, path=places) for program in programs]
    return None if None in found else [Path(each or "") for each in found]


def start(log: Path, *command: str | Path) -> subprocess.Popen[bytes]:
    """Start a program as the account that servers run as; it ends with this process."""
    who = account()
    with log.open("ab") as file:
        return subprocess.Popen(
            command,
            cwd="/",
            env=accounts.environment(),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
            user=who.user if who else None,
            group=who.group if who else None,
            extra_groups=[] if who else None,
            preexec_fn=parent_death_signal(signal.SIGKILL),
        )


def end(process: subprocess.Popen[bytes]) -> None:
    """End a program, by force after ten seconds."""
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
