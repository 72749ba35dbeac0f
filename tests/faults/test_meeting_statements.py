"""Statements that meet: every two of them, and all of them, on a few jobs and locks, from several connections."""

from __future__ import annotations

import contextlib
import datetime
import itertools
import json
import os
import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import psycopg.rows
import pytest

from adjourn import sql
from adjourn.sql.templates import render
from support.outcomes import outcome_parameters

PAIR_SECONDS = float(
    os.environ.get("ADJOURN_TEST_PAIR_SECONDS", "0.03" if "ADJOURN_TEST_THOROUGH" in os.environ else "0.015")
)
MELEE_SECONDS = max(1.5, 50 * PAIR_SECONDS)
LOCKS = ["a", "b", None]
STATEMENTS = sql.statements()
OLD_WEEK = """
    do $$ declare v_from timestamptz := (date_trunc('week', now() at time zone 'UTC') - interval '9 weeks') at time zone 'UTC'; begin
        execute format('create table adjourn.old_week partition of adjourn.adjourn_finished_jobs for values from (%L) to (%L)',
            v_from, v_from + interval '1 week');
        insert into adjourn.adjourn_finished_jobs (
            id, queue, task_name, priority, lock, args, attempts, losses, claim, abort_requested, enqueued_at, status, finished_at
        )
        select nextval('adjourn.adjourn_jobs_id_seq'), 'default', 'old', 0, case when n % 2 = 0 then 'a' end, '{}', 0, 0, 0, false,
               now(), 'succeeded', v_from + interval '1 hour'
        from generate_series(1, 20) n;
    end $$
"""
JOBS = """
    insert into adjourn.adjourn_jobs (queue, task_name, priority, lock, args, hold)
    select 'default', 't', n % 3, lock, '{}', case when lock is null then @ready else @unplaced end
    from generate_series(1, 12) n, lateral (select (array['a', 'b', null])[1 + n % 3] as lock) l
"""


