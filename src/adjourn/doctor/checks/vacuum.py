"""Can Postgres clean up behind the queue?"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping

from adjourn import sql
from adjourn._domain.wording import counted
from adjourn.doctor.findings import Check, Finding, critical, ok, unknown, warn
from adjourn.doctor.patient import Patient
from adjourn.doctor.words import few_or, named, span, unseen
from adjourn.sql.templates import identifier, literal

ROW_BYTES = 1000
"""What a live job takes at most, with free space beside it, unless its arguments are large."""
WRAPAROUND_CRITICAL = 1_200_000_000
FREEZE_FACTOR = 1.5
MAX_THRESHOLD = "autovacuum_vacuum_max_threshold"
"""At so many dead rows autovacuum begins in any case; servers before 18 have no such setting."""
OVERDUE_TIMES = 2.0
"""So many times more dead rows than autovacuum begins at,"""
OVERDUE_SECONDS = 3600.0
"""and no vacuum for so long: it does not come."""
_INDEX = re.compile(r"^ *create (unique )?index (?P<name>adjourn_\w+)\s+on\s[^;]+;", re.MULTILINE)


def _xmin(patient: Patient) -> Iterator[Finding]:
    limits, found = patient.thresholds, False
    threshold = f"transaction_warn={limits.transaction_warn:g} s, xid_age_warn={limits.xid_age_warn:.0f}"

    def judge(seconds: float | None, age: int | None) -> str | None:
        if (seconds or 0) >= limits.transaction_critical or (age or 0) >= limits.xid_age_critical:
            return "critical"
        return "warn" if (seconds or 0) >= limits.transaction_warn or (age or 0) >= limits.xid_age_warn else None

    def tell(level: str, text: str, remedy: str, statement: str = "") -> Finding:
        return (critical if level == "critical" else warn)(text, remedy, statement, threshold)

    activity = patient.rows("activity")
    for row in activity:
        if row["kind"] == "walsender" or not (row["is_here"] or row["age"]):
            continue
        if level := judge(row["seconds"], row["age"]):
            found = True
            since = "" if row["seconds"] is None else f" for {span(row['seconds'])}"
            yield tell(
                level,
                f"Session {row['pid']} of {named(row['role'])} ({named(row['application'])}, {row['state'] or 'state unknown'}) has "
                f"had a transaction open{since}: {row['age'] or 0:,} transactions have begun since",
                "It waits for a lock that another session has: see the check waits, and end that one."
                if row["is_waiting"]
                else "Have its program commit, or end the session.",
                "" if row["is_waiting"] else f"select pg_terminate_backend({row['pid']});",
            )
    for row in patient.rows("prepared"):
        if level := judge(row["seconds"], row["age"]):
            found = True
            yield tell(
                level,
                f"The prepared transaction {row['gid']!r} of {row['role']!r} has waited for {span(row['seconds'])}",
                "Commit it or roll it back, in its database.",
                f"rollback prepared {literal(row['gid'])};",
            )
    for row in patient.rows("slots"):
        age = max(row["xmin_age"] or 0, row["catalog_age"] or 0)
        # One that holds back catalogs alone does no harm to our tables.
        idle = None if row["active"] or row["xmin_age"] is None else row["inactive_for"]
        if level := judge(idle, age):
            found = True
            since = "" if row["active"] or row["inactive_for"] is None else f" for {span(row['inactive_for'])}"
            yield tell(
                level,
                f"The replication slot {row['slot_name']!r} ({'in use' if row['active'] else 'not in use'}{since}) holds back "
                f"{age:,} transactions",
                "Let its reader catch up, or drop the slot if nobody needs it.",
                f"select pg_drop_replication_slot({literal(row['slot_name'])});",
            )
    for row in patient.rows("standbys"):
        if level := judge(None, row["age"]):
            found = True
            yield tell(
                level,
                f"The standby {named(row['application'])} holds back {row['age']:,} transactions (hot_standby_feedback)",
                "End its long query, or set hot_standby_feedback = off there.",
            )
    hidden = [row for row in activity if row["state"] is None and row["seconds"] is None]
    if hidden and not patient.server["sees_others"]:
        yield unseen(patient, f"{counted(len(hidden), 'session')} of other roles may have old transactions")
    elif not found:
        oldest = max((row["seconds"] or 0 for row in activity), default=0)
        yield ok(f"The oldest open transaction has lasted for {span(oldest)}")


def _autovacuum(patient: Patient) -> Iterator[Finding]:
    settings = patient.settings("autovacuum", "track_counts", MAX_THRESHOLD, "autovacuum_worker_slots")
    limits, found = patient.thresholds, False
    for name in ("autovacuum", "track_counts"):
        if settings.get(name) == "off":
            found = True
            yield critical(
                f"{name} is off: nobody removes dead rows",
                "Switch it on.",
                f"alter system set {name} = on; select pg_reload_conf();",
            )
    for row in patient.rows("vacuum"):
        options = dict(option.split("=", 1) for option in row["options"] or ())
        table = f"{identifier(patient.schema)}.{identifier(row['name'])}"
        if options.get("autovacuum_enabled") in ("off", "false"):
            found = True
            yield critical(
                f"autovacuum is off for {row['name']}",
                "Switch it on.",
                f"alter table {table} reset (autovacuum_enabled);",
            )
        begins = _begins(options, float(row["rows"]), settings.get(MAX_THRESHOLD, "-1"))
        times = (row["dead"] or 0) / max(1.0, begins)
        if times >= limits.dead_warn:
            found = True
            yield (critical if times >= limits.dead_critical else warn)(
                f"{row['name']} has {row['dead']:,} dead rows, {times:.0f} times as many as autovacuum begins at",
                "See the check xmin first: while an old transaction is open, no vacuum helps. Otherwise give autovacuum more "
                "workers, or a higher cost limit.",
                f"vacuum {table};",
                f"dead_warn={limits.dead_warn:g}",
            )
        elif times >= OVERDUE_TIMES and (row["seconds"] or 0.0) >= OVERDUE_SECONDS:
            found = True
            yield warn(
                f"{row['name']} has {row['dead']:,} dead rows, {times:.0f} times as many as autovacuum begins at, and was vacuumed "
                f"{span(row['seconds'])} ago",
                "Autovacuum should have come within minutes. See who locks the table (the check waits), or whether its workers are busy elsewhere.",
                f"vacuum {table};",
            )
    running = patient.row("vacuuming")
    if running["workers"] >= running["most"] > 0:
        found = True
        yield warn(
            f"All {running['most']} workers of autovacuum are busy",
            "Raise autovacuum_max_workers"
            + (
                f", up to autovacuum_worker_slots ({settings['autovacuum_worker_slots']}) without a restart"
                if "autovacuum_worker_slots" in settings
                else ", which takes a restart"
            )
            + "; large tables elsewhere keep them from the queue.",
        )
    if not found:
        yield ok("Autovacuum keeps up")


def _begins(options: Mapping[str, str], rows: float, most: str) -> float:
    """Return at how many dead rows autovacuum begins: the table's own options win over what is usual."""
    begins = float(options.get("autovacuum_vacuum_threshold", 50))
    begins += float(options.get("autovacuum_vacuum_scale_factor", 0.2)) * max(0.0, rows)
    most_rows = float(options.get(MAX_THRESHOLD, most))
    return begins if most_rows < 0 else min(begins, most_rows)


