"""The command ``adjourn`` in a fork of a process that has imported it already: to import it is most of what a short command costs.

A fork has the arguments, the environment, the directory and the streams that a process of its own would have; it finds modules as the
installed script does. What depends on how Python itself starts needs a process of its own, and `can_fork` says so.
"""

from __future__ import annotations

import io
import multiprocessing
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

TESTS = str(Path(__file__).parents[1])
PYTHONS_OWN = ("PYTHON", "LC_", "LANG")
"""What the names of variables begin with that Python reads when it starts."""


def can_fork(environment: Mapping[str, str]) -> bool:
    """Return whether Python would start in this environment as it has in that of the tests."""
    names = {*environment, *os.environ}
    return all(environment.get(name) == os.environ.get(name) for name in names if name.startswith(PYTHONS_OWN))


def run_command(
    script: Path, arguments: Sequence[str], directory: Path, environment: Mapping[str, str], given: str, timeout: float
) -> tuple[int, str, str]:
    """Run ``adjourn`` to its end, and return its code, its output and its errors.

    Raises
    ------
    TimeoutError
        If it has not ended after so many seconds.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["adjourn.cli", "psycopg", "psycopg_pool", "support.forked"])
    with tempfile.TemporaryDirectory() as streams:
        Path(streams, "0").write_text(given, encoding="utf-8")
        process = context.Process(
            target=_command, args=([str(script), *arguments], str(directory), dict(environment), streams)
        )
        process.start()
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise TimeoutError(f"adjourn {' '.join(arguments)} has not ended after {timeout} s")
        output, errors = (Path(streams, name).read_text("utf-8") for name in "12")
        return process.exitcode, output, errors


def _command(words: list[str], directory: str, environment: dict[str, str], streams: str) -> None:
    for number, flags in enumerate((os.O_RDONLY, os.O_CREAT | os.O_WRONLY, os.O_CREAT | os.O_WRONLY)):
        opened = os.open(Path(streams, str(number)), flags, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdin = io.TextIOWrapper(open(0, "rb", closefd=False))  # noqa: SIM115
    sys.stdout = io.TextIOWrapper(open(1, "wb", closefd=False), write_through=True)  # noqa: SIM115
    sys.stderr = io.TextIOWrapper(open(2, "wb", closefd=False), errors="backslashreplace", write_through=True)  # noqa: SIM115
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(directory)
    sys.argv = words
    sys.path[:] = [str(Path(words[0]).parent), *(path for path in sys.path if path and not path.startswith(TESTS))]
    from adjourn.cli import main

    sys.exit(main())