class Actor:
    """Somebody with a connection who does one kind of thing, again and again."""

    def __init__(self, dsn: str, seed: str) -> None:
        self.random = random.Random(seed)
        self.connection = psycopg.connect(dsn, autocommit=True, row_factory=psycopg.rows.dict_row)
        # A deadlock is to be found before anything that waits gives up, but for the drop of a partition: that gives up in
        # half of this time, so as not to be in one.
        self.connection.execute("set deadlock_timeout = '100ms'")
        self.worker_id = 0
        self.jobs: dict[int, int] = {}
        """The jobs that it runs: the claim of each by its id."""
        self.apart: int | None = None
        self.deferred = 0
        self.deleted = 0
        self.too_slow = 0

    def run(self, statement: str, /, **parameters: Any) -> list[dict[str, Any]]:
        cursor = self.connection.execute(STATEMENTS[statement].text.encode(), parameters, prepare=True)
        return cursor.fetchall() if cursor.description else []

    def act_until(self, kind: Callable[[Actor], None], stop: float) -> None:
        while time.monotonic() < stop:
            try:
                # Now and then a new job, and its place, so that there is always something to do.
                self.random.choice([kind, kind, kind, kind, defer, place])(self)
            except psycopg.errors.LockNotAvailable:
                self.too_slow += 1

    def some_ids(self) -> list[int]:
        """A few ids of jobs, waiting, running or finished."""
        table = self.random.choice(["adjourn_jobs", "adjourn_finished_jobs"])
        ids = [row["id"] for row in self.connection.execute(f"select id from adjourn.{table} limit 100".encode())]
        return self.random.sample(ids, min(3, len(ids)))

    def pause(self) -> None:
        time.sleep(self.random.choice([0, 0, 0.001, 0.004]))

    def exchange(self, outcomes: dict[int, dict[str, Any]], limit: int) -> None:
        """Tell what has become of some jobs, and claim others."""
        if not self.worker_id:
            (row,) = self.run("register_worker", name="w", queues=None, timeout=60, needed_version=1)
            self.worker_id = row["id"]
        claims = {id_: self.jobs.pop(id_) for id_ in outcomes}
        told = [{"id": id_, "claim": claims[id_], **outcome} for id_, outcome in sorted(outcomes.items())]
        deletes = any(each["outcome"].startswith("-") for each in told)
        with self.connection.transaction() if deletes else contextlib.nullcontext():
            rows = self.run(
                "exchange",
                worker_id=self.worker_id,
                **outcome_parameters(told),
                limit=limit,
                queues=self.random.choice([None, '{"default"}']),
                busy=self.random.random() < 0.5,
                probe=True,
                concurrency=self.random.choice([limit, 1]),
                running=len(self.jobs),
                apart=self.apart,
                tasks=self.random.choice([None, ["t"]]),
                patience=self.random.choice([0.0, 0.01, 60.0]),
                listens=self.random.random() < 0.8,
                called=self.random.random() < 0.3,
                follow=self.random.choice([0, 2]),
                floors=None,
                batches=self.random.choice([None, '{"batch": 3}']),
            )
            report = json.loads(rows.pop()["args"])
            self.apart = report["apart"]
            held = report["held"] or ()
            not_stored = {*held, *(report["refused"] or ())}
            deleted = [each["id"] for each in told if each["outcome"].startswith("-") and each["id"] not in not_stored]
            # Those that somebody waits for are kept.
            kept = self.connection.execute("select from adjourn.adjourn_finished_jobs where id = any(%s)", [deleted])
            self.deleted += len(deleted) - kept.rowcount
        self.jobs |= {row["id"]: row["claim"] for row in rows} | {id_: claims[id_] for id_ in held}
        if not report["alive"]:
            self.worker_id, self.jobs, self.apart = 0, {}, None

    def some_jobs(self) -> list[int]:
        """Claim, and return the ids of some of the jobs that it runs."""
        self.exchange({}, 3)
        self.pause()
        return self.random.sample(list(self.jobs), self.random.randint(0, len(self.jobs)))

    def end(self) -> dict[str, Any]:
        """Choose how a job ends."""
        if self.random.random() < 0.2:
            return {"outcome": "succeeded", "result": '"r"', "ttl": self.random.choice([None, 0.001, 0.1])}
        outcome = self.random.choice(["succeeded", "failed", "aborted", "-succeeded"])
        return {"outcome": outcome, **self.random.choice([{}, {"error": '{"message": "m"}'}])}

    def retry(self) -> dict[str, Any]:
        """Choose how a job is to be run again."""
        times: list[dict[str, Any]] = [{}, {"retry_at": "2100-01-01"}, {"retry_at": "2001-01-01"}, {"retry_in": 9}]
        changes = [times, [{}, {"priority": 1}], [{}, {"queue": "other"}], [{}, {"lock": "a"}, {"lock": "b"}]]
        chosen: dict[str, Any] = {"outcome": "retried"}
        for choices in changes:
            chosen |= self.random.choice(choices)
        return chosen


def finish_and_claim(actor: Actor) -> None:
    actor.exchange({id_: actor.end() for id_ in actor.jobs if actor.random.random() < 0.7}, 3)
    actor.pause()


def retry(actor: Actor) -> None:
    actor.exchange({id_: actor.retry() for id_ in actor.some_jobs()}, 0)


