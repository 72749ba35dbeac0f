"""What the embedded server promises, on real servers, with real signals."""

from __future__ import annotations

import contextlib
import os
import platform
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import psycopg
import pytest

from adjourn import embedded
from adjourn.embedded import accounts, binaries, cluster, directories
from support.processes import run_silently
from support.waiting import until

pytestmark = pytest.mark.timeout(60)

IS_ROOT = os.geteuid() == 0
SOURCES = Path(embedded.__file__).parent.parent
QUICK = {"fsync": "off"}
"""Saves half a second for each new data directory."""

PREAMBLE = f"""
import os, signal, sys, time, types
package = types.ModuleType("adjourn")  # only what is tested, whatever else is installed for this interpreter
package.__path__ = [{str(SOURCES)!r}]
sys.modules["adjourn"] = package
from adjourn import embedded
def say(*words):
    print(*words, flush=True)
"""
USE = """
with embedded.Server(sys.argv[1], settings={"fsync": "off"}) as server:
    say(server.pid, server.dsn)
    sys.stdin.read()
"""


class User:
    """Another process that uses a server, until its standard input ends."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def hear(self) -> list[str]:
        assert self.process.stdout is not None
        return self.process.stdout.readline().split()

    def leave(self) -> None:
        self.process.communicate(timeout=20)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()


def user(home: Path | str, script: str = USE, *, interpreter: str = sys.executable, account: str | None = None) -> User:
    return User(
        subprocess.Popen(
            [interpreter, "-c", PREAMBLE + script, str(home)],
            cwd="/",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            user=account,
            group=None if account is None else pwd.getpwnam(account).pw_gid,
            extra_groups=None if account is None else [],
        )
    )


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        # Nobody may have buried it yet.
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except ProcessLookupError:
        return False
    except FileNotFoundError:
        return platform.system() != "Linux"


def processes_of(home: Path) -> list[str]:
    """What runs for a server: its supervisor and Postgres, with all sessions."""
    found = []
    for process in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            command = (process / "cmdline").read_text().replace("\0", " ").strip()
            is_server = str(home) in command or str((process / "cwd").readlink()).startswith(str(home))
            if process.name.isdecimal() and is_server and "-c" not in command.split()[1:2]:
                found.append(f"{process.name} {command}")
    return found


def supervisor_of(home: Path) -> int:
    [supervisor] = [line for line in processes_of(home) if "launcher.py" in line]
    return int(supervisor.split()[0])


def value(dsn: str, query: str) -> object:
    with psycopg.connect(dsn, autocommit=True) as connection:
        row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return row[0]


@pytest.fixture
def public_directory() -> Iterator[Path]:
    """A directory with a short name that every user of the system can enter, which pytest's own are not."""
    path = Path(tempfile.mkdtemp(prefix="adjourn-", dir="/tmp")).resolve()
    # Like the system's own for temporary files: open to all, and what is in it belongs to whoever made it.
    path.chmod(0o1777)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def home(public_directory: Path) -> Iterator[Path]:
    """Where a server may be; afterwards nothing runs there any more, whatever the test was about."""
    path = public_directory / "server"
    yield path
    if platform.system() == "Linux":
        until(lambda: not processes_of(path))


def installations() -> list[Path]:
    found = list(binaries.candidates())
    return found or [Path("/no/postgres/was/found")]


@pytest.mark.parametrize("directory", installations(), ids=lambda path: "-".join(path.parts[-3:-1]))
def test_a_server_of_any_installation_answers_and_is_gone_when_it_is_stopped(home: Path, directory: Path) -> None:
    server = embedded.Server(home, binaries=directory, settings=QUICK)
    server.start()
    assert str(value(server.dsn, "show server_version")).split()[0] == server.version
    assert is_alive(server.pid)
    server.stop()
    assert not is_alive(server.pid)
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(server.dsn)


def test_data_and_address_survive_a_restart(home: Path) -> None:
    with embedded.Server(home) as server:
        first = server.dsn
        with psycopg.connect(server.dsn) as connection:
            connection.execute("create table kept as select 42 as answer")
    with embedded.Server(home) as server:
        assert server.dsn == first
        assert value(server.dsn, "select answer from kept") == 42


