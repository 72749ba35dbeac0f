"""The roles of a database: what each may do with the grants that `schema --roles` prints, and what it may not."""

from __future__ import annotations

import datetime
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

import adjourn
from adjourn import schema
from adjourn.exceptions import AlreadyEnqueued, ConnectorException, WaitTimeout
from adjourn.jobs import Author, Seen, Status
from adjourn.monitor import Reader, exports, statistics
from adjourn.testing import InMemoryConnector
from support.databases import apply_schema, new_database

ROLES = {kind: f"adjourn_test_{kind}_{os.getpid()}" for kind in schema.ROLES}


@pytest.fixture(scope="module")
def address(server_dsn: str) -> Iterator[str]:
    """The address of a database whose schema belongs to a role of its own, with a role of each other kind."""
    with (
        new_database(server_dsn, f"adjourn_roles_{os.getpid()}") as dsn,
        psycopg.connect(dsn, autocommit=True) as connection,
    ):
        for role in ROLES.values():
            connection.execute(f'create role "{role}" login'.encode())
        # As careful administrators do.
        connection.execute("alter default privileges revoke execute on functions from public")
        connection.execute(
            f'alter default privileges for role "{ROLES["owner"]}" revoke execute on functions from public'.encode()
        )
        connection.execute(schema.grants("owner", ROLES["owner"]).encode())
        apply_schema(as_role(dsn, "owner"))
        with psycopg.connect(as_role(dsn, "owner"), autocommit=True) as owner:
            for kind in set(ROLES) - {"owner"}:
                owner.execute(schema.grants(kind, ROLES[kind]).encode())
        yield dsn
        for role in ROLES.values():
            connection.execute(f'drop owned by "{role}" cascade'.encode())
            connection.execute(f'drop role "{role}"'.encode())


def as_role(dsn: str, kind: str) -> str:
    return psycopg.conninfo.make_conninfo(dsn, user=ROLES[kind])


def app_of(address: str, kind: str) -> adjourn.App:
    app = adjourn.App(connector=adjourn.PsycopgConnector(as_role(address, kind)))

    @app.task(name="work")
    def work() -> None:
        pass

    return app


@pytest.fixture
def filled(address: str) -> str:
    """A job that waits, and one that has ended; no other."""
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute("delete from adjourn.adjourn_jobs")
        connection.execute("delete from adjourn.adjourn_finished_jobs")
        connection.execute("delete from adjourn.adjourn_schedules")
    app = app_of(address, "worker")
    with app.open():
        app.tasks["work"].defer()
        app.run_worker(wait=False)
        app.tasks["work"].defer()
    return address


def defer(app: adjourn.App) -> None:
    """Defer jobs in every way that there is."""
    work = app.tasks["work"]
    work.defer()
    work.configure(lock="l", queueing_lock="q", schedule_in={"seconds": 60}).defer()
    work.batch_defer({}, {})
    with pytest.raises(AlreadyEnqueued) as raised:
        work.configure(queueing_lock="q").batch_defer({})
    assert raised.value.__cause__.queueing_lock == "q"  # type: ignore[union-attr]
    many = [work.configure(queueing_lock=f"q{number}", lock="l").job for number in range(3)]
    assert len(app.job_manager.batch_defer_jobs(many)) == 3
    flow = app.workflow()
    flow.add(work, depends_on={"group": flow.map(work, [{}, {}])})
    stored = flow.defer()
    more = app.workflow(extends=stored.id)
    more.add(work)
    assert more.defer().id == stored.id
    for policy in ("skip", "replace"):
        assert work.configure(unique=adjourn.Unique(over=["todo", "failed"], on_conflict=policy)).defer()
    with pytest.raises(AlreadyEnqueued):
        work.configure(unique=adjourn.Unique()).defer()
    limited = app.task(name="limited", limits=adjourn.Limit(key="tenant", concurrency=1))(lambda tenant: None)
    limited.batch_defer({"tenant": "a"}, {"tenant": "b"})
    assert app.check_connection()
    app.schema_manager.check_version()
    app.schema_manager.try_out("producer")
    event = f"of {app.connector}"
    assert app.send_event(event, 1)
    assert not app.send_event(event, 2)