def complete(actor: Actor) -> None:
    """End jobs in transactions of their tasks' own."""
    for id_ in actor.some_jobs():
        claim, commits = actor.jobs.pop(id_), actor.random.random() < 0.7
        run = {"job_id": id_, "claim": claim, "worker_id": actor.worker_id}
        deletes = actor.random.random() < 0.2
        with actor.connection.transaction(force_rollback=not commits):
            (begun,) = actor.run("begin_completion")
            stored = {
                "status": "-succeeded" if deletes else "succeeded",
                "result": None if deletes else "1",
                "ttl": None,
            }
            found = actor.connection.execute(
                "select enqueued_at from adjourn.adjourn_jobs where id = %s", [id_]
            ).fetchone()
            at = found["enqueued_at"] if found else None
            (row,) = actor.run("complete", **run, **stored, transaction=begun["transaction"], enqueued_at=at)
            # One that somebody waits for is kept.
            kept = actor.connection.execute("select from adjourn.adjourn_finished_jobs where id = %s", [id_]).rowcount
            actor.pause()
        actor.deleted += commits and deletes and row["outcome"] == "completed" and not kept
        actor.run("ask_completion", **run)


def remember(actor: Actor) -> None:
    """Store steps, look for events and for other jobs, and suspend jobs."""
    ids = actor.some_jobs()
    for id_ in ids:
        run = {"job_id": id_, "claim": actor.jobs[id_], "worker_id": actor.worker_id}
        actor.run("store_step", **run, kind="step", name=actor.random.choice("st"), value="1", seconds=None)
        actor.run("look_for_event", **run, name=actor.random.choice("ef"), seconds=actor.random.choice([None, 0.01]))
        actor.run("list_steps", job_id=id_)
        actor.run("wait_for_jobs", **run, ids=actor.some_ids())
    event = {"event": actor.random.choice("ef")}
    ways: list[dict[str, Any]] = [{"retry_in": 0.01}, event, {**event, "retry_in": 0.05}, {"for_jobs": True}]
    actor.exchange({id_: {"outcome": "suspended", **actor.random.choice(ways)} for id_ in ids}, 3)


def send(actor: Actor) -> None:
    names = actor.random.sample("efg", 2)
    with actor.connection.transaction(force_rollback=actor.random.random() < 0.2):
        if actor.random.random() < 0.2:
            actor.connection.execute("set transaction isolation level repeatable read")
        try:
            actor.run("send_events", names=names, payloads=["1", "2"], seconds=[0.02, 60.0])
        except psycopg.errors.SerializationFailure:
            raise psycopg.Rollback from None
        actor.pause()


def clear_steps(actor: Actor) -> None:
    actor.run("clear_steps", after_id=0, limit=3)


def hand_back(actor: Actor) -> None:
    actor.exchange({id_: {"outcome": "handed_back"} for id_ in actor.some_jobs()}, 0)


def not_know(actor: Actor) -> None:
    actor.exchange({id_: {"outcome": "unknown"} for id_ in actor.some_jobs()}, 3)


def tell_all_and_claim(actor: Actor) -> None:
    told: dict[int, dict[str, Any]] = {}
    for id_ in actor.some_jobs():
        put_back = actor.random.choice(["handed_back", "unknown"])
        told[id_] = actor.random.choice([actor.end(), actor.retry(), {"outcome": put_back}])
    actor.exchange(told, 3)


def disown(actor: Actor) -> None:
    for id_ in actor.some_jobs():
        del actor.jobs[id_]
    actor.run("disown", worker_id=actor.worker_id, known=list(actor.jobs), claims=list(actor.jobs.values()))


def beat(actor: Actor) -> None:
    actor.some_jobs()
    actor.run("heartbeat", worker_id=actor.worker_id, timeout=60, overdue=[], running=[], claims=[], details=None)


def leave(actor: Actor) -> None:
    actor.some_jobs()
    actor.run("unregister_worker", worker_id=actor.worker_id, is_done=not actor.jobs)
    actor.worker_id, actor.jobs, actor.apart = 0, {}, None


def place(actor: Actor) -> None:
    actor.run("place", limit=5)


def place_and_heal(actor: Actor) -> None:
    actor.run("heal", rest=None, limit=1000)
    actor.run("place", limit=1000)