def test_the_defaults_are_durable_private_and_utf8(home: Path) -> None:
    with embedded.Server(home) as server:
        assert value(server.dsn, "show fsync") == "on"
        assert value(server.dsn, "show synchronous_commit") == "on"
        assert value(server.dsn, "show full_page_writes") == "on"
        assert value(server.dsn, "show listen_addresses") == ""
        assert value(server.dsn, "show server_encoding") == "UTF8"
        assert value(server.dsn, "select datcollate from pg_database where datname = current_database()") == "C"
        assert home.stat().st_mode & 0o077 == 0
        assert (home / ".s.PGSQL.5432").stat().st_mode & 0o077 == 0


def test_settings_reach_the_server() -> None:
    with embedded.Server(settings={"max_connections": "33", "FSYNC": "off", "listen_addresses": "localhost"}) as server:
        assert value(server.dsn, "show max_connections") == "33"
        assert value(server.dsn, "show fsync") == "off"
        assert value(server.dsn, "show listen_addresses") == "localhost"


def test_a_setting_that_postgres_refuses_is_answered_in_its_own_words(home: Path) -> None:
    with pytest.raises(embedded.EmbeddedServerError, match="unrecognized configuration parameter"):
        embedded.Server(home, settings={"no_such_setting": "on", **QUICK}).start()


@pytest.mark.parametrize("name", ["port", "unix_socket_directories", "DATA_DIRECTORY"])
def test_a_setting_that_is_the_servers_own_is_refused(name: str) -> None:
    with pytest.raises(embedded.EmbeddedServerError, match=f"chooses {name.lower()} itself"):
        embedded.Server(settings={name: "1"})


def test_without_a_path_the_directory_goes_with_the_server() -> None:
    with embedded.Server() as server:
        home = Path(str(value(server.dsn, "show data_directory"))).parent
        assert home.exists()
    assert not home.exists()
    assert not is_alive(server.pid)


def test_a_server_object_can_be_started_again_but_not_twice(home: Path) -> None:
    server = embedded.Server(home, settings=QUICK)
    with pytest.raises(embedded.EmbeddedServerError, match="was not started"):
        _ = server.dsn
    server.stop()
    for _ in range(2):
        with server:
            assert value(server.dsn, "select 1") == 1
            with pytest.raises(embedded.EmbeddedServerError, match="started already"):
                server.start()
        server.stop()


# Several users


def test_users_share_one_server_and_the_last_one_out_stops_it(home: Path) -> None:
    with user(home) as first, user(home) as second, embedded.Server(home) as third:
        pid, dsn = first.hear()
        assert second.hear() == [pid, dsn] == [str(third.pid), third.dsn]
        first.leave()
        second.leave()
        assert value(third.dsn, "select 1") == 1
        third.stop()
        assert not is_alive(int(pid))


def test_users_that_come_and_go_all_at_once_find_a_server_each_time(home: Path) -> None:
    script = """
    for _ in range(2):
        with embedded.Server(sys.argv[1], settings={"fsync": "off"}, temporary=True) as server:
            os.kill(server.pid, 0)
    say("well")
    """
    lines = [line.removeprefix("    ") for line in script.splitlines()]
    with contextlib.ExitStack() as stack:
        users = [stack.enter_context(user(home, "\n".join(lines))) for _ in range(2)]
        assert [one.hear() for one in users] == [["well"]] * 2
    until(lambda: not home.exists())


# Whatever is killed


@pytest.mark.parametrize("temporary", [False, True])
def test_when_every_user_is_killed_nothing_is_left_running(home: Path, temporary: bool) -> None:
    script = USE.replace("settings", f"temporary={temporary}, settings")
    with user(home, script) as first, user(home, script) as second:
        pid, dsn = first.hear()
        assert second.hear() == [pid, dsn]
        first.kill()
        assert value(dsn, "select 1") == 1
        second.kill()
    until(lambda: not processes_of(home))
    until(lambda: home.exists() != temporary)
    assert (home / "data").exists() != temporary