def _bloat(patient: Patient) -> Iterator[Finding]:
    limits, found, threshold = patient.thresholds, False, f"bloat_warn={patient.thresholds.bloat_warn:.0f} bytes"
    table = next((row for row in patient.rows("vacuum") if row["name"] == "adjourn_jobs"), None)
    if table is None or table["bytes"] is None:  # a table that has been dropped since has no size
        yield unknown("There is no table of jobs")
        return
    needed = max(1, table["live"] or 0) * ROW_BYTES
    sizes = [
        (
            "adjourn_jobs",
            table["bytes"],
            "vacuum {}; -- makes its space usable; it shrinks only when it is empty at its end",
        )
    ]
    sizes += [
        (row["name"], row["bytes"], "reindex index concurrently {};")
        for row in patient.rows("index_sizes")
        if row["bytes"] is not None
    ]
    for name, size, statement in sizes:
        if size > limits.bloat_warn and size > 8 * needed:
            found = True
            is_bad = size > limits.bloat_critical and size > 20 * needed
            yield (critical if is_bad else warn)(
                f"{name} has {size / 1e6:,.0f} MB for {few_or(table['live'], 'live job')}",
                "See the check xmin first. Then build it anew; never run VACUUM FULL while workers run: it locks them out.",
                statement.format(f"{identifier(patient.schema)}.{identifier(name)}"),
                threshold,
            )
    if not found:
        yield ok(f"The table of live jobs has {table['bytes'] / 1e6:,.1f} MB for {few_or(table['live'], 'job')}")