def read(app: adjourn.App) -> None:
    """Read all that there is to read, and wait for jobs."""
    manager = app.job_manager
    with pytest.raises(WaitTimeout):
        manager.wait_for_jobs([job.id or 0 for job in manager.list_jobs()], timeout=0)
    assert [job.status for job in manager.list_jobs()] == ["succeeded", "todo"]
    assert manager.get_job_status(manager.list_jobs()[0].id or 0) is Status.SUCCEEDED
    assert [job.status for job in manager.search_jobs(newest_first=False).jobs] == ["todo", "succeeded"]
    assert manager.list_queues()
    assert manager.list_tasks()
    assert manager.list_locks() == []
    assert manager.list_workers() == []
    assert manager.list_schedules() == []
    assert manager.list_pauses() == []
    assert all(limit.waiting == 0 for limit in manager.list_limits())
    assert manager.get_stalled_jobs() == []


def app_of_flow(app: adjourn.App) -> int:
    """Store a workflow of two jobs as a worker may, and return its id."""
    with app_of(psycopg.conninfo.make_conninfo(app.connector.pool.conninfo), "worker") as maker:  # type: ignore[attr-defined]
        maker.open()
        flow = maker.workflow()
        flow.chain(maker.tasks["work"], maker.tasks["work"])
        return flow.defer().id


def change(app: adjourn.App) -> None:
    """Change jobs in every way."""
    manager = app.job_manager
    ended, waiting = (job.id or 0 for job in manager.list_jobs())
    stored = app_of_flow(app)
    assert manager.cancel_workflow(stored, abort=True) == 2
    assert manager.retry_workflow(stored) == 2
    assert manager.cancel_workflow(stored) == 2
    assert len(manager.delete_jobs([stored + 1, stored + 2])) == 2
    assert manager.set_limit(queue="q", concurrency=1)
    assert manager.reset_limit(queue="q")
    assert manager.pause_task("work")
    assert manager.resume_task("work")
    assert manager.pause_schedule("work", cron="@daily")
    assert manager.resume_schedule("work")
    with app.connector.transaction() as connection:
        manager.actions.hold_job(waiting, Seen(status="todo", claim=0), connection)
        assert manager.change_jobs([waiting], priority=1, move_to="other", now=True, connection=connection) == [waiting]
        author = Author(name="ann", how="test")
        assert manager.actions.add_audit(author, "job.priority", target=str(waiting), connection=connection)
    assert manager.actions.list_audit(target=str(waiting))
    manager.retry_job_by_id(ended, lock="l")
    assert manager.cancel_job_by_id(ended)
    assert manager.cancel_job_by_id(waiting, delete_job=True)
    assert not manager.cancel_job_by_id(waiting, abort=True)
    assert manager.delete_old_jobs(nb_hours=0, include_cancelled=True) == 1


def work(app: adjourn.App) -> None:
    """Run a worker, which has a periodic task, and jobs with a lock."""
    app.periodic(cron="* * * * * *")(app.task(name="tick")(lambda timestamp: None))
    app.tasks["work"].configure(lock="l").batch_defer({}, {})
    app.run_worker(wait=False)
    assert {job.status for job in app.job_manager.list_jobs(task="work")} == {"succeeded"}
    assert app.job_manager.list_jobs(task="tick") != []

    @app.task(name="lasting", pass_context=True)
    def lasting(context: adjourn.JobContext) -> None:
        context.step("one", int)
        context.wait_for_event("sent")
        with context.transaction():
            pass

    app.send_event("sent")
    job_id = lasting.defer()
    app.run_worker(wait=False)
    assert app.job_manager.get_job_status(job_id) is Status.SUCCEEDED
    app.schema_manager.try_out()


