"""Several clients and workers at once: of the jobs with one key there is never more than one, and nobody waits for ever."""

from __future__ import annotations

import collections
import contextlib
import functools
import itertools
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

import adjourn
from adjourn import Unique
from adjourn.connectors import SyncPsycopgConnector
from adjourn.exceptions import AlreadyEnqueued, ConnectorException
from adjourn.jobs import Job
from adjourn.manager import JobManager
from support.waiting import until

SECONDS = 20.0 if "ADJOURN_TEST_THOROUGH" in os.environ else 0.6
CLIENTS = 6
WORKERS = 2
KEYS = 40
TWICE = """
    select count(*) from (
        select from adjourn.adjourn_jobs where args ->> 'rule' = %s {what} group by args ->> 'key' having count(*) > 1
    ) twice
"""

WAITS = "select 1 from pg_stat_activity where wait_event = 'PgSleep' and datname = current_database()"


class Trial:
    """Clients that defer jobs with the same few keys, workers that run them, and a ledger of both."""

    def __init__(self, dsn: str, rule: Unique, seed: int) -> None:
        self.dsn = dsn
        self.rule = rule
        self.seed = seed
        self.stop = threading.Event()
        self.has_failed = threading.Event()
        self.lock = threading.Lock()
        self.deferring = CLIENTS
        """How many clients may still store a job."""
        self.stored: list[int] = []
        """The ids of the jobs that were stored, each time that somebody was told so."""
        self.answered: set[int] = set()
        """The ids that somebody got, of new jobs and of those that were there."""
        self.outcomes: collections.Counter[str] = collections.Counter()
        self.ran: collections.Counter[int] = collections.Counter()
        self.numbers = itertools.count()

    @contextlib.contextmanager
    def manager(self) -> Iterator[JobManager]:
        connector = SyncPsycopgConnector(self.dsn, min_size=1, max_size=1)
        connector.open()
        try:
            yield JobManager(connector)
        finally:
            connector.close()

    def job(self, key: int, rule: Unique) -> Job:
        """A job with this key, and arguments of its own."""
        arguments = {"key": key, "rule": self.rule.on_conflict, "number": next(self.numbers)}
        return Job(queue="default", task_name="work", task_kwargs=arguments, unique=rule)

    def defer(self, number: int) -> None:
        """Be a client: defer batches, some of them in transactions that stay open for a while or are rolled back."""
        try:
            self.defer_until_stopped(number)
        finally:
            with self.lock:
                self.deferring -= 1

    def defer_until_stopped(self, number: int) -> None:
        choice = random.Random(f"{self.seed} {number}")
        with self.manager() as manager, psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute("set deadlock_timeout = '100ms'")
            while not self.stop.is_set():
                jobs = [self.job(key, self.rule) for key in choice.choices(range(KEYS), k=choice.choice([1, 3, 20]))]
                is_rolled_back = choice.random() < 0.1
                try:
                    if choice.random() < 0.5:
                        deferred = manager.defer_jobs(jobs)
                        is_rolled_back = False
                    else:
                        with connection.transaction(force_rollback=is_rolled_back):
                            deferred = manager.defer_jobs(jobs, connection)
                            time.sleep(choice.choice([0, 0, 0.002, 0.01]))
                except AlreadyEnqueued as error:
                    with self.lock:
                        self.outcomes["refused"] += 1
                        self.answered.update(error.job_ids)
                    continue
                if not is_rolled_back:
                    with self.lock:
                        self.stored += [each.id for each in deferred if each.outcome == "stored"]
                        self.answered.update(each.id for each in deferred)
                        self.outcomes.update(each.outcome for each in deferred)

    def work(self, number: int) -> None:
        """Be a worker: claim jobs, and end them after a while."""
        choice = random.Random(f"{self.seed} worker {number}")
        with self.manager() as manager:
            worker_id = manager.register_worker()
            while not self.has_failed.is_set() and (self.deferring or manager.list_queues(live_only=True)):
                job = manager.fetch_job(queues=None, worker_id=worker_id)
                if job is None:
                    time.sleep(0.001)
                    continue
                assert job.id is not None
                with self.lock:
                    self.ran[job.id] += 1
                time.sleep(choice.choice([0, 0.001]))
                status = choice.choice([adjourn.Status.SUCCEEDED, adjourn.Status.FAILED])
                # Somebody who looks whether it waits may have locked it for a moment.
                until(functools.partial(self.ends, manager, job, status))

    def ends(self, manager: JobManager, job: Job, status: adjourn.Status) -> bool:
        try:
            return manager.finish_job(job, status)
        except ConnectorException as error:
            if error.sqlstate != "55P03":
                raise
            return False

    def forget(self, _: int) -> None:
        """Be the caretaker, in a hurry."""
        with self.manager() as manager:
            while not self.stop.is_set():
                manager.run("forget_keys", {"after": "", "limit": 1000})
                time.sleep(0.002)

    def act(self, kind: Callable[[int], None], number: int) -> None:
        try:
            kind(number)
        except BaseException:
            self.has_failed.set()
            raise

    def run(self, look: Callable[[], None]) -> None:
        """Let all of them act, and look at the table meanwhile."""
        actors = [(self.defer, CLIENTS), (self.work, WORKERS), (self.forget, 1)]
        with ThreadPoolExecutor(CLIENTS + WORKERS + 1) as executor:
            futures = [executor.submit(self.act, act, number) for act, count in actors for number in range(count)]
            end = time.monotonic() + SECONDS
            try:
                while time.monotonic() < end and not any(future.done() for future in futures):
                    look()
            finally:
                self.stop.set()
            for future in futures:
                future.result(timeout=60)


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("over", "policy", "counted"),
    [
        (("todo", "doing"), "skip", ""),
        (("todo", "doing"), "raise", ""),
        (("todo", "doing"), "replace", ""),
        (("todo",), "replace", "and worker_id is null"),
    ],
)
def test_of_the_jobs_with_one_key_one_is_there(
    database: str, observer: psycopg.Connection, over: tuple[str, ...], policy: str, counted: str
) -> None:
    seed = random.randrange(10**6)
    print("seed", seed)
    rule = Unique(args=["key"], over=over, on_conflict=policy)  # type: ignore[arg-type]
    trial = Trial(database, rule, seed)
    samples = 0

    def look() -> None:
        nonlocal samples
        row = observer.execute(TWICE.format(what=counted).encode(), [policy]).fetchone()
        assert row is not None
        assert row[0] == 0, "two jobs with one key"
        samples += 1

    trial.run(look)
    print(samples, "samples,", dict(trial.outcomes), len(trial.ran), "ran")
    assert samples
    assert trial.outcomes["stored"]
    assert trial.outcomes["refused" if policy == "raise" else "exists" if policy == "skip" else "replaced"]
    assert len(trial.stored) == len(set(trial.stored)), "two were told of one new job"
    assert trial.answered == set(trial.stored), "somebody was told of a job that nobody has stored"
    assert set(trial.ran) == set(trial.stored), "a job was lost, or ran that nobody has stored"
    assert set(trial.ran.values()) == {1}
    if over == ("todo",):
        assert not trial.outcomes["exists"], "the arguments of a job that was to replace another were lost"