def test_a_user_that_is_killed_while_the_server_starts_leaves_nothing_running(home: Path) -> None:
    with user(home, USE.replace("settings", "temporary=True, settings")) as one:
        until(lambda: (home / "data.new").exists())
        one.kill()
    until(lambda: not (processes_of(home) or home.exists()))


@pytest.mark.skipif(platform.system() != "Linux", reason="asks the kernel for a signal at the death of a parent")
def test_when_even_the_supervisor_is_killed_nothing_is_left_running(home: Path) -> None:
    with user(home) as one:
        pid, _ = one.hear()
        os.kill(supervisor_of(home), signal.SIGKILL)
        one.kill()
        until(lambda: not is_alive(int(pid)))


def test_a_user_whose_supervisor_was_killed_can_leave_and_the_next_one_finds_a_server(home: Path) -> None:
    with embedded.Server(home, settings=QUICK) as first:
        os.kill(supervisor_of(home), signal.SIGKILL)
        with embedded.Server(home, settings=QUICK) as second:
            assert second.pid != first.pid
            # The same address leads the earlier users to the new server.
            assert value(first.dsn, "select 1") == 1


def test_a_supervisor_that_is_asked_to_end_stops_its_server(home: Path) -> None:
    with embedded.Server(home, settings=QUICK) as server:
        os.kill(supervisor_of(home), signal.SIGTERM)
        until(lambda: not is_alive(server.pid))


def test_a_server_that_was_killed_is_not_handed_out_and_its_sessions_end(home: Path) -> None:
    with embedded.Server(home, settings=QUICK) as first:
        connection = psycopg.pq.PGconn.connect(first.dsn.encode())
        busy = connection.backend_pid
        # Too busy to notice that its server is dead.
        connection.send_query(b"do $$ begin loop end loop; end $$")
        time.sleep(0.1)
        os.kill(first.pid, signal.SIGKILL)
        with embedded.Server(home, settings=QUICK) as second:
            assert second.pid != first.pid
            assert value(second.dsn, "select 1") == 1
            assert not is_alive(busy)
        connection.finish()