def rescue(actor: Actor) -> None:
    actor.connection.execute(
        "update adjourn.adjourn_workers set expires_at = now() - interval '1 s' where id in "
        "(select id from adjourn.adjourn_workers order by random() limit 1 for update skip locked)"
    )
    actor.run("rescue", max_losses=4, grace=0, by="one", how="worker")


def cancel(actor: Actor) -> None:
    delete = actor.random.random() < 0.2
    with actor.connection.transaction():
        rows = actor.run("cancel_jobs", ids=actor.some_ids(), delete=delete)
        actor.pause()
    actor.deleted += len(rows) * delete


def give_up_a_cancel(actor: Actor) -> None:
    with actor.connection.transaction(force_rollback=True):
        actor.run("cancel_jobs", ids=actor.some_ids(), delete=False)
        actor.pause()


def request_abort(actor: Actor) -> None:
    with actor.connection.transaction():
        actor.run("request_abort", ids=actor.some_ids())
        actor.pause()


def hold(actor: Actor) -> None:
    """Lock jobs for a while, and let them go."""
    with actor.connection.transaction():
        actor.connection.execute(
            "select from adjourn.adjourn_jobs where id = any(%s) order by id for update", [actor.some_ids()]
        )
        actor.pause()


def retry_by_id(actor: Actor) -> None:
    for job_id in actor.some_ids()[:1]:
        try:
            with actor.connection.transaction():
                actor.run(
                    "retry_job_by_id",
                    job_id=job_id,
                    retry_at=actor.random.choice([None, None, "2100-01-01"]),
                    priority=actor.random.choice([None, 2]),
                    queue=None,
                    relock=actor.random.random() < 0.3,
                    lock=actor.random.choice(LOCKS),
                )
                actor.pause()
        except psycopg.DatabaseError as error:
            if error.sqlstate != "ADJ02":  # it waits for others, and is not run before them
                raise


def retry_many(actor: Actor) -> None:
    statuses = actor.random.choice([["todo"], ["failed", "cancelled", "aborted"], ["doing", "succeeded"]])
    with actor.connection.transaction(force_rollback=actor.random.random() < 0.2):
        actor.run(
            "retry_jobs", ids=actor.some_ids(), statuses=statuses, delay=actor.random.choice([0.0, 60.0]), at=None
        )
        actor.pause()


def change_many(actor: Actor) -> None:
    priority, queue = actor.random.choice([(1, None), (None, "default"), (None, None)])
    at = actor.random.choice([None, "2100-01-01T00:00:00+00:00"])
    with actor.connection.transaction(force_rollback=actor.random.random() < 0.2):
        reschedule = priority is None and queue is None
        actor.run("change_jobs", ids=actor.some_ids(), priority=priority, queue=queue, reschedule=reschedule, at=at)
        actor.pause()


def delete_many(actor: Actor) -> None:
    actor.deleted += len(actor.run("delete_finished", ids=actor.some_ids(), statuses=None))


def defer(actor: Actor) -> None:
    one = {"queue": "default", "task_name": "t", "priority": actor.random.randint(0, 2), "args": "{}", "headers": None}
    when = actor.random.choice([None, None, "2100-01-01", "2001-01-01"])
    lock = actor.random.choice(LOCKS)
    with actor.connection.transaction():
        times = {"scheduled_at": when, "schedule_in": actor.random.choice([None, None, 60])}
        actor.run("defer_job", **one, **times, lock=lock, own_transaction=False)
        actor.pause()
    actor.deferred += 1


def defer_several(actor: Actor) -> None:
    queueing_locks = actor.random.sample(["x", "y", "z", None, None], 3)
    with actor.connection.transaction():
        columns = {
            "queue": "default",
            "task_name": "t",
            "priority": [0, 1, 2],
            "lock": [actor.random.choice(LOCKS) for _ in range(3)],
            "queueing_lock": queueing_locks,
            "schedule_in": actor.random.choice([None, [None, 60, None]]),
        }
        (row,) = actor.run("defer_jobs", args="[{}, {}, {}]", columns=json.dumps(columns), own_transaction=True)
        actor.pause()
    actor.deferred += len(json.loads(row["ids"] or "[]"))


