"""Python in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

from support.waiting import BOUND

TESTS = Path(__file__).parents[1]


def run_python(
    *arguments: str, cwd: Path | None = None, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run Python to its end.

    Parameters
    ----------
    arguments
        What follows ``python`` on the command line.
    cwd
        The directory to run in, if not this one.
    environment
        Variables to set besides those that are set already.
    """
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=2 * BOUND,
        check=False,
    )


def run_silently(text: str, *arguments: str, **environment: str) -> None:
    """Run a program that can import from `tests`, which must end soon, with code 0, and say nothing.

    Parameters
    ----------
    text
        The program, which may be indented.
    arguments
        What it finds in ``sys.argv``.
    environment
        Variables to set for it.
    """
    done = run_python(
        "-X", "dev", "-c", textwrap.dedent(text), *arguments, environment={"PYTHONPATH": str(TESTS), **environment}
    )
    check_silence(done.returncode, done.stdout + done.stderr)


def check_silence(code: int, said: str) -> None:
    """Fail unless a program has ended with code 0, and said nothing."""
    assert (code, said) == (0, ""), f"it has ended with code {code}, and says:\n{said}"
