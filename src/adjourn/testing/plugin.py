"""The pytest plugin: fixtures for the tests of a program that uses adjourn.

pytest finds it by itself. It imports the rest of adjourn, and connects to anything, only when a test uses a fixture.

`docs/how-to/testing.md` tells how to use it. ini options: ``adjourn_app``, ``adjourn_isolation``, ``adjourn_dsn``; command
line: ``--adjourn-dsn``, ``--adjourn-keep``; marker: ``@pytest.mark.adjourn(isolation=..., inline=..., queues=...)``.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from adjourn.app import App
    from adjourn.testing.kit.bound import AwaitedDrain, Drain, Jobs
    from adjourn.testing.kit.databases import RunDatabase
    from adjourn.testing.kit.isolation import Isolated
    from adjourn.testing.kit.workers import TestWorker

KINDS = ("memory", "transaction", "delete", "schema", "template")
MARKER = (
    "adjourn(isolation=None, inline=False, queues=None): where the test's jobs are stored "
    f"({', '.join(KINDS)}), whether they run where they are deferred, and which queues are drained."
)
DJANGO = "django"
DEFAULT = "default"
"""The database that Django's tests may use if they name none."""
COMMITTING = {"transactional_db", "django_db_reset_sequences", "live_server"}
"""The fixtures of pytest-django with which transactions are committed."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options."""
    group = parser.getgroup("adjourn")
    group.addoption("--adjourn-dsn", default=None, help="the database for tests with jobs in Postgres")
    group.addoption("--adjourn-keep", action="store_true", help="leave databases and jobs of tests to be looked at")
    parser.addini("adjourn_app", "the path of the app, such as package.module.app, or `django`", default="")
    parser.addini("adjourn_isolation", f"where tests store jobs: {', '.join(KINDS)}", default="")
    parser.addini("adjourn_dsn", "the database for tests with jobs in Postgres", default="")


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker, and check the options."""
    config.addinivalue_line("markers", MARKER)
    kind = config.getini("adjourn_isolation")
    if kind and kind not in KINDS:
        raise pytest.UsageError(f"adjourn_isolation = {kind}: pass one of {', '.join(KINDS)}.")


@pytest.hookimpl(wrapper=True)
def pytest_pycollect_makeitem(collector: pytest.Collector) -> Generator[None, Any, Any]:
    """Refuse markers that are not valid, as an error of the collection."""
    made: Any = yield
    for item in made if isinstance(made, list) else ():
        for marker in item.iter_markers("adjourn"):
            if wrong := what_is_wrong(marker):
                raise collector.CollectError(f"{item.nodeid}: @pytest.mark.adjourn: {wrong}")
    return made


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Name the database of Django's jobs, if that is another one, to the tests that use it.

    pytest-django makes the test databases that the collected tests name, and a test may use no others.
    """
    if config.getini("adjourn_app") != DJANGO or "django.conf" not in sys.modules:
        return
    alias = getattr(sys.modules["django.conf"].settings, "ADJOURN_DATABASE_ALIAS", DEFAULT)
    for item in items if alias != DEFAULT else ():
        kinds = [mark.kwargs["isolation"] for mark in item.iter_markers("adjourn") if mark.kwargs.get("isolation")]
        kind = [*kinds, config.getini("adjourn_isolation")][0]
        marker = item.get_closest_marker("django_db") or pytest.mark.django_db(transaction=kind == "delete").mark
        is_ours = any(name.startswith("adjourn_") for name in getattr(item, "fixturenames", ()))
        if is_ours and kind != "memory" and "databases" not in marker.kwargs and len(marker.args) < 3:
            databases = {"databases": [DEFAULT, alias]}
            item.add_marker(pytest.mark.django_db(*marker.args, **{**marker.kwargs, **databases}), append=False)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, Any, Any]:
    """Delete the jobs of a test whose transactions Django commits: it empties only the tables that it manages."""
    ours = sys.modules.get("adjourn.contrib.django.procrastinate_app")
    try:
        if ours is not None and _commits_in_django(item) and _may_be_used(ours.app):
            _kit("clearing").clear(ours.app)
    finally:
        # Whatever happens: a test that is not torn down spoils the next one.
        done = yield
    return done


