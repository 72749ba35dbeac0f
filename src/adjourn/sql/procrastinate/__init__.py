"""The SQL of the migration from Procrastinate: what stands in its tables, and the triggers that join both to one queue.

``tables.sql``, ``functions/``, ``triggers.sql`` and ``forwarding.sql`` are made when a migration starts, ``stop.sql`` and
``forget.sql`` end it. None of it is part of adjourn's schema. Besides the marks of `templates`, these texts have:

========================  ===========================================================================
``@theirs``               the schema of Procrastinate's tables, quoted; ``@theirs_name`` as a literal,
                          ``@theirs_bare`` unquoted as a literal
``@live``                 the statuses of jobs that have not ended
``@refused``              whether the job ``j`` cannot be one of ours
``@stalled``              whether the job ``j`` runs, and its worker is silent for ``p_stalled_after``
``@abort_requested``      whether the job ``j`` is to be aborted
``@queueing_lock_index``  the name of the index of queueing locks, as a literal
========================  ===========================================================================
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources.abc import Traversable

import attrs

from adjourn.sql import templates
from adjourn.sql.history import own_folder
from adjourn.types import Statement


@attrs.frozen(kw_only=True)
class Source:
    """Procrastinate's tables.

    Attributes
    ----------
    schema
        The schema that they are in.
    columns
        The names of tables and columns, as in ``procrastinate_jobs.id``.
    queueing_lock_index
        The name of the index that refuses a second waiting job with the same queueing lock.
    """

    schema: str
    columns: frozenset[str] = frozenset()
    queueing_lock_index: str = ""

    @property
    def has_priorities(self) -> bool:
        """Whether it is 2.0.3 or later."""
        return "procrastinate_jobs.priority" in self.columns

    @property
    def is_third(self) -> bool:
        """Whether it is 3.0 or later."""
        return "procrastinate_jobs.abort_requested" in self.columns

    @property
    def has_heartbeats(self) -> bool:
        """Whether it is 3.1 or later, whose workers send heartbeats."""
        return {"procrastinate_jobs.worker_id", "procrastinate_workers.last_heartbeat"} <= self.columns


def statements(schema: str, source: Source) -> Mapping[str, Statement]:
    """Return every statement by name.

    Parameters
    ----------
    schema
        The name of adjourn's schema.
    source
        Procrastinate's tables.
    """
    names = _names(source)
    return {
        name: Statement(name, templates.render(text, schema, percent="%%", names=names).strip(), may_take_long=True)
        for name, text in templates.read(_folder().joinpath("statements"))
    }


def bare(name: str, schema: str, source: Source) -> Statement:
    """Return a statement without parameters."""
    return _script(name, _text(f"statements/{name}"), schema, source)


def beginning(schema: str, source: Source) -> Statement:
    """Return the script that makes the tables, the functions and all triggers but the one that forwards jobs."""
    functions = "\n".join(text for _, text in templates.read(_folder().joinpath("functions")))
    text = "\n".join((_text("tables"), functions, _text("triggers")))
    return _script("start_migration", text, schema, source)


def forwarding(schema: str, source: Source) -> Statement:
    """Return the script that makes the trigger which forwards jobs."""
    return _script("start_forwarding", _text("forwarding"), schema, source)


def stopping(schema: str, source: Source) -> Statement:
    """Return the script that drops the triggers."""
    return _script("stop_migration", _text("stop"), schema, source)


def forgetting(schema: str, source: Source) -> Statement:
    """Return the script that drops everything else that the migration has made, but the new ids of jobs."""
    return _script("forget_migration", _text("forget"), schema, source)


def _script(name: str, text: str, schema: str, source: Source) -> Statement:
    return Statement(name, templates.render(text, schema, names=_names(source)), may_take_long=True)


def _folder() -> Traversable:
    return own_folder().joinpath("procrastinate")


def _text(name: str) -> str:
    return _folder().joinpath(f"{name}.sql").read_text("utf-8")


def _names(source: Source) -> dict[str, str]:
    theirs = templates.identifier(source.schema)
    silent = "now() - make_interval(secs => p_stalled_after)"
    if source.has_heartbeats:
        alive = f"select from {theirs}.procrastinate_workers w where w.id = j.worker_id and w.last_heartbeat > {silent}"
    else:
        events = f"{theirs}.procrastinate_events"
        alive = f"select from {events} v where v.job_id = j.id and v.type = 'started' and v.at > {silent}"
    return {
        "theirs": theirs,
        "theirs_name": templates.literal(theirs),
        "theirs_bare": templates.literal(source.schema),
        "live": "'todo', 'doing'" if source.is_third else "'todo', 'doing', 'aborting'",
        "refused": "(j.queue_name = '' or j.task_name = '' or jsonb_typeof(j.args) <> 'object')",
        "stalled": f"(j.status <> 'todo' and p_stalled_after is not null and not exists ({alive}))",
        "abort_requested": "j.abort_requested" if source.is_third else "(j.status = 'aborting')",
        "queueing_lock_index": templates.literal(source.queueing_lock_index),
    }
