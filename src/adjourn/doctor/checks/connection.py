"""Can the database be reached, is it the right one, and may this role do its work?"""

from __future__ import annotations

import re
import secrets
import shlex
import time
from collections.abc import Iterator

from adjourn import sql
from adjourn._domain.wording import counted, verb
from adjourn.doctor.findings import Check, Finding, critical, ok, unknown, warn
from adjourn.doctor.patient import Patient
from adjourn.monitor.slots import serving_of
from adjourn.schema import grants
from adjourn.sql.grants import KINDS
from adjourn.sql.templates import identifier
from adjourn.types import Row

OLDEST_SERVER = 150_000
HEARD_WITHIN = 2.0
"""Seconds for a notification to arrive."""
_ON_TABLE = re.compile(r"(?P<privileges>[a-z, ]+?)(?P<columns> \(.*\))? on (?P<name>\S+)")


def _connect(patient: Patient) -> Iterator[Finding]:
    began = time.monotonic()
    patient.row("server")
    seconds, server = time.monotonic() - began, patient.server
    yield ok(f"Database {server['database']!r} answers {server['role']!r} in {seconds * 1000:.1f} ms")


def _version(patient: Patient) -> Iterator[Finding]:
    version = patient.server["version"]
    if patient.server["number"] < OLDEST_SERVER:
        yield critical(
            f"PostgreSQL {version} is too old", f"Upgrade the server to PostgreSQL {OLDEST_SERVER // 10_000} or later."
        )
    else:
        yield ok(f"PostgreSQL {version}")


def _schema(patient: Patient) -> Iterator[Finding]:
    version, latest = patient.version, sql.latest_version()
    applying = patient.applying
    if version == 0:
        yield critical(f"There is no schema {patient.schema!r} of adjourn", f"Run {applying}.")
    elif version < latest:
        yield critical(f"The schema has version {version}, this adjourn needs {latest}", f"Run {applying}.")
    elif version > latest:
        yield warn(
            f"The schema has version {version}, this adjourn knows those up to {latest}", "Upgrade adjourn here, too."
        )
    else:
        yield ok(f"The schema {patient.schema!r} has version {version}")


def _rights(patient: Patient) -> Iterator[Finding]:
    role, wanted = patient.server["role"], list(_wanted(patient.role, identifier(patient.schema)))
    # Without the first right, the usage of the schema, nothing in it can be asked about.
    missing = _missing(patient, wanted[:1]) or _missing(patient, wanted)
    if any(row["is_granted"] is None for row in missing):
        yield unknown(f"There is no schema {patient.schema!r} of adjourn to look at")
        return
    if missing:
        first = ", ".join(f"{row['privilege']} on {row['name']}" for row in missing[:3])
        yield critical(
            f"The role {role!r} lacks {counted(len(missing), 'right')} of a {patient.role}: {first}"
            + (", ..." if len(missing) > 3 else ""),
            f"Have the owner of the tables grant them; `{patient.command('schema --roles')}` prints all grants.",
            grants(patient.role, role, patient.schema).strip(),
        )
        return
    foreign = [row for row in patient.rows("partitions") if not row["is_owned"]]
    if patient.role == "worker" and foreign:
        yield ok(
            f"The role {role!r} may do all that workers do. {counted(len(foreign), 'partition')} of finished jobs "
            f"{verb(len(foreign), 'belongs', 'belong')} to {foreign[0]['owner']!r}, who makes new ones and drops old ones"
        )
    else:
        yield ok(f"The role {role!r} has the rights of a {patient.role}")


def _missing(patient: Patient, wanted: list[tuple[str, str, str]]) -> list[Row]:
    kinds, names, privileges = (list(column) for column in zip(*wanted, strict=True))
    rows = patient.rows("rights", kinds=kinds, names=names, privileges=privileges)
    return [row for row in rows if not row["is_granted"]]


def _wanted(role: str, schema: str) -> Iterator[tuple[str, str, str]]:
    """Yield the kind, the name and the privilege of each right that a kind of role needs."""
    yield "schema", schema, "usage"
    for right in KINDS[role][1]:
        match = _ON_TABLE.fullmatch(right.removesuffix(" on schema {schema}"))
        if match is None:
            continue  # all functions, which are looked up
        name = f"{schema}.{match['name'].strip('{}')}"
        if right.startswith("usage on sequence"):
            yield "sequence", f"{schema}.{right.split()[-1].strip('{}')}", "usage"
            continue
        for privilege in match["privileges"].split(", "):
            yield "columns" if match["columns"] else "table", name, privilege


def _pooler(patient: Patient) -> Iterator[Finding]:
    if not patient.can_listen:
        yield warn(
            "A connection pooler in transaction mode is in between: workers are not notified of new jobs, they poll",
            "Give workers an address that leads to the server directly; programs that only defer jobs may go through the pooler.",
        )
        return
    channel, payload = "adjourn_doctor_" + secrets.token_hex(8), secrets.token_hex(8)
    with patient.listener() as listener:
        listener.listen(channel)
        patient.notify(channel, payload)
        if listener.hears(payload, min(HEARD_WITHIN, patient.seconds_left)):
            yield ok("Notifications arrive")
        else:
            yield warn(
                f"A notification did not arrive within {HEARD_WITHIN:g} s: workers find new jobs only when they poll",
                "Look for a proxy or a pooler between this machine and the server, and give workers a direct address.",
            )


