"""Checks of the contract: statements, their parameters, rows and errors."""

from __future__ import annotations

import asyncio
import datetime
import unittest

from adjourn import exceptions
from adjourn._domain.times import time_of
from adjourn._drivers.settings import EVERY_SESSION
from adjourn.testing.checks import check_equal, check_raises, check_that, new_job, unique
from adjourn.testing.faces import Face
from adjourn.testing.suite import Suite
from adjourn.types import Statement

PAST = datetime.datetime(2020, 1, 1, 12, 30, 15, 123456, tzinfo=datetime.timezone(datetime.timedelta(hours=2)))
LATER = datetime.datetime(2100, 1, 1, 12, 30, 15, 123456, tzinfo=datetime.timezone(datetime.timedelta(hours=2)))


_UNSET = Statement(
    "settings that were not set",
    "SELECT name FROM pg_settings, pg_sleep(0.05) WHERE name = ANY(%(names)s::text[]) AND source NOT IN ('session', 'client')",
)


class StatementTests(Suite):
    """Statements on the connections of the pool."""

    def test_rows_are_dictionaries_with_the_types_of_their_columns(self) -> None:
        """Integers, texts, booleans and nulls come back as Python's; times and jsonb that are cast to text as text."""

        async def check(face: Face) -> None:
            async with face.opened():
                job = new_job(lock="l", scheduled_at=LATER, args='{"x": [1, "ü"]}')
                (stored,) = await face.execute("defer_job", job)
                check_that(type(stored["id"]) is int, f"an id is an int, not {stored['id']!r}")
                (row,) = await self._stored(face, job["queue"])
                row["scheduled_at"] = time_of(row["scheduled_at"])
                expected = {"id": stored["id"], "status": "todo", "abort_requested": False, "worker_id": None}
                expected |= {name: job[name] for name in ("queue", "task_name", "priority", "lock", "args")}
                expected |= {"scheduled_at": LATER, "queueing_lock": None, "errors": None, "attempts": 0}
                check_equal({name: row[name] for name in expected}, expected)
                check_that(row["scheduled_at"].utcoffset() is not None, "datetimes are aware")
                check_equal(await face.execute("get_job_status", {"job_id": 0}), [])

        self._in_each_colour(check)

    def test_each_connection_of_the_pool_has_the_settings_that_statements_depend_on(self) -> None:
        """Whatever the role begins its sessions with. It stays so when a connection is used again, and also after an error.

        Connections that go through a pooler in transaction mode have none, so their sessions cannot listen.
        """
        self._check_executes_sql()
        if not self.sets_connections_up:
            raise unittest.SkipTest("its connections are somebody else's")
        names = {"names": [name for name in EVERY_SESSION if name != "client_encoding"]}

        async def check(face: Face) -> None:
            if not (await face.session()).can_listen:
                raise unittest.SkipTest("there is a connection pooler in between")
            async with face.opened():
                for _ in range(2):
                    found = await asyncio.gather(*(face.execute_statement(_UNSET, names) for _ in range(4)))
                    unset = sorted({row["name"] for rows in found for row in rows})
                    check_that(
                        not unset, f"SETTINGS was executed on this connection, and holds: {', '.join(unset)} is not set"
                    )
                    await check_raises(exceptions.ConnectorException, face.execute("defer_job", new_job(args="{")))

        self._in_each_colour(check)

    def test_parameters_reach_the_database_as_they_are(self) -> None:
        """Quotes, backslashes, percent signs, braces and nulls, alone and in arrays, mean nothing special."""
        texts = ["plain", "it's", 'a "b"', "c\\d", "100%s %(x)s", "{e,f}", "NULL", "ü€😀", " ", "g\nh"]
        queue = unique()
        parameters = {
            "queues": [queue] * len(texts),
            "task_names": texts,
            "priorities": list(range(len(texts))),
            "locks": [None, *texts[1:]],
            "queueing_locks": [None] * len(texts),
            "args": ["{}"] * len(texts),
            "headers": None,
            "terms": None,
            "next_ticks": [LATER] * len(texts),
            "crons": ["* * * * *"] * len(texts),
            "timezones": ["UTC"] * len(texts),
        }

        async def check(face: Face) -> None:
            async with face.opened():
                name = unique()
                schedules = {"periodic_ids": [name] * len(texts), "ticks": [PAST] * len(texts)}
                ticks = await face.execute("defer_ticks", {**parameters, **schedules})
                ids = [row["job_id"] for row in ticks]
                rows = [row for row in await self._stored(face, queue) if row["id"] in ids]
                check_equal([row["id"] for row in rows], ids)
                for column, name in [("task_name", "task_names"), ("priority", "priorities"), ("lock", "locks")]:
                    check_equal([row[column] for row in rows], parameters[name])
                job = new_job(task_name="".join(texts), lock=" ".join(texts), scheduled_at=LATER)
                await face.execute("defer_job", job)
                (row,) = await self._stored(face, job["queue"])
                check_equal([row["task_name"], row["lock"]], [job["task_name"], job["lock"]])
                check_equal(time_of(row["scheduled_at"]), LATER)

        self._in_each_colour(check)

    def test_without_parameters_the_text_is_sent_as_it_is(self) -> None:
        """Then percent signs have no special meaning, and there may be several commands, as in a migration."""
        self._check_executes_sql()

        async def check(face: Face) -> None:
            async with face.opened():
                percent = Statement("percent", "select '100%%s' as x, '%(y)s' as y")
                check_equal(await face.execute_statement(percent), [{"x": "100%%s", "y": "%(y)s"}])
                semicolon = Statement("semicolon", "select ';'::text as x")
                check_equal(await face.execute_statement(semicolon), [{"x": ";"}])
                several = Statement("several", "do $$ begin perform 1; end $$; do $$ begin perform 2; end $$")
                check_equal(await face.execute_statement(several), [])
                doubled = Statement("doubled", "select %(x)s::text as x, '100%%' as y")
                check_equal(await face.execute_statement(doubled, {"x": "%"}), [{"x": "%", "y": "100%"}])

        self._in_each_colour(check)

    def test_errors_are_ours_and_the_next_call_works(self) -> None:
        """They have Postgres's state, and leave no connection unusable."""

        async def check(face: Face) -> None:
            async with face.opened():
                job = new_job()
                for _ in range(5):
                    error = await check_raises(
                        exceptions.ConnectorException, face.execute("defer_job", {**job, "args": "{"})
                    )
                    check_equal(error.sqlstate, "22P02")
                await face.execute("defer_job", job)
                check_equal(len(await self._stored(face, job["queue"])), 1)

        self._in_each_colour(check)

    def test_a_violated_constraint_is_named(self) -> None:
        """It is a UniqueViolation with the name of the constraint."""
        self._check_executes_sql()
        text = "do $$ begin raise unique_violation using constraint = 'one_of_each', message = 'refused'; end $$"

        async def check(face: Face) -> None:
            async with face.opened():
                violation = await check_raises(
                    exceptions.UniqueViolation, face.execute_statement(Statement("violation", text))
                )
                check_equal(violation.constraint_name, "one_of_each")
                check_equal(violation.sqlstate, "23505")

        self._in_each_colour(check)

    def test_many_calls_at_once_wait_for_connections_instead_of_failing(self) -> None:
        """More calls than connections are served one after the other, each once."""

        async def check(face: Face) -> None:
            async with face.opened():
                job = new_job()
                rows = await asyncio.gather(*(face.execute("defer_job", job) for _ in range(40)))
                ids = sorted(row["id"] for (row,) in rows)
                check_equal([row["id"] for row in await self._stored(face, job["queue"])], ids)

        self._in_each_colour(check)

    def test_a_call_does_not_wait_longer_than_the_timeout_for_a_connection(self) -> None:
        """When all connections are in use for longer, it raises `ConnectorException`; the next one works."""
        self._check_executes_sql()
        slow = Statement("slow", "SELECT 1 AS one FROM pg_sleep(1)")

        async def check(face: Face) -> None:
            async with face.opened():
                calls = (face.execute_statement(slow, {}) for _ in range(6))
                ends = await asyncio.gather(*calls, return_exceptions=True)
                refusals = [end for end in ends if isinstance(end, BaseException)]
                check_that(
                    bool(refusals), "a call is refused when all connections are in use for longer than `timeout`"
                )
                for refusal in refusals:
                    check_that(
                        isinstance(refusal, exceptions.ConnectorException),
                        f"expected ConnectorException to be raised, found {refusal!r}",
                    )
                check_equal(await face.execute("check_connection"), [{"exists": True}])

        self._in_each_colour(check, self.make_impatient_connector)
