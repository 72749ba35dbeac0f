"""Several workers that look for what other programs have left, at full size of a page, and are killed between and within statements."""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator

import psycopg
import pytest

import adjourn
from adjourn import Limit
from adjourn._async.managers.caretaker import HEALED
from support.waiting import until
from torture.postgres import Postgres, own_server
from torture.serverlog import complaints

IS_THOROUGH = "ADJOURN_TEST_THOROUGH" in os.environ
CARETAKERS = 5 if IS_THOROUGH else 3
ROUNDS = 10 if IS_THOROUGH else 1
KILLS = 40 if IS_THOROUGH else 12
"""The most in a round."""
EACH = HEALED * 5 // 2
"""So many of a kind are damaged: pages of them."""

CARETAKER = """
import os, adjourn
from adjourn._domain.upkeep import Timetable
from adjourn._sync.managers.caretaker import SyncCaretaker
from adjourn._sync.managers.exchange import PLACE_LIMIT, SyncWorkerManager
from adjourn.exceptions import ConnectorException

app = adjourn.App(connector=adjourn.SyncPsycopgConnector(os.environ["CARETAKER_DSN"]))
timetable = Timetable()
while True:
    try:
        manager = SyncWorkerManager(app.connector.session(), app.connector.json_loads)
        caretaker = SyncCaretaker(manager, "one", timetable, 30.0, 30, app.events)
        while True:
            # At once again, and not after a minute.
            timetable.heal_at = 0.0
            caretaker.keep_up()
            while manager.place(PLACE_LIMIT).moved:
                pass
    except ConnectorException:
        pass  # its session was ended: it goes on with another one
"""

LEDGER = """
    create table moves (id bigint not null, was smallint not null, is_now smallint not null);
    create function note_move() returns trigger language plpgsql as $$
    begin
        insert into public.moves values (new.id, old.hold, new.hold);
        return null;
    end $$;
    create trigger note_move after update on adjourn.adjourn_jobs for each row
    when (old.hold <> new.hold) execute function note_move();
"""
DAMAGE = {
    "locks without a head": "insert into adjourn.adjourn_jobs (queue, task_name, priority, args, hold, lock)"
    " select 'default', 'plain', 0, '{}', 2, 'lock ' || n from generate_series(1, %(each)s) n, generate_series(1, 2)",
    "keys with a free place": "insert into adjourn.adjourn_jobs"
    " (queue, task_name, priority, args, hold, special, limit_id, limit_key, gate_id, gate_key)"
    " select 'default', 'keyed', 0, '{}', 7, true, l.id, 'key ' || n, l.id, 'key ' || n"
    " from adjourn.adjourn_limits l, generate_series(1, %(each)s) n, generate_series(1, 2)",
    "jobs set aside of what is not paused": "insert into adjourn.adjourn_jobs (queue, task_name, priority, args, hold, special)"
    " select 'default', 'paused', 0, '{}', 8, true from generate_series(1, %(each)s)",
    "starts that no rate asks for": "insert into adjourn.adjourn_starts (limit_id, limit_key, at, n)"
    " select 1, 'key ' || n, now() - interval '1 day', 1 from generate_series(1, %(each)s) n",
    "a heartbeat to come": "update adjourn.adjourn_workers set last_heartbeat_at = now() + interval '1 hour',"
    " expires_at = now() + interval '3 hours'",
}
LEFT = {
    "locks without a head": "select count(*) from (select lock from adjourn.adjourn_jobs where lock is not null"
    " group by lock having count(*) filter (where hold = 0) = 0) headless",
    "keys with a free place": "select count(*) from (select limit_key from adjourn.adjourn_jobs where limit_key is not null"
    " group by limit_key having count(*) filter (where hold = 0) = 0) free",
    "jobs set aside": "select count(*) from adjourn.adjourn_jobs where hold = 8",
    "starts": "select count(*) from adjourn.adjourn_starts",
    "heartbeats to come": "select count(*) from adjourn.adjourn_workers where last_heartbeat_at > clock_timestamp()",
    "notes of locks": "select count(*) from adjourn.adjourn_headless_locks",
    "notes of limits": "select count(*) from adjourn.adjourn_open_limits",
}
TWICE = {
    "heads of a lock": "select count(*) from (select lock from adjourn.adjourn_jobs where lock is not null"
    " group by lock having count(*) filter (where hold = 0) > 1) twice",
    "places of a key": "select count(*) from (select limit_key from adjourn.adjourn_jobs where limit_key is not null"
    " group by limit_key having count(*) filter (where hold = 0) > 1) twice",
    "moves of a job": "select count(*) from (select id from moves group by id having count(*) > 1) twice",
    "moves back": "select count(*) from moves where is_now <> 0",
}
OF_CARETAKERS = "datname = current_database() and application_name = 'caretaker'"