def _clock(patient: Patient) -> Iterator[Finding]:
    began = time.time()
    theirs = patient.row("server")["now"]
    ended = time.time()
    difference = theirs - (began + ended) / 2
    certainty, limits = (ended - began) / 2, patient.thresholds
    if abs(difference) <= max(limits.clock_warn, certainty):
        yield ok(f"The server's clock differs from this machine's by {abs(difference):.2f} s")
        return
    where = "ahead of" if difference > 0 else "behind"
    text = f"The server's clock is {abs(difference):.1f} s {where} this machine's"
    remedy = (
        "Let both take their time from NTP. The server's clock decides when jobs are due; logs have this machine's."
    )
    is_bad = abs(difference) > limits.clock_critical
    yield (critical if is_bad else warn)(text, remedy, "", f"clock_warn={limits.clock_warn:g} s")


def _connections(patient: Patient) -> Iterator[Finding]:
    row, limits = patient.row("connections"), patient.thresholds
    counts = [(row["used"], row["most"] - row["reserved"] - row["also_reserved"], "the server")]
    counts += [
        (row[used], row[limit], who)
        for used, limit, who in (
            ("used_by_role", "role_limit", f"the role {patient.server['role']!r}"),
            ("used_by_database", "database_limit", f"the database {patient.server['database']!r}"),
        )
        if (row[limit] or -1) >= 0
    ]
    found = False
    for used, most, who in counts:
        share = used / max(1, most)
        if share >= limits.connections_warn:
            found = True
            yield (critical if share >= limits.connections_critical else warn)(
                f"{used} of {most} connections of {who} are taken, {row['used_by_role']} of them by {patient.server['role']!r}",
                "Lower the sizes of pools, or raise the limit. A worker takes its pool, one session for its exchange and one for "
                "its heartbeat.",
                "",
                f"connections_warn={limits.connections_warn:g}",
            )
    if not found:
        used, most, _ = counts[0]
        yield ok(f"{used} of {most} connections are taken, {row['used_by_role']} of them by {patient.server['role']!r}")


def _notify(patient: Patient) -> Iterator[Finding]:
    usage, limits = patient.row("notify_queue")["usage"], patient.thresholds
    if usage < limits.notify_warn:
        yield ok(f"{usage:.0%} of the queue of notifications is in use")
        return
    yield (critical if usage >= limits.notify_critical else warn)(
        f"{usage:.0%} of the queue of notifications is in use: a session that listens does not read, in an open transaction",
        "End the oldest transaction that the check xmin names. When the queue is full, no commit that notifies succeeds.",
        "",
        f"notify_warn={limits.notify_warn:g}",
    )


def _app(patient: Patient) -> Iterator[Finding]:
    stored = [row["task"] for row in patient.rows("task_names")]
    missing = [name for name in stored if not patient.app.may_know(name)]
    if missing:
        names = ", ".join(map(repr, missing[:5])) + (", ..." if len(missing) > 5 else "")
        yield warn(
            f"Jobs wait for {counted(len(missing), 'task')} that this app does not know: {names}",
            "Name the modules that declare them in import_paths, or give a renamed task its old name as an alias. If another "
            "app runs them, all is well. A worker that does not know a task leaves its jobs to those that do, and fails them after an hour, or what its "
            "option unknown_task_timeout says.",
        )
    else:
        yield ok(f"The app knows the tasks of all jobs that were looked at ({len(stored)})")
    alive = serving_of(patient.crew[0])
    queues = {task.queue for task in patient.app.tasks.values() if not task.name.startswith("builtin:")}
    if unserved := sorted(queue for queue in queues if alive and not serving_of(alive, queue)):
        yield ok(
            f"No worker that is alive serves {counted(len(unserved), 'queue')} of this app's tasks: {', '.join(map(repr, unserved[:5]))}",
            "Start one before jobs of these tasks come.",
            patient.command(f"worker --queues={shlex.quote(unserved[0])}"),
        )


CHECKS = (
    Check("connect", "Without a connection, no job is stored and none runs.", _connect),
    Check("version", "adjourn is tried on PostgreSQL 15 to 18.", _version),
    Check("schema", "Workers and programs refuse a schema that is older than they are.", _schema),
    Check("rights", "A right that is missing shows only when somebody needs it.", _rights),
    Check("pooler", "A pooler in transaction mode keeps notifications from workers.", _pooler),
    Check("clock", "The server's clock says when jobs are due; this machine's is in the logs.", _clock),
    Check("connections", "When the last connection is taken, workers cannot come back after an outage.", _connections),
    Check("notify", "When the queue of notifications is full, no defer succeeds.", _notify),
    Check("app", "A job whose task nobody knows waits, and then fails.", _app, needs_schema=True),
)
"""These checks, the first one first."""
