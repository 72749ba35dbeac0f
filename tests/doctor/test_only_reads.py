"""The doctor changes nothing, and takes no lock that keeps anybody from work."""

from __future__ import annotations

import os
from collections.abc import Iterator

import psycopg
import pytest

import adjourn
from adjourn.connectors.base import SyncSession
from adjourn.doctor import CHECKS, Level, examine
from adjourn.monitor.reader import Reader
from adjourn.sql import reading, statements
from adjourn.types import Parameters, Row, Statement
from support.databases import apply_schema, new_database

LOCKS = Statement(
    "locks",
    "select l.locktype, l.mode, l.relation::regclass::text as relation, c.relkind::text as kind from pg_locks l "
    "left join pg_class c on c.oid = l.relation where l.pid = pg_backend_pid() and l.granted",
)
TRANSACTION = Statement(
    "transaction",
    "select current_setting('transaction_read_only') as read_only, pg_current_xact_id_if_assigned()::text as written",
)


@pytest.fixture(scope="module")
def address(server_dsn: str) -> Iterator[str]:
    name = f"adjourn_only_reads_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"
    with new_database(server_dsn, name) as address:
        apply_schema(address)
        with psycopg.connect(address) as connection:
            connection.execute(
                "insert into adjourn.adjourn_workers (name, last_heartbeat_at, expires_at) "
                "values ('one', now(), now() + interval '1 h')"
            )
        yield address


class Watched:
    """A session that notes, before each of its transactions ends, which locks it has."""

    def __init__(self, session: SyncSession) -> None:
        self._session = session
        self.can_listen = session.can_listen
        self.executed: list[str] = []
        self.locks: set[tuple[str, str]] = set()
        self.relations: set[str] = set()

    def execute(self, statement: Statement, parameters: Parameters | None = None) -> list[Row]:
        if statement.name in ("rollback", "commit"):
            (transaction,) = self._session.execute(TRANSACTION)
            assert transaction == {"read_only": "on", "written": None}
            for row in self._session.execute(LOCKS):
                # The server itself locks a sequence like that for whoever asks for its last value, and for whoever stores a job.
                if row["kind"] == "S" and row["mode"] == "RowExclusiveLock":
                    continue
                self.locks.add((row["locktype"], row["mode"]))
                self.relations.add(row["relation"] or "")
        self.executed.append(statement.name)
        return self._session.execute(statement, parameters)

    def abandon(self) -> None:
        self._session.abandon()

    def close(self) -> None:
        self._session.close()


@pytest.mark.parametrize("check", [check.id for check in CHECKS])
def test_a_check_takes_no_lock_stronger_than_access_share(
    address: str, check: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sessions: list[Watched] = []
    make = Reader.__init__

    def watched(reader: Reader, app: adjourn.App, folder: str, name: str = "") -> None:
        make(reader, app, folder, name)
        sessions.append(Watched(reader.session))
        reader.session = sessions[-1]  # type: ignore[assignment] # pyright: ignore[reportAttributeAccessIssue]

    monkeypatch.setattr(Reader, "__init__", watched)
    app = adjourn.App(connector=adjourn.PsycopgConnector(conninfo=address))
    (examined,) = examine(app, only=[check], timeout=60).checks
    assert examined.level is not Level.UNKNOWN, examined
    (session,) = sessions
    # Its own transaction's number, and the tables that it reads.
    assert session.locks == {("virtualxid", "ExclusiveLock"), ("relation", "AccessShareLock")}
    assert "pg_locks" in session.relations
    # Each statement is between a begin and an end.
    assert session.executed[::3] == ["begin_reading"] * (len(session.executed) // 3)
    assert set(session.executed[2::3]) <= {"rollback", "commit"}
    assert session.executed.count("commit") == session.executed.count("notify")


def test_each_query_reads() -> None:
    texts = {**reading.queries("doctor", "adjourn"), **reading.queries("monitor", "adjourn")}
    assert len(texts) > len(CHECKS)
    for statement in texts.values():
        assert statement.text.startswith("select to_jsonb(facts)"), statement.name
    for name in ("schema_exists", "get_schema_version"):
        assert statements("adjourn")[name].text.lstrip().lower().startswith("select"), name