def defer_unique(actor: Actor) -> None:
    over = actor.random.choice(["{todo}", "{todo,doing}", "{todo,doing,succeeded,failed}", "{doing,cancelled}"])
    jobs = [
        {
            "queue": "default",
            "task_name": "t",
            "priority": 0,
            "args": "{}",
            "lock": actor.random.choice(LOCKS),
            "key": key,
            "over": over,
            "period": actor.random.choice([None, 0.01]),
            "on_conflict": actor.random.choice(["raise", "skip", "replace" if "todo" in over else "skip"]),
            "schedule_in": actor.random.choice([None, None, 60]),
        }
        for key in actor.random.choices("kmn", k=3)
    ]
    with actor.connection.transaction(force_rollback=actor.random.random() < 0.2) as transaction:
        rows = actor.run("defer_unique", jobs=json.dumps(jobs), own_transaction=True)
        actor.pause()
    if not transaction.force_rollback:
        actor.deferred += len([row for row in rows if row["outcome"] == "stored"])


def forget_keys(actor: Actor) -> None:
    actor.run("forget_keys", after="", limit=10)


def cancel_and_delete(actor: Actor) -> None:
    with actor.connection.transaction():
        gone = actor.run("cancel_jobs", ids=actor.some_ids(), delete=True)
        actor.pause()
    actor.deleted += len(gone)


def tick(actor: Actor) -> None:
    """Defer the ticks of some schedules, the clock's latest second of each, in any order."""
    names = actor.random.sample("abcdef", 3)
    queueing_locks = [actor.random.choice(["x", "y", None]) for _ in names]
    rows = actor.run(
        "defer_ticks",
        task_names=names,
        periodic_ids=[""] * 3,
        crons=["* * * * * *"] * 3,
        timezones=["UTC"] * 3,
        ticks=[datetime.datetime.now(datetime.UTC).replace(microsecond=0)] * 3,
        queues=["default"] * 3,
        priorities=[0, 1, 2],
        locks=[actor.random.choice(LOCKS) for _ in names],
        queueing_locks=queueing_locks,
        args=["{}"] * 3,
        headers=None,
        terms=actor.random.choice(
            [None, ['{"expires_in": 0.001, "is_batch": true}', None, '{"expires_in": 9, "max_attempts": 1}']]
        ),
        next_ticks=[datetime.datetime.now(datetime.UTC)] * 3,
    )
    assert {row["outcome"] for row in rows} <= {"stored", "taken", "known", "held", "busy", "paused"}
    actor.deferred += sum(row["outcome"] == "stored" for row in rows)


