"""The schema's SQL, to apply it with other tools than adjourn: psql, Django, Alembic.

Programs that were written for Procrastinate also import `SchemaManager` from here.
"""

from __future__ import annotations

from adjourn import sql
from adjourn._domain.checks import check_name
from adjourn._domain.indexes import UnbuiltIndex
from adjourn._domain.spelling import hint
from adjourn.exceptions import InvalidOption
from adjourn.manager import SchemaManager
from adjourn.sql import SchemaVersion
from adjourn.sql.grants import KINDS
from adjourn.sql.grants import grants as render_grants

__all__ = ["ROLES", "SchemaManager", "SchemaVersion", "UnbuiltIndex", "grants", "versions"]

ROLES: tuple[str, ...] = tuple(KINDS)
"""The kinds of roles of a database: see `grants`."""


def grants(kind: str, role: str, schema: str = sql.DEFAULT_SCHEMA) -> str:
    """Return the GRANT statements that a role of the database needs, for the owner of the tables to execute.

    Execute them again after each version of the schema. A role can be of several kinds.

    Parameters
    ----------
    kind
        ``"owner"`` applies the schema. ``"worker"`` runs workers, and may do all of the following. ``"producer"`` defers
        jobs, and cannot read their arguments. ``"reader"`` lists jobs, workers and schedules. ``"operator"`` does so,
        and retries, cancels, aborts and deletes jobs.
    role
        The name of the role, which must exist when they are executed.
    schema
        The name of the schema, ``adjourn`` by default.

    Raises
    ------
    InvalidOption
        If there is no such kind, or a name cannot be one.
    """
    check_name("role", role)
    if kind not in KINDS:
        raise InvalidOption(f"kind={kind!r}{hint(str(kind), ROLES)} Pass one of: {', '.join(ROLES)}.")
    return render_grants(kind, role, schema)


def versions(schema: str = sql.DEFAULT_SCHEMA, *, after: int = 0, through: int | None = None) -> list[SchemaVersion]:
    """Return the versions of adjourn's schema in order, with the SQL of each.

    Execute the text of each in this order, without parameters, in any transactions: each is one statement, records
    itself in the table ``adjourn_migrations``, and does nothing if it has been applied already. This adjourn needs a
    database with the last one, as `SchemaManager.check_version` checks.

    Parameters
    ----------
    schema
        The name of the database schema that holds adjourn's tables.
    after
        Leave out the versions up to this one, which the database has. Default: 0, none of them.
    through
        Leave out the versions after this one. Pass it in migrations that you keep, so that they do the same after an
        upgrade of adjourn. Default: None, up to the latest.

    Returns
    -------
    list of SchemaVersion
        Each with its ``number``, ``name`` and ``sql``, and the ``online_indexes`` that are built afterwards.

    Raises
    ------
    InvalidOption
        If the name cannot be a schema's, or a version is not a number or not one that this adjourn knows.
    """
    latest = sql.latest_version()
    last = latest if through is None else through
    for argument, value in (("after", after), ("through", last)):
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= latest:
            message = f"{argument}={value!r}: pass a version of the schema; this adjourn knows those up to {latest}."
            raise InvalidOption(message)
    return [version for version in sql.versions(schema) if after < version.number <= last]