def _wraparound(patient: Patient) -> Iterator[Finding]:
    row = patient.row("wraparound")
    age = max(row["age"], row["multi_age"])
    if age >= FREEZE_FACTOR * row["freeze_at"]:
        yield (critical if age >= WRAPAROUND_CRITICAL else warn)(
            f"The oldest row that is not frozen is {age:,} transactions old; Postgres stops storing at two billion",
            "See the check xmin first, then freeze.",
            "vacuum (freeze);",
        )
    else:
        yield ok(f"The oldest row that is not frozen is {age:,} transactions old")


def _indexes(patient: Patient) -> Iterator[Finding]:
    rows, found = patient.rows("indexes"), False
    there = {row["name"]: row for row in rows}
    schema = identifier(patient.schema)
    for name, definition in expected_indexes(patient.schema).items():
        row = there.get(name)
        if row is None and f" on {schema}.adjourn_finished_jobs" in definition:
            found = True
            yield critical(
                f"The index {name} is missing",
                f"Make it for the table alone, then run {patient.applying}, which builds it on each partition while workers go on.",
                definition.replace(" on ", " on only ", 1) + ";",
            )
        elif row is None:
            found = True
            yield critical(
                f"The index {name} is missing",
                "Make it again.",
                definition.replace("index ", "index concurrently ", 1) + ";",
            )
        elif row["is_partitioned"] and not row["is_valid"]:
            found = True
            yield warn(
                f"The index {name} is not on all partitions of {row['table_name']} yet",
                f"Run {patient.applying}; it builds the index while workers go on.",
            )
        elif not (row["is_valid"] and row["is_ready"]):
            found = True
            yield critical(
                f"The index {name} is invalid",
                "Build it anew.",
                f"reindex index concurrently {schema}.{identifier(name)};",
            )
    for row in rows:
        if row["name"].endswith(("_ccnew", "_ccold")):
            found = True
            yield warn(
                f"{row['name']} is left of a build that was interrupted",
                "Drop it.",
                f"drop index concurrently {schema}.{identifier(row['name'])};",
            )
        elif row["table_name"] == "adjourn_jobs" and row["name"] not in expected_indexes(patient.schema):
            claimed = sorted({"worker_id", "claim", "started_at", "claimed_ahead"} & set(row["columns"]))
            if claimed:
                found = True
                yield warn(
                    f"The index {row['name']} mentions {', '.join(claimed)}, which every claim changes: each claim now writes to all "
                    "indexes",
                    "Drop it; `list_jobs` and the dashboard do not need it.",
                    f"drop index concurrently {schema}.{identifier(row['name'])};",
                )
    if not found:
        count = len(expected_indexes(patient.schema))
        yield ok(f"All {count} indexes are there and valid" if count != 1 else "The index is there and valid")


@functools.lru_cache(maxsize=4)
def expected_indexes(schema: str) -> Mapping[str, str]:
    """Return the indexes that the schema makes, by name, with the statement that makes each."""
    found = _INDEX.finditer(sql.whole_schema(schema))
    return {match["name"]: " ".join(match[0].rstrip(";").split()) for match in found}


CHECKS = (
    Check(
        "xmin",
        "While an old transaction is open, vacuum removes no finished job from the table of live ones, and claims slow down.",
        _xmin,
    ),
    Check(
        "autovacuum",
        "Each job leaves dead rows; without vacuum, claims walk past all of them.",
        _autovacuum,
        needs_schema=True,
    ),
    Check("bloat", "A table that has grown is read more slowly, and stays large.", _bloat, needs_schema=True),
    Check(
        "wraparound", "Postgres refuses to store anything shortly before its transaction numbers run out.", _wraparound
    ),
    Check("indexes", "A claim without its index reads all jobs.", _indexes, needs_schema=True),
)
"""These checks, the worst harm first."""