def export(app: adjourn.App) -> None:
    """Export figures for Prometheus, and read statistics."""
    exporter = exports.Exports(app)
    families = {family.name: family.samples for family in exporter.families()}
    exporter.close()
    assert set(families["adjourn_collector_success"].values()) == {1}
    reader = Reader(app, "monitor")
    assert statistics(reader, start=datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=1))
    reader.close()


def scale(app: adjourn.App) -> None:
    """Ask for the backlog, as an autoscaler does."""
    for arguments in ("", "'{mail,nobody}'", "null, null, null"):
        row = app.connector.execute_query_one(f"select adjourn.adjourn_backlog_v1({arguments}) as jobs")
        assert isinstance(row["jobs"], int)
    row = app.connector.execute_query_one("select adjourn.adjourn_latency_v1('{mail}') as seconds")
    assert row["seconds"] >= 0


def apply(app: adjourn.App) -> None:
    """Apply the schema, which is up to date."""
    assert app.schema_manager.apply_schema() == []


ABLE: list[tuple[str, Callable[[adjourn.App], None]]] = [
    *(("owner", each) for each in (defer, read, change, work, apply)),
    *(("worker", each) for each in (defer, read, change, work)),
    ("producer", defer),
    *(("reader", each) for each in (read, export, scale)),
    *(("operator", each) for each in (read, change)),
]


@pytest.mark.parametrize(("kind", "do"), ABLE)
def test_a_role_may_do_what_it_is_for(filled: str, kind: str, do: Callable[[adjourn.App], None]) -> None:
    with app_of(filled, kind).open() as app:
        do(app)


UNABLE: list[tuple[str, str, Callable[[adjourn.App], Any]]] = [
    ("producer", "permission denied for .* adjourn_all_jobs", lambda app: app.job_manager.list_jobs()),
    ("producer", "permission denied for .* adjourn_jobs", lambda app: app.job_manager.cancel_job_by_id(1)),
    ("producer", "permission denied for .* adjourn_jobs", lambda app: app.job_manager.retry_job_by_id(1)),
    ("producer", "permission denied for .* adjourn_workers", lambda app: app.run_worker(wait=False)),
    ("producer", "Running jobs fails: .*adjourn_workers", lambda app: app.schema_manager.try_out()),
    ("reader", "permission denied for .* adjourn_jobs", lambda app: app.tasks["work"].defer()),
    ("reader", "permission denied for .* adjourn_jobs", lambda app: app.job_manager.cancel_job_by_id(1)),
    ("reader", "permission denied for .* adjourn_workers", lambda app: app.run_worker(wait=False)),
    ("reader", "Storing jobs fails: .*adjourn_jobs", lambda app: app.schema_manager.try_out("producer")),
    ("operator", "permission denied for .* adjourn_workers", lambda app: app.run_worker(wait=False)),
]


@pytest.mark.parametrize(("kind", "where", "do"), UNABLE)
def test_a_role_may_do_nothing_else_and_is_told_the_remedy(
    filled: str, kind: str, where: str, do: Callable[[adjourn.App], Any]
) -> None:
    with (
        app_of(filled, kind).open() as app,
        pytest.raises(ConnectorException, match=f"(?s){where}.*schema --roles"),
    ):
        do(app)


def test_a_producer_cannot_read_arguments(filled: str) -> None:
    with psycopg.connect(as_role(filled, "producer"), autocommit=True) as connection:
        assert connection.execute("select id from adjourn.adjourn_jobs").fetchall() != []
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("select args from adjourn.adjourn_jobs")


