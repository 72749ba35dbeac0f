"""`adjourn.contrib.flask`: the extension in Flask applications that are real."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import flask
import psycopg
import pytest
from flask_sqlalchemy import SQLAlchemy

import adjourn
from adjourn.contrib.flask import Adjourn
from adjourn.contrib.flask.settings import FlaskSettings
from adjourn.exceptions import (
    AlreadyEnqueued,
    AppNotOpen,
    InvalidConnection,
    InvalidOption,
    TaskNotFound,
    UnboundTaskError,
    UnknownOption,
)
from adjourn.testing import InMemoryConnector, assert_deferred, drain, refute_deferred
from support.addresses import address
from support.databases import apply_schema, new_database
from support.sessions import Sessions

Make = Callable[..., flask.Flask]


@pytest.fixture
def make() -> Iterator[Make]:
    """Make Flask applications that are bound to an extension; what they opened is closed."""
    made: list[flask.Flask] = []

    def create(extension: Adjourn, name: str = "shop", **config: Any) -> flask.Flask:
        app = flask.Flask(name)
        app.config.update(config)
        extension.init_app(app)
        made.append(app)
        return app

    yield create
    for each in made:
        if "adjourn" in each.extensions:
            each.extensions["adjourn"].app.close()


@pytest.fixture
def jobs() -> Adjourn:
    """An extension with a task, bound to nothing."""
    jobs = Adjourn()

    @jobs.task(name="add")
    def add(name: str) -> None:
        seen.append((name, flask.current_app.name, flask.has_request_context(), hasattr(flask.g, "seen")))
        flask.g.seen = True
        if name == "bad":
            raise ValueError(name)

    @jobs.task(name="add_async")
    async def add_async(name: str) -> None:
        seen.append((name, flask.current_app.name, flask.has_request_context(), hasattr(flask.g, "seen")))
        flask.g.seen = True
        await add.defer_async(name="from a job")

    seen.clear()
    return jobs


seen: list[tuple[str, str, bool, bool]] = []


def names(observer: psycopg.Connection) -> list[str]:
    """Return the names of the jobs that have been stored, finished ones included."""
    rows = observer.execute("SELECT args ->> 'name' FROM adjourn.adjourn_all_jobs ORDER BY id")
    return [name for (name,) in rows]


# Binding


def test_two_applications_of_one_factory_defer_each_to_its_own_database(
    jobs: Adjourn, make: Make, database: str, server_dsn: str, observer: psycopg.Connection
) -> None:
    with new_database(server_dsn, "adjourn_flask_other") as elsewhere:
        apply_schema(elsewhere)
        here = make(jobs, "here", ADJOURN_DSN=database)
        there = make(jobs, "there", ADJOURN_DSN=elsewhere)
        for each in (here, there):
            with each.app_context():
                jobs.configure_task("add").defer(name=each.name)
                assert jobs.app is each.extensions["adjourn"].app
                [job] = jobs.app.job_manager.list_jobs()
                assert job.task_kwargs == {"name": each.name}
        assert names(observer) == ["here"]
        with pytest.raises(UnboundTaskError, match="app_context"):
            jobs.app.job_manager.list_jobs()
        there.extensions["adjourn"].app.close()


def test_the_only_application_need_not_be_current(
    jobs: Adjourn, make: Make, database: str, observer: psycopg.Connection
) -> None:
    app = make(jobs, ADJOURN_DSN=database)
    jobs.app.tasks["add"].defer(name="ann")
    with app.test_request_context():
        jobs.app.tasks["add"].defer(name="bob")
    assert names(observer) == ["ann", "bob"]


def test_before_init_app_tasks_can_be_declared_and_a_defer_names_it(
    make: Make, database: str, observer: psycopg.Connection
) -> None:
    jobs = Adjourn()

    @jobs.task
    def add(name: str) -> None: ...

    @jobs.periodic(cron="0 0 * * *")
    @jobs.task
    def tick(timestamp: int) -> None: ...

    urgent = add.configure(priority=5, task_kwargs={"name": "x"})
    for deferring in (lambda: add.defer(name="x"), urgent.defer, jobs.configure_task("other").defer):
        with pytest.raises(AppNotOpen, match="init_app"):
            deferring()
    assert names(observer) == []
    app = make(jobs, ADJOURN_DSN=database)
    urgent.defer()
    add.defer(name="y")
    assert names(observer) == ["x", "y"]
    assert len(app.extensions["adjourn"].app.periodic_registry.periodic_tasks) == 1


def test_binding_twice_does_nothing_and_another_extension_is_refused(jobs: Adjourn, make: Make) -> None:
    app = make(jobs, ADJOURN_TESTING=True)
    bound = app.extensions["adjourn"]
    jobs.init_app(app)
    assert app.extensions["adjourn"] is bound
    with pytest.raises(InvalidOption, match="another `Adjourn` already"):
        Adjourn().init_app(app)


def test_the_extension_can_be_bound_when_it_is_made(database: str, observer: psycopg.Connection) -> None:
    app = flask.Flask("shop")
    app.config["ADJOURN_DSN"] = database
    jobs = Adjourn(app)

    @jobs.task
    def add(name: str) -> None: ...

    add.defer(name="ann")
    assert names(observer) == ["ann"]
    jobs.app.close()


def test_an_app_of_the_users_is_used_as_it_is(make: Make, database: str, observer: psycopg.Connection) -> None:
    own = adjourn.App(connector=adjourn.PsycopgConnector(database))

    @own.task(name="add")
    def add(name: str) -> None:
        seen.append((name, flask.current_app.name, flask.has_request_context(), False))

    seen.clear()
    jobs = Adjourn(adjourn_app=own)
    make(jobs, "shop")
    assert jobs.app is own
    add.defer(name="ann")
    own.run_worker(wait=False)
    assert seen == [("ann", "shop", False, False)]
    for config in ({"ADJOURN_DSN": database}, {"ADJOURN_SCHEMA": "x"}):
        with pytest.raises(InvalidOption, match="`adjourn_app` has its own"):
            make(jobs, **config)
    with pytest.raises(InvalidOption, match=r"pass an adjourn\.App"):
        Adjourn(adjourn_app="shop.app")  # type: ignore[arg-type]


# Settings


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (
            {"ADJOURN_POOL_MAXSIZE": 5},
            r"'ADJOURN_POOL_MAXSIZE'; did you mean 'ADJOURN_POOL_MAX_SIZE'\?.*ADJOURN_SCHEMA",
        ),
        ({"ADJOURN_POOL_MAX_SIZE": "5"}, "ADJOURN_POOL_MAX_SIZE='5'"),
        ({"ADJOURN_POOL_MAX_SIZE": 0}, "ADJOURN_POOL_MAX_SIZE=0"),
        ({"ADJOURN_POOL_MIN_SIZE": 11}, "ADJOURN_POOL_MIN_SIZE=11"),
        ({"ADJOURN_POOL_TIMEOUT": "soon"}, "ADJOURN_POOL_TIMEOUT='soon'"),
        ({"ADJOURN_TESTING": "no"}, "ADJOURN_TESTING='no'"),
        ({"ADJOURN_DSN": 5}, "ADJOURN_DSN: pass text"),
        ({"ADJOURN_DSN": "postgresql+pg8000://localhost/shop"}, "its driver is 'pg8000'"),
        ({"ADJOURN_DSN": "postgresql://localhost/shop", "ADJOURN_WORKER_DEFAULTS": {"concurency": 5}}, "'concurrency'"),
        ({"ADJOURN_DSN": "postgresql://localhost/shop", "ADJOURN_SCHEMA": ""}, "schema"),
        ({}, "Set ADJOURN_DSN"),
        ({"SQLALCHEMY_DATABASE_URI": "sqlite://"}, "SQLALCHEMY_DATABASE_URI is on sqlite"),
    ],
)
def test_a_wrong_setting_is_refused_by_its_name_when_the_application_is_made(
    jobs: Adjourn, make: Make, config: dict[str, Any], said: str
) -> None:
    with pytest.raises(InvalidOption, match=said):
        make(jobs, **config)


def test_defaults_stand_behind_the_configuration(make: Make) -> None:
    jobs = Adjourn(schema="jobs", testing=True, import_paths=["shop.tasks"])
    assert make(jobs, ADJOURN_SCHEMA="queue").extensions["adjourn"].app.job_manager.schema == "queue"
    assert make(jobs).extensions["adjourn"].app.import_paths == ("shop.tasks",)
    with pytest.raises(UnknownOption, match="'ADJOURN_SHEMA'"):
        make(Adjourn(shema="jobs", testing=True))


def test_options_of_the_app_are_settings(make: Make) -> None:
    config = {"ADJOURN_STORE_RESULTS": True, "ADJOURN_RESULT_TTL": 60.0, "ADJOURN_PERIODIC_DEFAULTS": {"max_delay": 5}}
    app = make(Adjourn(), ADJOURN_TESTING=True, **config).extensions["adjourn"].app
    assert (app.store_results, app.result_ttl, app.periodic_defaults) == (True, 60.0, {"max_delay": 5})
    with pytest.raises(InvalidOption, match="store_results"):
        make(Adjourn(), ADJOURN_TESTING=True, ADJOURN_STORE_RESULTS="yes")
    limits = {"mail": adjourn.Limit(concurrency=3)}
    app = make(Adjourn(), ADJOURN_TESTING=True, ADJOURN_QUEUE_LIMITS=limits).extensions["adjourn"].app
    assert app.queue_limits == limits


def test_every_option_of_an_app_is_a_setting() -> None:
    options = {*inspect.signature(adjourn.App).parameters} - {"connector"}
    assert options <= {each.name for each in attrs.fields(FlaskSettings)}


def test_for_tests_jobs_are_kept_in_memory(jobs: Adjourn, make: Make) -> None:
    with make(jobs, ADJOURN_TESTING=True).app_context():
        jobs.app.tasks["add"].defer(name="ann")
        assert isinstance(jobs.app.connector, InMemoryConnector)
        assert len(jobs.app.connector.jobs) == 1


# Connections


def test_nothing_is_opened_before_the_first_defer(jobs: Adjourn, make: Make, database: str, sessions: Sessions) -> None:
    app = make(jobs, ADJOURN_DSN=database, ADJOURN_POOL_MIN_SIZE=1, ADJOURN_POOL_MAX_SIZE=2)
    with app.app_context():
        assert len(jobs.app.tasks) > 0
        assert sessions.count() == 0
        jobs.app.tasks["add"].defer(name="ann")
        assert sessions.count() == 1


def test_an_unreachable_database_is_an_error_of_the_defer_alone(jobs: Adjourn, make: Make) -> None:
    make(jobs, ADJOURN_DSN="postgresql://127.0.0.1:1/nothing", ADJOURN_POOL_TIMEOUT=0.5)
    for _ in range(2):
        with pytest.raises(adjourn.exceptions.ConnectorException, match="Cannot connect"):
            jobs.app.tasks["add"].defer(name="ann")


def test_an_async_view_blocks_and_is_told_so_if_it_awaits(
    jobs: Adjourn, make: Make, database: str, observer: psycopg.Connection
) -> None:
    app = make(jobs, ADJOURN_DSN=database)
    add = jobs.app.tasks["add"]

    # Flask runs async views with asgiref.
    @app.get("/block")
    async def block() -> dict[str, int]:
        return {"job": add.defer(name="ann")}

    @app.get("/await")
    async def awaiting() -> dict[str, str]:
        with pytest.raises(
            (AppNotOpen, adjourn.exceptions.WrongCaller), match=r"event loop of its own.*`defer`"
        ) as caught:
            await add.defer_async(name="bob")
        return {"said": str(caught.value)}

    client = app.test_client()
    assert client.get("/await").status_code == 200
    assert client.get("/block").status_code == 200
    assert client.get("/await").status_code == 200
    assert names(observer) == ["ann"]


# Transactions


class Shop:
    """An application with Flask-SQLAlchemy, and a task that reads its models."""

    def __init__(self, make: Make, database: str, driver: str) -> None:
        self.db = db = SQLAlchemy()
        self.jobs = jobs = Adjourn()
        self.read: list[str] = []
        self.removed: list[bool] = []
        self.app = app = flask.Flask("shop")
        app.config["SQLALCHEMY_DATABASE_URI"] = address(database, driver)
        app.config["MOTTO"] = "sold"
        db.init_app(app)
        jobs.init_app(app)

        class Order(db.Model):  # type: ignore[name-defined,misc]
            __tablename__ = "scratch"
            id = db.Column(db.Integer, primary_key=True)
            name = db.Column(db.String)

        @jobs.task(name="ship")
        def ship(order_id: int) -> None:
            order = db.session.get_one(Order, order_id)
            self.read.append(f"{flask.current_app.config['MOTTO']}: {order.name}")
            self.removed.append(len(db.session.registry.registry) == 1)

        self.Order, self.ship = Order, ship

    def close(self) -> None:
        """Give back all connections."""
        with self.app.app_context():
            self.db.engine.dispose()
        self.app.extensions["adjourn"].app.close()


@pytest.fixture(params=["psycopg", "psycopg2"])
def shop(request: pytest.FixtureRequest, make: Make, database: str, scratch: str) -> Iterator[Shop]:
    """Such an application, on each driver that Flask-SQLAlchemy may use."""
    shop = Shop(make, database, request.param)
    yield shop
    shop.close()


def test_a_job_shares_the_fate_of_flask_sqlalchemys_session(shop: Shop, observer: psycopg.Connection) -> None:
    with shop.app.app_context():
        session = shop.db.session
        for ends in (session.rollback, session.commit):
            order = shop.Order(name="ann")
            session.add(order)
            session.flush()
            shop.jobs.defer_in(session).defer(shop.ship, order_id=order.id)
            shop.ship.configure(connection=session).defer(order_id=order.id)
            ends()
    assert observer.execute("SELECT count(*) FROM scratch").fetchone() == (1,)
    assert observer.execute("SELECT count(*) FROM adjourn.adjourn_jobs").fetchone() == (2,)


def test_options_can_be_set_in_a_transaction(shop: Shop, observer: psycopg.Connection) -> None:
    with shop.app.app_context():
        deferrer = shop.jobs.defer_in(shop.db.session).configure(shop.ship, queueing_lock="one", queue="slow")
        deferrer.defer(order_id=1)
        with pytest.raises(AlreadyEnqueued):
            deferrer.defer(order_id=2)
        shop.db.session.commit()
    assert observer.execute("SELECT queue FROM adjourn.adjourn_jobs").fetchall() == [("slow",)]


def test_the_worker_of_flask_runs_jobs_that_read_the_configuration_and_models(shop: Shop) -> None:
    with shop.app.app_context():
        order = shop.Order(name="ann")
        shop.db.session.add(order)
        shop.db.session.commit()
        shop.ship.defer(order_id=order.id)
    done = shop.app.test_cli_runner().invoke(args=["adjourn", "worker", "--one-shot"])
    assert (done.exit_code, shop.read, shop.removed) == (0, ["sold: ann"], [True]), done.output
    # The job's session was removed with its context.
    assert len(shop.db.session.registry.registry) == 0


def test_the_testing_kit_runs_jobs_in_the_context_and_in_the_transaction_of_a_session(
    shop: Shop, observer: psycopg.Connection
) -> None:
    with shop.app.app_context():
        session = shop.db.session
        order = shop.Order(name="ann")
        session.add(order)
        session.commit()
        shop.jobs.defer_in(session).defer(shop.ship, order_id=order.id)
        assert_deferred(shop.jobs.app, shop.ship, args={"order_id": order.id}, connection=session)
        drained = drain(shop.jobs.app, connection=session)
        assert (drained.succeeded, shop.read) == (1, ["sold: ann"])
        session.rollback()
        refute_deferred(shop.jobs.app)
        shop.ship.defer(order_id=order.id)
        assert drain(shop.jobs.app).succeeded == 1
    assert shop.read == ["sold: ann"] * 2


def test_a_session_on_another_driver_is_refused_with_both_names(
    jobs: Adjourn, make: Make, database: str, scratch: str
) -> None:
    shop = Shop(make, database, "psycopg2")
    make(jobs, ADJOURN_DSN=database)
    with shop.app.app_context(), pytest.raises(InvalidConnection, match=r"postgresql\+psycopg2.*postgresql\+psycopg\b"):
        jobs.defer_in(shop.db.session).defer(jobs.app.tasks["add"], name="x")
    shop.close()


# Workers and commands


@pytest.mark.parametrize("task", ["add", "add_async"])
def test_each_job_runs_in_a_context_of_its_own_without_a_request(
    jobs: Adjourn, make: Make, database: str, task: str
) -> None:
    app = make(jobs, "shop", ADJOURN_DSN=database, ADJOURN_WORKER_DEFAULTS={"concurrency": 1})
    popped: list[object] = []
    app.teardown_appcontext(popped.append)
    with app.app_context():
        for name in ("ann", "bob"):
            jobs.app.tasks[task].defer(name=name)
    popped.clear()
    with app.app_context():
        jobs.app.run_worker(wait=False)
    assert seen[:2] == [("ann", "shop", False, False), ("bob", "shop", False, False)]
    assert len(seen) == (2 if task == "add" else 4)
    assert len(popped) == len(seen) + 1


def test_the_context_is_popped_whatever_the_job_raises(jobs: Adjourn, make: Make, database: str) -> None:
    app = make(jobs, ADJOURN_DSN=database)
    errors: list[BaseException | None] = []
    app.teardown_appcontext(errors.append)
    with app.app_context():
        jobs.app.tasks["add"].defer(name="bad")
    errors.clear()
    jobs.app.run_worker(wait=False)
    assert [type(error) for error in errors] == [ValueError]


def test_the_users_own_middleware_runs_within_the_context(jobs: Adjourn, make: Make, database: str) -> None:
    inside: list[bool] = []

    def watch(call_next: Callable[[], Any], context: Any, worker: Any) -> Any:
        inside.append(flask.has_app_context())
        return call_next()

    make(jobs, ADJOURN_DSN=database, ADJOURN_WORKER_DEFAULTS={"task_middleware": [watch]})
    jobs.app.tasks["add"].defer(name="ann")
    jobs.app.run_worker(wait=False)
    assert inside == [True]


def test_the_commands_work_with_the_applications_own_app(
    jobs: Adjourn, make: Make, database: str, observer: psycopg.Connection
) -> None:
    run = make(jobs, ADJOURN_DSN=database).test_cli_runner().invoke
    assert run(args=["adjourn", "healthchecks"]).exit_code == 0
    assert run(args=["adjourn", "schema", "--version"]).exit_code == 0
    assert run(args=["adjourn", "defer", "add", '{"name": "ann"}', "--queue", "mail"]).exit_code == 0
    assert "mail" in run(args=["adjourn", "shell", "list_queues"]).output
    assert names(observer) == ["ann"]
    wrong = run(args=["adjourn", "worker", "--one-shoot"])
    assert (wrong.exit_code, "did you mean '--one-shot'?" in wrong.output) == (2, True)
    unknown = run(args=["adjourn", "defer", "ad"])
    assert (unknown.exit_code, unknown.output.startswith("Error: ")) == (1, True)


def test_modules_of_tasks_are_imported_by_workers(
    make: Make, database: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shop_tasks.py").write_text("from __main__ import nothing_there", "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    app = make(Adjourn(), ADJOURN_DSN=database, ADJOURN_IMPORT_PATHS=["shop_tasks"])
    done = app.test_cli_runner().invoke(args=["adjourn", "worker", "--one-shot"])
    assert (done.exit_code, "shop_tasks" in done.output) == (1, True), done.output


def test_an_unknown_task_is_refused(jobs: Adjourn, make: Make) -> None:
    make(jobs, ADJOURN_TESTING=True)
    with pytest.raises(TaskNotFound):
        jobs.configure_task("ad", allow_unknown=False)


def test_without_flask_the_import_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "adjourn.contrib.flask")
    monkeypatch.setitem(sys.modules, "flask", None)
    with pytest.raises(ImportError, match=r"pip install 'adjourn\[flask\]'"):
        importlib.import_module("adjourn.contrib.flask")
