"""The settings of the extension, in Flask's configuration as ``ADJOURN_...``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from adjourn._domain.checks import check_count, check_flag
from adjourn._domain.spelling import hint
from adjourn._domain.time_checks import check_seconds
from adjourn.app import App
from adjourn.connectors.base import BaseConnector
from adjourn.connectors.memory import InMemoryConnector
from adjourn.connectors.psycopg import PsycopgConnector
from adjourn.contrib.flask.opening import OpensItself
from adjourn.exceptions import InvalidOption, UnknownOption

PREFIX = "ADJOURN_"
DEFAULT_MAX_SIZE = 10
"""How many connections a connector's pool has at most, unless it is told."""
_OF_APPS = (
    *("import_paths", "worker_defaults", "periodic_defaults", "schema", "store_results", "result_ttl", "queue_limits"),
)
"""The settings that are options of `App`."""
_FLASK_SQLALCHEMYS = "SQLALCHEMY_DATABASE_URI"


@attrs.frozen(kw_only=True)
class FlaskSettings:
    """The settings of one Flask application.

    Attributes
    ----------
    dsn
        The address of the database. It may name a driver, as those of SQLAlchemy do: psycopg or psycopg2.
    pool_min_size, pool_max_size, pool_timeout
        The pool of each process: the numbers of its connections, and the seconds that a call waits for one.
    schema, import_paths, worker_defaults, periodic_defaults, store_results, result_ttl, queue_limits
        As `App` takes them.
    testing
        Whether jobs are kept in memory.
    """

    dsn: str | None = None
    pool_min_size: int | None = None
    pool_max_size: int | None = None
    pool_timeout: float | None = None
    schema: str | None = None
    import_paths: Any = None
    worker_defaults: Any = None
    periodic_defaults: Any = None
    store_results: Any = None
    result_ttl: Any = None
    queue_limits: Any = None
    testing: bool = False

    @classmethod
    def read(cls, config: Mapping[str, Any], defaults: Mapping[str, Any]) -> FlaskSettings:
        """Read the settings out of a Flask application's configuration.

        Parameters
        ----------
        config
            The configuration.
        defaults
            The values of settings that it does not have, by their names in small letters, without the prefix.

        Raises
        ------
        InvalidOption
            If there is no such setting, one has a wrong value, or no database is named.
        """
        known = [each.name for each in attrs.fields(cls)]
        given = dict(defaults)
        for name, value in config.items():
            if name.startswith(PREFIX):
                given[name.removeprefix(PREFIX).lower()] = value
        for name in given:
            if name not in known:
                raise _unknown(name, known)
        settings = cls(**given)
        settings._check()
        if settings.dsn is None and not settings.testing:
            return attrs.evolve(settings, dsn=_dsn_of_flask_sqlalchemy(config.get(_FLASK_SQLALCHEMYS)))
        return settings

    def _check(self) -> None:
        if self.dsn is not None and not isinstance(self.dsn, str):
            raise InvalidOption(f"{PREFIX}DSN: pass text, such as 'postgresql://user@host/dbname'.")
        check_flag(f"{PREFIX}TESTING", self.testing)
        for name, size in (("POOL_MIN_SIZE", self.pool_min_size), ("POOL_MAX_SIZE", self.pool_max_size)):
            if size is not None:
                check_count(f"{PREFIX}{name}", size)
        if self.pool_max_size == 0:
            raise InvalidOption(f"{PREFIX}POOL_MAX_SIZE=0: a pool needs a connection.")
        check_seconds(f"{PREFIX}POOL_TIMEOUT", self.pool_timeout, optional=True)
        if (self.pool_min_size or 0) > (self.pool_max_size or DEFAULT_MAX_SIZE):
            raise InvalidOption(f"{PREFIX}POOL_MIN_SIZE={self.pool_min_size} is more than {PREFIX}POOL_MAX_SIZE.")

    def app_with_tasks_of(self, app: App) -> App:
        """Return an app with these settings and the tasks of another one."""
        options: dict[str, Any] = {name: value for name in _OF_APPS if (value := getattr(self, name)) is not None}
        checked = _Checked(connector=self._connector(), **options)
        found = app.with_connector(checked.connector)
        for name in _OF_APPS:
            if name != "schema":
                setattr(found, name, getattr(checked, name))
        use(found, checked.connector, checked.job_manager.schema)
        return found

    def _connector(self) -> BaseConnector:
        if self.testing:
            return InMemoryConnector()
        dsn, driver = _without_driver(self.dsn or "")
        names = ("minconn", "maxconn") if driver == "psycopg2" else ("min_size", "max_size")
        values = (self.pool_min_size, self.pool_max_size, self.pool_timeout)
        options: dict[str, Any] = {
            name: value for name, value in zip((*names, "timeout"), values, strict=True) if value is not None
        }
        if driver != "psycopg2":
            return OpensItself(PsycopgConnector(dsn, **options))
        # Most programs do not have psycopg2.
        from adjourn.connectors.psycopg2 import AsyncPsycopg2Connector

        return OpensItself(AsyncPsycopg2Connector(dsn, **options))


class _Checked(App):
    """Checks the options of an app. It is thrown away, so it need not tell where it was made."""

    def _warn_in_main(self) -> None:
        pass


def use(app: App, connector: BaseConnector, schema: str) -> None:
    """Have an app work with another connector and schema from now on."""
    app.connector = connector
    app.job_manager = app._manager_of(connector, schema)
    app.job_manager.events = app.events
    app.job_manager.declares = app._declares


def _unknown(name: str, known: list[str]) -> UnknownOption:
    spelled, names = f"{PREFIX}{name.upper()}", [f"{PREFIX}{each.upper()}" for each in known]
    return UnknownOption(f"There is no setting {spelled!r}{hint(spelled, names)} These are: {', '.join(names)}.")


def _dsn_of_flask_sqlalchemy(uri: Any) -> str:
    """Return the address of Flask-SQLAlchemy's database, with the driver that it uses."""
    if uri is None:
        raise InvalidOption(f"Set {PREFIX}DSN to the address of the database, such as 'postgresql://user@host/dbname'.")
    from sqlalchemy import make_url

    url = make_url(uri)
    if url.get_backend_name() != "postgresql" or url.get_dialect().driver not in ("psycopg", "psycopg2"):
        raise InvalidOption(
            f"{_FLASK_SQLALCHEMYS} is on {url.drivername}, and jobs are stored in PostgreSQL, by psycopg or psycopg2. Use such "
            f"a database, or set {PREFIX}DSN to the address of another one."
        )
    drivername = f"postgresql+{url.get_dialect().driver}"
    return url.set(drivername=drivername).render_as_string(hide_password=False)


def _without_driver(dsn: str) -> tuple[str, str]:
    """Return an address as libpq reads it, and the name of the driver in it."""
    scheme, separator, rest = dsn.partition("://")
    backend, _, driver = scheme.partition("+")
    if not separator or not driver:
        return dsn, "psycopg"
    if driver not in ("psycopg", "psycopg2"):
        raise InvalidOption(f"{PREFIX}DSN: its driver is {driver!r}; name psycopg or psycopg2, or none.")
    return f"{backend}://{rest}", driver