@pytest.mark.parametrize("kind", ["worker", "producer"])
def test_only_the_owner_applies_the_schema(address: str, kind: str) -> None:
    elsewhere = adjourn.App(connector=adjourn.PsycopgConnector(as_role(address, kind)), schema="elsewhere")
    with elsewhere.open(), pytest.raises(ConnectorException, match=r"grant create on database"):
        elsewhere.schema_manager.apply_schema()
    with app_of(address, kind).open() as app:
        assert app.schema_manager.apply_schema() == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("wroker", "x"), "kind='wroker'; did you mean 'worker'"),
        (("worker", ""), "role=''"),
        (("worker", "x", ""), "schema=''"),
    ],
)
def test_what_is_no_role_is_refused(arguments: Any, message: str) -> None:
    with pytest.raises(adjourn.exceptions.InvalidOption, match=message):
        schema.grants(*arguments)


def test_names_are_quoted() -> None:
    assert (
        schema.grants("reader", 'a"b', "x {y} 100%").splitlines()[1] == 'grant usage on schema "x {y} 100%" to "a""b";'
    )


PROGRAM = """
import os, adjourn
app = adjourn.App(connector=adjourn.PsycopgConnector(os.environ["DATABASE"]))
"""


@pytest.mark.parametrize(
    ("kind", "arguments", "expected"),
    [
        ("worker", (), "Jobs can be stored and run: OK"),
        ("producer", ("--role", "producer"), "Jobs can be stored: OK"),
        ("producer", (), "adjourn: Running jobs fails: permission denied for table adjourn_workers"),
        ("reader", ("--role=producer",), "adjourn: Storing jobs fails: permission denied for table adjourn_jobs"),
    ],
)
def test_the_health_check_tries_what_a_role_is_for(
    filled: str, tmp_path: Path, kind: str, arguments: tuple[str, ...], expected: str
) -> None:
    (tmp_path / "roles_app.py").write_text(PROGRAM)
    done = subprocess.run(
        [sys.executable, "-m", "adjourn", "--app=roles_app.app", "healthchecks", *arguments],
        cwd=tmp_path,
        env={**os.environ, "DATABASE": as_role(filled, kind)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert expected in done.stdout + done.stderr
    assert done.returncode == (1 if expected.startswith("adjourn:") else 0)
    with app_of(filled, "reader").open() as app:
        assert len(app.job_manager.list_jobs()) == 2
        assert app.job_manager.list_workers() == []


async def test_the_trial_leaves_nothing_behind_in_memory_either() -> None:
    app = adjourn.App(connector=InMemoryConnector())
    async with app.open_async():
        await app.schema_manager.try_out_async()
        await app.schema_manager.try_out_async("producer")
        with pytest.raises(adjourn.exceptions.InvalidOption, match="kind='reader'"):
            await app.schema_manager.try_out_async("reader")
        assert await app.job_manager.list_jobs_async() == []
        assert await app.job_manager.list_workers_async() == []


@pytest.mark.parametrize(
    "what",
    [
        lambda app: app.schema_manager.get_version(),
        lambda app: app.schema_manager.check_version(),
        lambda app: app.schema_manager.try_out(),
        lambda app: app.check_connection(),
        lambda app: app.tasks["work"].defer(),
        lambda app: app.run_worker(wait=False),
    ],
    ids=["get_version", "check_version", "try_out", "check_connection", "defer", "run_worker"],
)
def test_a_role_without_any_right_on_the_schema_is_told_what_prints_the_grants(
    address: str, what: Callable[[adjourn.App], Any]
) -> None:
    usage = f'usage on schema adjourn from "{ROLES["producer"]}"'
    with psycopg.connect(as_role(address, "owner"), autocommit=True) as owner:
        owner.execute(f"revoke {usage}".encode())
    app = app_of(address, "producer")
    try:
        with app.open(), pytest.raises(ConnectorException) as caught:
            what(app)
    finally:
        with psycopg.connect(as_role(address, "owner"), autocommit=True) as owner:
            owner.execute(f"grant {usage.replace(' from ', ' to ')}".encode())
    assert str(caught.value).startswith("permission denied for schema adjourn. Have the owner of the tables grant")
    assert "`adjourn --app=... schema --roles`" in str(caught.value)