@pytest.fixture
def server() -> Iterator[Postgres]:
    with own_server("adjourn-caretakers-") as server:
        yield server


class Caretakers:
    """Processes that care for a database at the same time."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        environment = {**os.environ, "CARETAKER_DSN": f"{self._dsn} application_name=caretaker"}
        self.processes.append(subprocess.Popen([sys.executable, "-W", "ignore", "-c", CARETAKER], env=environment))

    def kill_one(self) -> None:
        """Kill one (kill -9), and start another."""
        process = self.processes.pop(random.randrange(len(self.processes)))
        process.kill()
        process.wait()
        self.start()

    def end(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()


def left(connection: psycopg.Connection, queries: dict[str, str]) -> dict[str, int]:
    """Return what there is, and how much of it."""
    found = {}
    for name, query in queries.items():
        (number,) = connection.execute(query.encode()).fetchone() or (0,)
        if number:
            found[name] = number
    return found


def disturb(caretakers: Caretakers, connection: psycopg.Connection) -> list[str]:
    """Kill caretakers and their sessions until all is healed, or some time longer; return what each session did that was ended."""
    did: list[str] = []
    for number in range(KILLS):
        if not left(connection, LEFT):
            break
        time.sleep(random.uniform(0, 0.1))
        if number % 4 == 3:
            caretakers.kill_one()
            continue
        ended = connection.execute(
            "select state, query, pg_terminate_backend(pid) from pg_stat_activity where "
            f"{OF_CARETAKERS} order by (state = 'active') desc, random() limit 1".encode()
        ).fetchone()
        if ended is not None:
            did.append(" ".join(str(ended[1]).split()) if ended[0] == "active" else str(ended[0]))
    return did


@pytest.mark.timeout(600)
def test_large_damage_is_healed_once_by_caretakers_that_are_killed(server: Postgres) -> None:
    app = adjourn.App(connector=adjourn.SyncPsycopgConnector(server.dsn))
    app.task(name="keyed", limits=Limit(key="tenant", concurrency=1))(lambda tenant: None)
    caretakers, did = Caretakers(server.dsn), list[str]()
    with contextlib.ExitStack() as stack:
        connection = stack.enter_context(server.connect())
        stack.callback(caretakers.end)
        with app.open():
            app.tasks["keyed"].defer(tenant="t")
        connection.execute("delete from adjourn.adjourn_jobs")
        connection.execute(
            "insert into adjourn.adjourn_workers (name, expires_at) values ('one', now() + interval '1 hour')"
        )
        connection.execute(LEDGER.encode())
        for _ in range(CARETAKERS):
            caretakers.start()
        for _ in range(ROUNDS):
            until(
                lambda: left(
                    connection, {"them": f"select count(*) >= {CARETAKERS} from pg_stat_activity where {OF_CARETAKERS}"}
                )
            )
            with connection.transaction():
                for damage in DAMAGE.values():
                    connection.execute(damage.encode(), {"each": EACH})
            did += disturb(caretakers, connection)
            try:
                until(lambda: not left(connection, LEFT), 120)
            except AssertionError:
                pytest.fail(f"there is still {left(connection, LEFT)}")
            assert left(connection, TWICE) == {}
            (moved,) = connection.execute("select count(*) from moves").fetchone() or (0,)
            assert moved == 3 * EACH
            # No `truncate`: for its lock caretakers would have to wait.
            connection.execute("delete from moves")
            connection.execute("delete from adjourn.adjourn_jobs")
    assert sum("heal" in each for each in did) > 0, did
    assert dict(complaints([server.log], {})) == {}