def _commits_in_django(item: pytest.Item) -> bool:
    marker = item.get_closest_marker("django_db")
    is_marked = marker is not None and bool(marker.kwargs.get("transaction") or marker.args[:1] == (True,))
    return is_marked or bool(COMMITTING & set(getattr(item, "fixturenames", ())))


def _may_be_used(app: App) -> bool:
    """Return whether the jobs of Django's app have tables, in a database that the test may use."""
    try:
        return app.check_connection()
    except AssertionError:  # Django's: the test has not named the database, and so has stored nothing there
        return False


def what_is_wrong(marker: pytest.Mark) -> str | None:
    """Say what is wrong with the arguments of a marker; None if nothing is."""
    if marker.args:
        return f"positional argument {marker.args[0]!r}: pass isolation=, inline= or queues=."
    for name in marker.kwargs:
        if name not in ("isolation", "inline", "queues"):
            return f"there is no argument {name!r}: pass isolation=, inline= or queues=."
    kind, inline, queues = (marker.kwargs.get(name) for name in ("isolation", "inline", "queues"))
    if kind is not None and kind not in KINDS:
        return f"isolation={kind!r}: pass one of {', '.join(KINDS)}."
    if not isinstance(inline, bool | None):
        return f"inline={inline!r}: pass True or False."
    if queues is not None and not (isinstance(queues, list | tuple) and all(isinstance(each, str) for each in queues)):
        return f"queues={queues!r}: pass a list of names."
    return None


@pytest.fixture(scope="session")
def _adjourn_database(pytestconfig: pytest.Config) -> Iterator[Callable[[], RunDatabase]]:
    """The database of this process, which is made when a test first needs it."""
    made: list[RunDatabase] = []
    with contextlib.ExitStack() as stack:

        def database() -> RunDatabase:
            if not made:
                dsn = pytestconfig.getoption("--adjourn-dsn") or pytestconfig.getini("adjourn_dsn") or None
                block = _kit("databases").database_of_run(
                    dsn,
                    run=os.environ.get("PYTEST_XDIST_TESTRUNUID", f"process-{os.getpid()}"),
                    worker=os.environ.get("PYTEST_XDIST_WORKER"),
                    schema="adjourn",
                    keep=pytestconfig.getoption("--adjourn-keep"),
                )
                made.append(stack.enter_context(block))
            return made[0]

        yield database


@pytest.fixture(scope="session")
def adjourn_dsn(_adjourn_database: Callable[[], RunDatabase]) -> str:
    """The address of the tests' database: ``--adjourn-dsn``, or a server that is started for the run. Each worker of
    pytest-xdist has its own. adjourn's tables are in it; make yours beside them."""
    with _told():
        return _adjourn_database().dsn


@pytest.fixture
def adjourn_isolate(request: pytest.FixtureRequest) -> Iterator[Callable[[App], App]]:
    """A function that isolates an app until the end of the test, and returns it: for a fixture ``adjourn_app`` of yours."""
    with contextlib.ExitStack() as stack:
        taken: dict[int, Isolated] = request.node.stash.setdefault(_ISOLATED, {})

        def isolate(app: App) -> App:
            with _told():
                block = _isolated(request, app)
                taken[id(app)] = stack.enter_context(block)
                if _marked(request, "inline"):
                    stack.enter_context(_kit("inlining").inline(app))
            return app

        yield isolate
        taken.clear()


@pytest.fixture
def adjourn_app(pytestconfig: pytest.Config, adjourn_isolate: Callable[[App], App]) -> App:
    """The app that the ini option ``adjourn_app`` names, isolated from other tests."""
    path = pytestconfig.getini("adjourn_app")
    if not path:
        pytest.fail(
            "Tell the tests where your app is: `adjourn_app = package.module.app` (or `django`) in the ini file, or define a "
            "fixture adjourn_app that returns adjourn_isolate(app).",
            pytrace=False,
        )
    with _told():
        if path == DJANGO:
            app: App = importlib.import_module("adjourn.contrib.django").app
        else:
            app = importlib.import_module("adjourn.app").App.from_path(path)
    return adjourn_isolate(app)