def defer_flow(actor: Actor) -> None:
    """Store a workflow, or jobs of one that is there; perhaps after a job that lives already; and change one."""
    flows = [row["id"] for row in actor.connection.execute("select id from adjourn.adjourn_workflows limit 20")]
    extends = actor.random.choice([None, *flows[:1]])
    (row,) = actor.run("reserve_ids", count=5)
    ids = [int(id_) for id_ in row["ids"][1:-1].split(",")]
    workflow, (a, b, c, d) = (extends or ids[0]), ids[1:]
    known = actor.some_ids()[:1]
    edges = [(b, d, "true"), (c, d, "true"), *((id_, d, "false") for id_ in known)]
    arrays = {
        "ids": f"{{{a},{b},{c},{d}}}",
        "queues": '{"default","default","default","default"}',
        "task_names": '{"t","t","t","t"}',
        "priorities": "{0,0,1,0}",
        "locks": actor.random.choice([None, '{"a","b",null,"a"}']),
        "args": '{"{}","{}","{}","{}"}',
        "terms": actor.random.choice([None, '{"{\\"expires_in\\": 0.01}",null,null,"{\\"max_attempts\\": 0}"}']),
        "pending": f"{{null,1,null,{len(edges)}}}",
        "run_ifs": actor.random.choice(["{null,null,null,null}", "{null,1,null,2}"]),
        "unlinked": f"{{null,null,null,{'true' if known else 'null'}}}",
        "nexts": f"{{{b},null,null,null}}",
        "has_dependents": "{null,true,true,null}",
        "parents": "{" + ",".join(str(edge[0]) for edge in edges) + "}",
        "children": "{" + ",".join(str(edge[1]) for edge in edges) + "}",
        "linked": "{" + ",".join(edge[2] for edge in edges) + "}",
    }
    none = dict.fromkeys(("headers", "scheduled_at", "schedule_in", "names", "places"))
    header = {
        "workflow_id": workflow,
        "jobs": 4,
        "is_new": extends is None,
        "is_open": actor.random.random() < 0.2,
        "name": None,
        "last_id": d,
    }
    with actor.connection.transaction(force_rollback=actor.random.random() < 0.2) as transaction:
        (row,) = actor.run("store_nodes", **header, **arrays, **none, own_transaction=True)
        actor.pause()
    actor.deferred += 4 * bool(row["stored"] and not transaction.force_rollback)
    for flow in flows[:1]:
        what = actor.random.choice(["cancel_workflow", "retry_workflow", "abort_workflow", "close_workflow", None])
        if what is not None:
            actor.run(what, id=flow, **({"limit": 3} if what == "cancel_workflow" else {}))
        actor.run("list_workflows", from_id=1, to_id=flow, status=None, limit=1)
    if flows:
        actor.run("watch_jobs", ids=flows)


def keep_schedules(actor: Actor) -> None:
    known = actor.random.sample("abcdef", 3)
    with actor.connection.transaction():
        actor.run("keep_schedules", task_names=known, periodic_ids=[""] * 3, seconds=actor.random.choice([0, 60]))
        actor.pause()


def pause_schedules(actor: Actor) -> None:
    for task_name in actor.random.sample("abcdef", 2):
        given = {"task_name": task_name, "periodic_id": "", "cron": "@daily", "timezone": "UTC"}
        actor.run("pause_schedule", **given, **ending(actor), pause=actor.random.random() < 0.5)


def pause_queues_and_tasks(actor: Actor) -> None:
    pause = actor.random.random() < 0.5
    names = actor.random.sample("abcdef", 3)
    with actor.connection.transaction():
        actor.run("pause", scope=actor.random.choice(["queue", "task"]), names=names, pause=pause, **ending(actor))
        actor.pause()


def ending(actor: Actor) -> dict[str, Any]:
    """What is said of a pause, which ends at once, soon or never."""
    return {"seconds": actor.random.choice([None, 0.001, 0.1]), "until": None, "by": "bob@host", "reason": None}


def delete_old(actor: Actor) -> None:
    what = {"seconds": 0, "statuses": ["succeeded", "failed", "cancelled", "aborted"], "queue": None}
    after_id = 0
    while after_id is not None:
        (row,) = actor.run("delete_old_jobs", **what, after_id=after_id, limit=5)
        actor.deleted += row["deleted"]
        after_id = row["last_id"]


def expire(actor: Actor) -> None:
    """Defer jobs that expire, and end those that have."""
    given = [
        {"expires_in": actor.random.choice([0.001, 60]), "lock": actor.random.choice([None, "a"])} for _ in range(2)
    ]
    kinds: list[dict[str, Any]] = [{"task_name": "t"}, {"task_name": "batch", "is_batch": True, "lock": None}]
    jobs = [{"queue": "q", "priority": 0, "args": "{}", **each, **actor.random.choice(kinds)} for each in given]
    with actor.connection.transaction():
        actor.run("defer_special", jobs=json.dumps(jobs), own_transaction=True)
        actor.pause()
    actor.deferred += len(jobs)
    with actor.connection.transaction():
        actor.run("expire_due", until=None, limit=3)
        actor.pause()