def test_a_pid_file_whose_number_belongs_to_another_process_now_does_no_harm(home: Path) -> None:
    with embedded.Server(home, settings=QUICK):
        pass
    account = directories.prepare(home)[1]
    other = subprocess.Popen(["/bin/sleep", "60"], cwd="/", user=account.user if account else None)
    try:
        (home / "data" / "postmaster.pid").write_text(f"{other.pid}\n{home}/data\n1\n5432\n{home}\n\n1 1\nready\n")
        (home / ".s.PGSQL.5432.lock").write_text(f"{other.pid}\n{home}/data\n1\n5432\n{home}\n")
        with embedded.Server(home, settings=QUICK) as server:
            assert value(server.dsn, "select 1") == 1
            assert server.pid != other.pid
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_without_the_systems_list_of_processes_the_server_of_a_dead_supervisor_is_still_known(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not Path("/bin/ps").exists():
        pytest.skip("needs ps")
    with embedded.Server(home, settings=QUICK) as server:
        found = cluster.Cluster(
            home, socket_directory=home, binaries=home, settings={}, temporary=False, start_timeout=1.0
        )
        assert server.pid in found.orphans()
        monkeypatch.setattr(os, "uname", lambda: os.uname_result(("Darwin", "", "", "", "")))
        assert found.orphans() == [server.pid]


def test_a_forked_child_neither_stops_the_server_nor_keeps_it_running(home: Path) -> None:
    script = """
with embedded.Server(sys.argv[1], settings={"fsync": "off"}) as server:
    say(server.pid, server.dsn)
    child = os.fork()
    if not child:
        server.stop()
        say("child", os.getpid())
        time.sleep(60)
    sys.stdin.read()
say("left")
sys.stdin.read()
"""
    with user(home, script) as parent:
        pid, dsn = parent.hear()
        _, child = parent.hear()
        try:
            assert value(dsn, "select 1") == 1
            assert parent.process.stdin is not None
            parent.process.stdin.close()
            parent.process.stdin = None
            assert parent.hear() == ["left"]
            assert is_alive(int(child))
            assert not is_alive(int(pid))
        finally:
            os.kill(int(child), signal.SIGKILL)


def test_a_program_that_does_not_stop_its_server_ends_in_silence(home: Path) -> None:
    run_silently(
        """
        import sys
        from pathlib import Path
        from adjourn import embedded

        server = embedded.Server(Path(sys.argv[1]))
        server.start()
        """,
        str(home),
    )


def test_an_interrupt_at_the_terminal_does_not_reach_the_server(home: Path) -> None:
    script = "signal.signal(signal.SIGINT, lambda *_: say('interrupted'))\nos.setpgid(0, 0)" + USE
    with user(home, script) as one:
        pid, dsn = one.hear()
        os.killpg(one.process.pid, signal.SIGINT)
        assert one.hear() == ["interrupted"]
        assert value(dsn, "select 1") == 1
        one.leave()
        assert not is_alive(int(pid))


# Directories


@pytest.mark.parametrize("name", ["n" * 120, "with a space, a comma and 'quotes'", "schön"])
def test_a_path_that_cannot_be_the_name_of_a_socket_is_no_obstacle(public_directory: Path, name: str) -> None:
    home = public_directory / name
    with embedded.Server(home, settings=QUICK) as first, embedded.Server(home) as second:
        assert second.pid == first.pid
        assert value(first.dsn, "select 1") == 1
        sockets = Path(str(value(first.dsn, "show unix_socket_directories")))
        assert sockets.parent == Path("/tmp")
        assert sockets.stat().st_mode & 0o077 == 0
    assert not sockets.exists()


def test_somebody_elses_directory_in_the_place_of_the_sockets_is_refused(public_directory: Path) -> None:
    home = public_directory / ("n" * 120)
    account = directories.prepare(home)[1]
    sockets = directories.socket_directory(home, account)
    sockets.mkdir(mode=0o777)
    try:
        with pytest.raises(embedded.EmbeddedServerError, match=f"{sockets}.*not a private directory"):
            embedded.Server(home).start()
        assert sockets.exists()
    finally:
        sockets.rmdir()


def test_a_data_directory_that_was_not_finished_is_made_anew(home: Path) -> None:
    home.mkdir()
    for file in ("lock", "data.new/PG_VERSION"):
        (home / file).parent.mkdir(exist_ok=True)
        (home / file).write_text("18\n")
    if IS_ROOT:
        account = accounts.account_for_root()
        for path in (home, home / "lock", home / "data.new", home / "data.new/PG_VERSION"):
            os.chown(path, account.user, account.group)
    with embedded.Server(home, settings=QUICK) as server:
        assert value(server.dsn, "select 1") == 1
        assert not (home / "data.new").exists()


def test_a_data_directory_is_served_by_the_version_that_made_it(home: Path) -> None:
    versions = {binaries.examine(directory, None).version: directory for directory in installations()[1:]}
    if not versions:
        pytest.skip("needs two installations of Postgres")
    version, directory = versions.popitem()
    with embedded.Server(home, binaries=directory, settings=QUICK) as server:
        assert server.version == version
    with embedded.Server(home, settings=QUICK) as server:
        assert server.version == version
    with pytest.raises(embedded.EmbeddedServerError, match=f"made by Postgres {version.split('.')[0]}"):
        embedded.Server(home, binaries=installations()[0]).start()


def test_a_data_directory_of_a_version_that_is_not_installed_is_refused(home: Path) -> None:
    with embedded.Server(home, settings=QUICK):
        pass
    (home / "data" / "PG_VERSION").write_text("9\n")
    with pytest.raises(embedded.EmbeddedServerError, match=r"made by Postgres 9, and only Postgres 9 can serve it"):
        embedded.Server(home).start()


def test_a_directory_that_something_else_lives_in_is_refused(public_directory: Path) -> None:
    (public_directory / "thesis.tex").touch()
    with pytest.raises(embedded.EmbeddedServerError, match="is not empty"):
        embedded.Server(public_directory).start()
    (public_directory / "PG_VERSION").touch()
    with pytest.raises(embedded.EmbeddedServerError, match="is the data directory of a Postgres server itself"):
        embedded.Server(public_directory).start()


def test_a_damaged_data_directory_is_refused(home: Path) -> None:
    (home / "data").mkdir(parents=True)
    if IS_ROOT:
        os.chown(home, accounts.account_for_root().user, -1)
    with pytest.raises(embedded.EmbeddedServerError, match="has no file PG_VERSION"):
        embedded.Server(home).start()


def test_a_file_in_the_place_of_the_directory_is_named(public_directory: Path) -> None:
    (public_directory / "file").touch()
    with pytest.raises(embedded.EmbeddedServerError, match=f"Not a directory: '{public_directory}/file"):
        embedded.Server(public_directory / "file" / "server").start()


@pytest.mark.skipif(not IS_ROOT, reason="only root's server runs as somebody else")
def test_a_directory_out_of_reach_of_the_servers_account_is_named(public_directory: Path) -> None:
    closed = public_directory / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(embedded.EmbeddedServerError, match=f"cannot enter {closed} on the way to {closed}/in/server"):
        embedded.Server(closed / "in" / "server").start()
    assert list(closed.iterdir()) == []


@pytest.mark.skipif(not IS_ROOT, reason="only root's server runs as somebody else")
def test_root_makes_a_way_for_the_servers_account_whatever_the_umask(public_directory: Path) -> None:
    home = public_directory / "new" / "server"
    umask = os.umask(0o077)
    try:
        with embedded.Server(home, settings=QUICK) as server:
            assert value(server.dsn, "select 1") == 1
    finally:
        os.umask(umask)
    assert home.owner() == accounts.account_for_root().name


# An ordinary user


@pytest.fixture
def plain_interpreter() -> str:
    """A Python that the user nobody can run."""
    if not IS_ROOT:
        pytest.skip("only root can become another user")
    account = accounts.account_of(pwd.getpwnam("nobody").pw_uid, 0)
    for interpreter in (sys.executable, "/usr/bin/python3", "/usr/local/bin/python3"):
        with contextlib.suppress(OSError):
            if accounts.run_as(account, interpreter, "-c", PREAMBLE, timeout=10).returncode == 0:
                return interpreter
    pytest.skip("no Python that can be run by everybody")


def test_an_ordinary_user_has_a_server_that_root_can_join(public_directory: Path, plain_interpreter: str) -> None:
    home = public_directory / "server"
    with user(home, interpreter=plain_interpreter, account="nobody") as one:
        pid, dsn = one.hear()
        assert Path(f"/proc/{pid}").owner() == home.owner() == "nobody"
        with embedded.Server(home) as server:
            assert (str(server.pid), server.dsn) == (pid, dsn)
            one.leave()
            assert value(dsn, "select 1") == 1
        assert not is_alive(int(pid))
    # And the other way round: root starts it in the ordinary user's directory.
    with (
        embedded.Server(home) as server,
        user(home, interpreter=plain_interpreter, account="nobody") as one,
    ):
        assert one.hear() == [str(server.pid), server.dsn]
        one.leave()


TRY = """
try:
    embedded.Server(sys.argv[1]).start()
except embedded.EmbeddedServerError as error:
    say(error)
"""


def test_an_ordinary_user_is_refused_in_somebody_elses_directory(home: Path, plain_interpreter: str) -> None:
    with embedded.Server(home, settings=QUICK):
        pass
    with user(home, TRY, interpreter=plain_interpreter, account="nobody") as one:
        assert " ".join(one.hear()).startswith(f"The directory {home} belongs to ")


def test_an_ordinary_user_is_told_which_directory_cannot_be_written(
    public_directory: Path, plain_interpreter: str
) -> None:
    closed = public_directory / "closed"
    closed.mkdir(mode=0o755)
    with user(closed / "server", TRY, interpreter=plain_interpreter, account="nobody") as one:
        assert f"Permission denied: '{closed}/server'. Use another" in " ".join(one.hear())


# Binaries


def test_missing_binaries_are_answered_with_the_way_to_install_them(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(binaries, "candidates", lambda: iter([]))
    with pytest.raises(embedded.EmbeddedServerError, match=r'No Postgres.*pip install "adjourn\[embedded\]"'):
        embedded.Server(home).start()


def test_the_binaries_of_a_directory_without_any_are_missed_by_name(home: Path, public_directory: Path) -> None:
    with pytest.raises(embedded.EmbeddedServerError, match=f"{public_directory} has no postgres and no initdb"):
        embedded.Server(home, binaries=public_directory).start()


def test_the_system_is_searched_when_the_wheel_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binaries, "WHEEL", "no_such_wheel")
    found = list(binaries.candidates())
    if not found:
        pytest.skip("no Postgres on the system")
    with embedded.Server(settings=QUICK) as server:
        assert binaries.examine(found[0], None).version == server.version


@pytest.fixture
def fake_binaries(public_directory: Path) -> Path:
    """Programs that tell a version, and are otherwise idle."""
    directory = public_directory / "bin"
    directory.mkdir()
    for program in ("postgres", "initdb"):
        script = f'#!/bin/sh\n[ "$1" = --version ] && echo "{program} (PostgreSQL) 18.4" && exit\nexec sleep 60\n'
        (directory / program).write_text(script)
        (directory / program).chmod(0o755)
    return directory


def test_programs_that_hang_are_given_up_after_the_start_timeout(home: Path, fake_binaries: Path) -> None:
    start = time.monotonic()
    with pytest.raises(embedded.EmbeddedServerError, match=r"initdb did not make a data directory in 0\.\d+ s"):
        embedded.Server(home, binaries=fake_binaries, start_timeout=0.5).start()
    made = home / "data"
    (home / "data.new").rename(made) if (home / "data.new").exists() else made.mkdir()
    (made / "PG_VERSION").write_text("18\n")
    with pytest.raises(embedded.EmbeddedServerError, match=r"Postgres was not ready in 0\.\d+ s"):
        embedded.Server(home, binaries=fake_binaries, start_timeout=0.5).start()
    assert time.monotonic() - start < 30


def test_a_server_that_another_process_starts_too_slowly_is_not_waited_for_longer_than_asked(
    home: Path, fake_binaries: Path
) -> None:
    script = "embedded.Server(sys.argv[1], binaries=os.path.dirname(sys.argv[1]) + '/bin', start_timeout=1.5).start()"
    with user(home, script):
        until(lambda: (home / "server.log").exists())
        with pytest.raises(embedded.EmbeddedServerError, match="being started or stopped by another process"):
            embedded.Server(home, start_timeout=0.2).start()


@pytest.mark.skipif(not IS_ROOT, reason="only root's server runs as somebody else")
def test_a_wheel_out_of_reach_of_the_servers_account_is_copied(
    home: Path, public_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = binaries.wheel_places()
    if not places:
        pytest.skip("needs the wheel")
    closed = public_directory / "closed"
    closed.mkdir(mode=0o700)
    package = places[0].parent.parent
    libraries = package.with_name(f"{package.name}.libs")
    for directory in (places[0].parent, libraries):
        # Linked, not copied: only the way there matters.
        shutil.copytree(directory, closed / directory.relative_to(package.parent), symlinks=True, copy_function=os.link)
    with pytest.raises(embedded.EmbeddedServerError, match="cannot be run as"):
        binaries.version_of(closed / places[0].relative_to(package.parent), accounts.account_for_root())
    hostile = public_directory / "hostile"
    hostile.mkdir()
    hostile.chmod(0o777)
    cache = public_directory / "cache"
    monkeypatch.setattr(binaries, "CACHES", (str(hostile), str(cache)))
    for _ in range(2):
        with embedded.Server(home, binaries=closed / places[0].relative_to(package.parent), settings=QUICK) as server:
            assert value(server.dsn, "select 1") == 1
    assert list(hostile.iterdir()) == []
    assert len(list(cache.iterdir())) == 1


def test_windows_is_refused_with_an_alternative(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Windows")
    with pytest.raises(embedded.EmbeddedServerError, match="does not run on Windows: install Postgres"):
        embedded.Server()
