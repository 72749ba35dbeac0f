"""The directory of a server: its contents, its owner and who may enter it.

::

    <path>/                0700, owned by the account that the server runs as
        lock               held by the supervisor while a server is starting, running or stopping
        supervisor         the socket that every user of the server is connected to
        .s.PGSQL.5432      the socket of Postgres
        data/              the data directory of Postgres
        server.log         the log of Postgres

If the path is too long or too unusual for the name of a socket, the sockets are in a directory under ``/tmp`` instead.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import tempfile
from pathlib import Path

from adjourn.embedded.accounts import Account, account_for_root, account_of, first_out_of_reach, is_root
from adjourn.embedded.cluster import DATA_DIRECTORY, HALF_MADE_DATA_DIRECTORY, PORT
from adjourn.embedded.exceptions import EmbeddedServerError

LOCK_FILE = "lock"
LONGEST_SOCKET_NAME = 103
"""In bytes, the limit of macOS; Linux allows four more."""
TEMPORARY_PLACES = ("/tmp", "/var/tmp")  # noqa: S108


def make_temporary() -> Path:
    """Make a directory for a temporary server.

    Raises
    ------
    EmbeddedServerError
        If the server's account can enter none of the system's temporary directories.
    """
    if not is_root():
        return Path(tempfile.mkdtemp(prefix="adjourn-")).resolve()
    account = account_for_root()
    for place in (tempfile.gettempdir(), *TEMPORARY_PLACES):
        parent = Path(place).resolve()
        if parent.is_dir() and first_out_of_reach(account, [*reversed(parent.parents), parent]) is None:
            return Path(tempfile.mkdtemp(prefix="adjourn-", dir=parent))
    raise EmbeddedServerError(
        f"For root, Postgres runs as the user {account.name}, who can enter none of the temporary directories: "
        "pass Server a path that this user can reach."
    )


def prepare(path: Path) -> tuple[Path, Account | None]:
    """Make the directory of a server, or check the one that exists.

    Returns
    -------
    tuple
        The directory's real path, and the account that its server runs as; None stands for the user of this process.

    Raises
    ------
    EmbeddedServerError
        If the directory cannot be used; the message says why and what to do.
    """
    home = path.expanduser().resolve()
    if is_root():
        return home, prepare_for_root(home)
    prepare_for_us(home)
    return home, None


def prepare_for_us(home: Path) -> None:
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    owner = home.stat().st_uid
    if owner != os.geteuid():
        raise EmbeddedServerError(
            f"The directory {home} belongs to {account_of(owner, 0).name}, so this user cannot run a server in it: use "
            "another directory, or run this program as that user."
        )
    refuse_strange_contents(home)
    if not os.access(home, os.R_OK | os.W_OK | os.X_OK):
        raise EmbeddedServerError(f"The directory {home} cannot be written: change its mode to 0700.")


def prepare_for_root(home: Path) -> Account:
    exists = home.exists()
    status = home.stat() if exists else None
    is_taken = status is not None and status.st_uid != 0
    account = account_of(status.st_uid, status.st_gid) if status and is_taken else account_for_root()
    # Before anything is made, check that the account can enter every parent directory that exists.
    way = [parent for parent in reversed(home.parents) if parent.is_dir()]
    if (blocked := first_out_of_reach(account, way)) is not None:
        raise EmbeddedServerError(
            f"For root, Postgres runs as the user {account.name}, who cannot enter {blocked} on the way to {home}: use "
            f"a directory elsewhere, for instance under /var/lib, or allow it with `chmod o+x {blocked}`."
        )
    if exists:
        refuse_strange_contents(home)
    else:
        for directory in reversed([home, *home.parents]):
            with contextlib.suppress(FileExistsError):
                directory.mkdir()
                # The account must be able to enter it, whatever the umask.
                directory.chmod(0o755)
    if not is_taken:
        hand_over(home, account)
    return account


def hand_over(home: Path, account: Account) -> None:
    """If root owns the directory, give it to the account that the server runs as."""
    # Use the descriptor, not the name: a user who may write to the parent directory could put another file there.
    descriptor = os.open(home, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        if os.fstat(descriptor).st_uid == 0:
            os.fchown(descriptor, account.user, account.group)
            os.fchmod(descriptor, 0o700)
    finally:
        os.close(descriptor)


def refuse_strange_contents(home: Path) -> None:
    """Refuse a directory that is used for something else.

    Raises
    ------
    EmbeddedServerError
        If it is neither empty nor the directory of an embedded server.
    """
    names = {entry.name for entry in home.iterdir()}
    if "PG_VERSION" in names:
        raise EmbeddedServerError(
            f"{home} is the data directory of a Postgres server itself: use a new or an empty directory. The embedded "
            f"server keeps its data in a subdirectory named {DATA_DIRECTORY}."
        )
    if names and not names & {LOCK_FILE, DATA_DIRECTORY, HALF_MADE_DATA_DIRECTORY}:
        raise EmbeddedServerError(f"The directory {home} is not empty: use a new or an empty one for the server.")


def major_version(home: Path) -> str | None:
    """Return the major version of the Postgres that made the data directory; None if there is no data directory yet.

    Raises
    ------
    EmbeddedServerError
        If the data directory is damaged.
    """
    data = home / DATA_DIRECTORY
    try:
        return (data / "PG_VERSION").read_text(encoding="ascii").strip()
    except FileNotFoundError:
        if data.exists():
            raise EmbeddedServerError(
                f"{data} is not the data directory of a Postgres server: it has no file PG_VERSION. Remove it if nothing "
                "in it is needed, or use another directory for the server."
            ) from None
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise EmbeddedServerError(f"The data directory of the embedded server cannot be read: {error}.") from error


def open_lock_file(home: Path, account: Account | None) -> int:
    """Open the lock file; if there is none, make one that belongs to the account that the server runs as.

    A symbolic link is not followed, because the directory's owner could point it at any file.
    """
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(home / LOCK_FILE, flags | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return os.open(home / LOCK_FILE, flags)
    if account is not None:
        os.fchown(descriptor, account.user, account.group)
    return descriptor


def socket_directory(home: Path, account: Account | None) -> Path:
    """Return the directory of a server's sockets: the same for all users, whether the server runs or not."""
    longest = home / f".s.PGSQL.{PORT}"
    # Postgres' setting and libpq's host give commas, quotes and spaces a meaning of their own.
    if len(os.fsencode(longest)) <= LONGEST_SOCKET_NAME and re.fullmatch(r"[\w/.+-]+", str(home), re.ASCII):
        return home
    owner = account.user if account else os.geteuid()
    return Path("/tmp", f"adjourn-{owner}-{hashlib.sha256(os.fsencode(home)).hexdigest()[:16]}")  # noqa: S108