def clear(actor: Actor) -> None:
    actor.run("clear_results", limit=3)
    actor.pause()


def drop_old(actor: Actor) -> None:
    what = {"seconds": 0, "statuses": ["succeeded", "failed", "cancelled", "aborted"], "queue": None}
    for row in actor.run("list_old_partitions", seconds=0):
        (outcome,) = actor.run("drop_partition", **what, name=row["name"])
        actor.deleted += outcome["jobs"]
    actor.pause()


def look(actor: Actor) -> None:
    """Read jobs, and wait for the ends of some."""
    actor.run("watch_jobs", ids=actor.some_ids())
    names = ("id", "queue", "task", "status", "lock", "queueing_lock", "worker_id", "waits_for", "workflow_id")
    nothing = dict.fromkeys((*names, "error", "finished_after", "finished_before", "limit"))
    actor.run("list_jobs", **nothing, after_id=0)
    for job_id in actor.some_ids():
        actor.run("get_job_status", job_id=job_id)
    actor.pause()


KINDS = [
    *(
        finish_and_claim,
        retry,
        complete,
        remember,
        hand_back,
        not_know,
        tell_all_and_claim,
        disown,
        beat,
        leave,
        place,
        place_and_heal,
        rescue,
    ),
    *(send, clear_steps, expire),
    *(cancel, give_up_a_cancel),
    *(retry_many, delete_many, change_many),
    *(defer_unique, forget_keys, cancel_and_delete),
    *(
        defer_flow,
        hold,
        request_abort,
        retry_by_id,
        defer,
        defer_several,
        tick,
        keep_schedules,
        pause_schedules,
        pause_queues_and_tasks,
        delete_old,
        drop_old,
        look,
    ),
]