@pytest.mark.timeout(60)
def test_a_job_that_is_only_being_moved_counts_as_waiting(database: str) -> None:
    """Workers move waiting jobs in short transactions; such a job must not pass for a running one."""
    app = adjourn.App(connector=SyncPsycopgConnector(database))
    with (
        app.open(),
        psycopg.connect(database) as mover,
        psycopg.connect(database, autocommit=True) as observer,
        ThreadPoolExecutor(1) as executor,
    ):
        same = app.task(name="work")(lambda doc: None).configure(unique=Unique(over=["todo"], on_conflict="replace"))

        def is_replaced(number: int) -> bool:
            first = same.defer(doc=number)
            mover.execute("update adjourn.adjourn_jobs set priority = 1")
            future = executor.submit(same.defer, doc=number)
            until(lambda: future.done() or observer.execute(WAITS).fetchone())
            mover.commit()
            return future.result(timeout=30) == first

        # It is not waited for long, so on a busy machine it may be too late.
        assert any(map(is_replaced, range(20)))


@pytest.mark.timeout(60)
def test_a_job_that_somebody_keeps_may_as_well_run(database: str) -> None:
    """Who keeps it may wait for the key."""
    app = adjourn.App(connector=SyncPsycopgConnector(database))
    with app.open(), psycopg.connect(database) as keeper:
        same = app.task(name="work")(lambda doc: None).configure(unique=Unique(over=["todo"], on_conflict="replace"))
        first, free = same.batch_defer({"doc": 1}, {"doc": 2})
        keeper.execute("update adjourn.adjourn_jobs set priority = 1 where id = %s", [first])
        second, again = same.batch_defer({"doc": 1}, {"doc": 2})
        assert second != first
        assert again == free
        keeper.commit()