@pytest.fixture
def adjourn_jobs(adjourn_app: App) -> Jobs:
    """What was deferred: ``deferred``, ``assert_deferred``, ``refute_deferred``; and ``periodic``."""
    jobs: Jobs = _kit("bound").Jobs(adjourn_app)
    return jobs


@pytest.fixture
def adjourn_drain(request: pytest.FixtureRequest, adjourn_app: App) -> Drain:
    """A function that runs the jobs that are ready. See `adjourn.testing.drain`."""
    drain: Drain = _kit("bound").Drain(adjourn_app, _marked(request, "queues"))
    return drain


@pytest.fixture
def adjourn_drain_async(request: pytest.FixtureRequest, adjourn_app: App) -> AwaitedDrain:
    """A function that runs the jobs that are ready, to be awaited. See `adjourn.testing.drain_async`."""
    drain: AwaitedDrain = _kit("bound").AwaitedDrain(adjourn_app, _marked(request, "queues"))
    return drain


@pytest.fixture
def adjourn_travel(adjourn_app: App) -> Callable[..., None]:
    """A function that lets time pass, such as ``adjourn_travel(hours=1)``. See `adjourn.testing.travel`."""
    clock = _kit("clock")

    def travel(**delta: float) -> None:
        clock.travel(adjourn_app, **delta)

    return travel


@pytest.fixture
def adjourn_worker(request: pytest.FixtureRequest, adjourn_app: App) -> Iterator[TestWorker]:
    """A real worker in a thread: ``wait_idle(timeout)``. It stops when the test ends; if it fails, the test fails."""
    isolated: Isolated | None = request.node.stash.get(_ISOLATED, {}).get(id(adjourn_app))
    if isolated is None:
        pytest.fail("adjourn_worker: have your fixture adjourn_app return adjourn_isolate(app).", pytrace=False)
    with _told():
        worker: TestWorker = _kit("workers").TestWorker(
            adjourn_app, isolated.new_connector(), queues=_marked(request, "queues")
        )
    with worker:
        yield worker


_ISOLATED = pytest.StashKey["dict[int, Isolated]"]()


def _kit(name: str) -> Any:
    """Import a module of the kit, which needs much of adjourn."""
    return importlib.import_module(f"adjourn.testing.kit.{name}")


def _marked(request: pytest.FixtureRequest, name: str) -> Any:
    """Return an argument of the test's marker, the closest that has it; None without one."""
    for marker in request.node.iter_markers("adjourn"):
        if wrong := what_is_wrong(marker):  # a test of unittest's, which pytest collects differently
            pytest.fail(f"@pytest.mark.adjourn: {wrong}", pytrace=False)
        if marker.kwargs.get(name) is not None:
            return marker.kwargs[name]
    return None


def _isolated(request: pytest.FixtureRequest, app: App) -> contextlib.AbstractContextManager[Isolated]:
    isolation = _kit("isolation")
    is_django = isolation.is_django(app)
    kind = _marked(request, "isolation") or request.config.getini("adjourn_isolation")
    kind = kind or ("transaction" if is_django else "memory")
    if is_django and kind in ("transaction", "delete"):
        # pytest-django makes the test database, and lets tests use it.
        if kind == "delete":
            request.node.add_marker(pytest.mark.django_db(transaction=True))
        request.getfixturevalue("db" if kind == "transaction" else "transactional_db")
    database = request.getfixturevalue("_adjourn_database")
    block: contextlib.AbstractContextManager[Isolated] = isolation.isolated(app, kind, database)
    return block


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Have the test fail with the message of an error of ours, and without a traceback."""
    try:
        yield
    except importlib.import_module("adjourn.exceptions").AdjournException as error:
        raise pytest.fail.Exception(f"{type(error).__name__}: {error}", pytrace=False) from None