class Arena:
    """Where statements meet."""

    def __init__(self, dsn: str, observer: psycopg.Connection, seed: int) -> None:
        self.observer = observer
        self.actors = [Actor(dsn, f"{seed} {n}") for n in range(4)]
        self.executor = ThreadPoolExecutor(len(self.actors))

    def close(self) -> None:
        self.executor.shutdown()
        for actor in self.actors:
            actor.connection.close()
        self.observer.execute("drop table if exists adjourn.old_week")

    def count(self, query: str) -> int:
        row = self.observer.execute(query.encode()).fetchone()
        assert row is not None
        return int(row[0])

    def prepare(self, has_old_week: bool) -> None:
        """Begin with a few jobs of each sort."""
        self.observer.execute(
            "delete from adjourn.adjourn_jobs; delete from adjourn.adjourn_finished_jobs; delete from adjourn.adjourn_workers; "
            "delete from adjourn.adjourn_workflows; delete from adjourn.adjourn_dependencies; delete from adjourn.adjourn_arrivals; "
            "delete from adjourn.adjourn_headless_locks; delete from adjourn.adjourn_unique_keys; delete from adjourn.adjourn_schedules; drop table if exists adjourn.old_week"
        )
        if has_old_week:
            self.observer.execute(OLD_WEEK)
        for actor in self.actors:
            actor.worker_id, actor.jobs, actor.apart, actor.deferred, actor.deleted = 0, {}, None, 0, 0
        self.observer.execute(render(JOBS, sql.DEFAULT_SCHEMA).encode())
        place_and_heal(self.actors[0])

    def meet(self, kinds: list[Callable[[Actor], None]], seconds: float) -> None:
        """Let each actor do one of these kinds of things for so long, and see what is left."""
        began = self.count("select count(*) from adjourn.adjourn_all_jobs")
        stop = time.monotonic() + seconds
        futures = [
            self.executor.submit(actor.act_until, kind, stop)
            for actor, kind in zip(self.actors, itertools.cycle(kinds), strict=False)
        ]
        for future in futures:
            future.result(timeout=seconds + 30)
        for _ in range(3):
            place_and_heal(self.actors[0])
        rules = self.rules(began + sum(actor.deferred - actor.deleted for actor in self.actors))
        counts = "select " + ", ".join(f"({query})" for query in rules.values())
        (found,) = self.observer.execute(render(counts, sql.DEFAULT_SCHEMA).encode()).fetchall()
        assert [wrong for wrong, count in zip(rules, found, strict=True) if count] == []

    def rules(self, expected: int) -> dict[str, str]:
        """What must not be, each with a query that counts it, if so many jobs are to be there."""
        return {
            "an id twice": "select count(*) - count(distinct id) from adjourn.adjourn_all_jobs",
            "jobs lost or invented": f"select count(*) - {expected} from adjourn.adjourn_all_jobs",
            "an end that was not added up": "select count(*) from adjourn.adjourn_arrivals",
            "a workflow that is miscounted": """
                select count(*) from adjourn.adjourn_workflows w where w.remaining <>
                (select count(*) from adjourn.adjourn_jobs j where j.workflow_id = w.id)
            """,
            "a job that waits for nobody": """
                select count(*) from adjourn.adjourn_jobs j where j.hold = @parents and not exists (
                    select from adjourn.adjourn_jobs p where p.next_id = j.id or exists (
                        select from adjourn.adjourn_dependencies d where d.parent_id = p.id and d.child_id = j.id))
            """,
            "a job that waits for another number of jobs than there are": """
                select count(*) from adjourn.adjourn_jobs j where j.hold = @parents and (
                    j.pending <> (select count(*) from adjourn.adjourn_jobs p where p.next_id = j.id or exists (
                        select from adjourn.adjourn_dependencies d where d.parent_id = p.id and d.child_id = j.id))
                    or j.run_if is null and j.failed_parents <> 0)
            """,
            "a lock without a head": """
                select count(*) from (select lock from adjourn.adjourn_jobs where hold in (@behind, @unplaced)
                except select lock from adjourn.adjourn_jobs where hold in (@heads)) headless
            """,
            "a lock with two heads": """
                select count(*) from (select from adjourn.adjourn_jobs where hold in (@heads) and lock is not null
                group by lock having count(*) > 1) heads
            """,
            "a job not placed": "select count(*) from adjourn.adjourn_jobs where hold = @unplaced",
            "a job behind no lock": "select count(*) from adjourn.adjourn_jobs where hold = @behind and lock is null",
            "a job that runs, is not ready, and follows no head": """
                select count(*) from adjourn.adjourn_jobs f where f.worker_id is not null and f.hold <> @ready and not exists (
                    select from adjourn.adjourn_jobs h
                    where h.hold = @ready and h.lock = f.lock and h.worker_id = f.worker_id and f.id = any(h.followers)
                )
            """,
            "a head that waits, and has followers": """
                select count(*) from adjourn.adjourn_jobs where worker_id is null and followers is not null
            """,
        }


@pytest.fixture
def arena(database: str, observer: psycopg.Connection) -> Iterator[Arena]:
    seed = random.randrange(10**6)
    print("seed", seed)
    arena = Arena(database, observer, seed)
    yield arena
    arena.close()


@pytest.mark.timeout(0)
def test_every_two_statements_may_meet(arena: Arena) -> None:
    for pair in itertools.combinations_with_replacement(KINDS, 2):
        arena.prepare(has_old_week=drop_old in pair)
        try:
            arena.meet([*pair], PAIR_SECONDS)
        except (psycopg.Error, AssertionError) as error:
            error.add_note(f"{pair[0].__name__} met {pair[1].__name__}")
            raise


@pytest.mark.timeout(0)
def test_all_statements_may_meet(arena: Arena) -> None:
    def anything(actor: Actor) -> None:
        actor.random.choice(KINDS)(actor)

    arena.prepare(has_old_week=True)
    arena.meet([anything], MELEE_SECONDS)
