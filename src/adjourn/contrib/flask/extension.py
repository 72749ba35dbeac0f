"""The extension: an app of adjourn's for each Flask application that it is bound to."""

from __future__ import annotations

import functools
import gc
import weakref
from collections.abc import Callable
from typing import Any, cast

import attrs
import click
from flask import Flask, current_app, has_app_context

import adjourn
from adjourn.app import App
from adjourn.connectors.base import BaseConnector
from adjourn.connectors.memory import InMemoryConnector
from adjourn.contrib._transaction import Transaction
from adjourn.contrib.flask.opening import Nowhere, OpensItself
from adjourn.contrib.flask.settings import PREFIX, FlaskSettings, use
from adjourn.exceptions import InvalidOption, UnboundTaskError
from adjourn.manager import JobManager

NAME = "adjourn"
"""The extension's name in ``Flask.extensions``, and that of its commands."""


@attrs.frozen
class Bound:
    """What the extension keeps in a Flask application: itself, and the app of adjourn's."""

    extension: Adjourn
    app: App


class Adjourn:
    """The extension, for one Flask application or several.

    Declare tasks with `task`; they defer through the app of the current Flask application. Jobs run in the application's
    context, without a request. Nothing is opened before the first job is deferred, in each process.

    Parameters
    ----------
    app
        The Flask application; None if `init_app` is called later.
    adjourn_app
        An app of your own to use instead of one that is made from the configuration.
    **defaults
        Values for settings that the configuration does not have, by their names in small letters, such as
        ``import_paths=["shop.tasks"]``.

    Raises
    ------
    InvalidOption
        If ``adjourn_app`` is not an app, or there is no such setting; and what `init_app` raises.

    Examples
    --------
    ::

        jobs = Adjourn()

        @jobs.task
        def send_receipt(order_id: int) -> None: ...

        def create_app() -> Flask:
            app = Flask(__name__)
            app.config["ADJOURN_DSN"] = "postgresql://localhost/shop"
            jobs.init_app(app)
            return app
    """

    def __init__(self, app: Flask | None = None, *, adjourn_app: App | None = None, **defaults: Any) -> None:
        if adjourn_app is not None and not isinstance(adjourn_app, App):
            raise InvalidOption(f"adjourn_app={adjourn_app!r}: pass an adjourn.App.")
        self._own = adjourn_app
        self._defaults = defaults
        self._flasks: weakref.WeakSet[Flask] = weakref.WeakSet()
        self._running: Callable[[], Flask | None] = lambda: None
        self._declaring: App = adjourn_app or AppForFlask(self._bound_app)
        self.task = self._declaring.task
        self.periodic = self._declaring.periodic
        if app is not None:
            self.init_app(app)

    @property
    def app(self) -> App:
        """The app of the current Flask application, or else of the only one; before there is one, the app that declares
        the tasks.

        Raises
        ------
        UnboundTaskError
            If there are several Flask applications and none is current.
        """
        return self._bound_app() or self._declaring

    def configure_task(self, name: str, **options: Any) -> Any:
        """Set options for jobs of a task known by its name. Takes the options of `App.configure_task`."""
        return self.app.configure_task(name, **options)

    def defer_in(self, session: Any) -> Transaction:
        """Return what stores jobs in the transaction of a session, such as ``db.session`` of Flask-SQLAlchemy.

        Parameters
        ----------
        session
            The session or connection, as ``task.configure(connection=...)`` takes it.
        """
        return Transaction(session)

    def init_app(self, app: Flask) -> None:
        """Bind the extension to a Flask application. Nothing is opened.

        It reads the settings ``ADJOURN_DSN`` (or ``SQLALCHEMY_DATABASE_URI``), ``ADJOURN_POOL_MIN_SIZE``,
        ``ADJOURN_POOL_MAX_SIZE``, ``ADJOURN_POOL_TIMEOUT``, ``ADJOURN_SCHEMA``, ``ADJOURN_IMPORT_PATHS``,
        ``ADJOURN_WORKER_DEFAULTS``, ``ADJOURN_PERIODIC_DEFAULTS``, ``ADJOURN_STORE_RESULTS``, ``ADJOURN_RESULT_TTL``,
        ``ADJOURN_QUEUE_LIMITS`` and ``ADJOURN_TESTING``, and adds the commands ``flask adjourn``. Binding the same application once more does nothing.

        Parameters
        ----------
        app
            The Flask application, with its configuration.

        Raises
        ------
        InvalidOption
            If a setting is unknown or has a wrong value, no database is named, or another extension of this class has the
            application already.
        """
        bound = app.extensions.get(NAME)
        if bound is not None:
            if getattr(bound, "extension", None) is not self:
                raise InvalidOption(
                    f"The Flask application {app.name!r} has another `Adjourn` already. Use one for the whole program."
                )
            return
        made = self._settled(app) if self._own is None else self._adopted(app, self._own)
        app.extensions[NAME] = Bound(self, made)
        self._flasks.add(app)
        app.cli.add_command(_Commands(functools.partial(self._chosen, _weakly(app))))

    def _settled(self, flask: Flask) -> App:
        """Make an app from the configuration of a Flask application."""
        app = FlaskSettings.read(flask.config, self._defaults).app_with_tasks_of(self._declaring)
        _push_context(app, _weakly(flask))
        return app

    def _adopted(self, flask: Flask, app: App) -> App:
        """Use the user's own app."""
        given = [name for name in flask.config if name.startswith(PREFIX)]
        given += [f"{PREFIX}{name.upper()}" for name in self._defaults]
        if given:
            raise InvalidOption(
                f"{', '.join(given)}: `adjourn_app` has its own connector and options. Leave out these settings, or "
                "`adjourn_app`. In tests use `adjourn_app.replace_connector(...)`."
            )
        if not self._flasks and not isinstance(app.connector, OpensItself | InMemoryConnector):
            use(app, OpensItself(app.connector), app.job_manager.schema)
            _push_context(app, self._flask_of_jobs)
        return app

    def _chosen(self, flask: Callable[[], Flask]) -> App:
        """Return the app for the commands of a Flask application, in whose context jobs run from now on."""
        self._running = flask
        bound: Bound = flask().extensions[NAME]
        return bound.app

    def _flask_of_jobs(self) -> Flask:
        return self._running() or self._only_flask()

    def _only_flask(self) -> Flask:
        if len(self._flasks) > 1:
            gc.collect()  # applications that nobody uses any more may still exist, in circles
        flasks = list(self._flasks)
        if len(flasks) == 1:
            return flasks[0]
        raise UnboundTaskError(
            f"`Adjourn` is bound to {len(flasks)} Flask applications, and none is current: call this within `with "
            "flask_app.app_context():`."
        )

    def _bound_app(self) -> App | None:
        """Return the app of the current or only Flask application; None if there is none yet."""
        if has_app_context():
            bound = current_app.extensions.get(NAME)
            if bound is not None and bound.extension is self:
                return cast("App", bound.app)
        if not self._flasks:
            return None
        bound = self._only_flask().extensions[NAME]
        return cast("App", bound.app)


class AppForFlask(App):
    """Declares tasks, which defer through the app of the current Flask application."""

    def __init__(self, bound: Callable[[], App | None]) -> None:
        super().__init__(connector=Nowhere())
        self._manager: Any = _CurrentManager(bound, self.job_manager)

    def with_connector(self, connector: BaseConnector) -> AppForFlask:
        """Return an app with the same tasks, which defers through a connector of its own."""
        other = super().with_connector(connector)
        other._manager = None
        return other

    def job_manager_for(self, task_name: str) -> JobManager:
        """Return the job manager of the current Flask application's app."""
        return self._manager or self.job_manager


class _CurrentManager:
    """The job manager of whatever app is current when it is used."""

    def __init__(self, bound: Callable[[], App | None], unbound: JobManager) -> None:
        self._bound = bound
        self._unbound = unbound

    def __getattr__(self, name: str) -> Any:
        app = self._bound()
        return getattr(self._unbound if app is None else app.job_manager, name)


def _weakly(flask: Flask) -> Callable[[], Flask]:
    """Return a function that returns a Flask application, which must be in use elsewhere."""
    return cast("Callable[[], Flask]", weakref.ref(flask))


def _push_context(app: App, flask: Callable[[], Flask]) -> None:
    """Have a worker run each job of an app in the context of a Flask application."""

    def run(call_next: Callable[[], Any], context: object, worker: object) -> Any:
        with flask().app_context():
            return call_next()

    async def run_async(call_next: Callable[[], Any], context: object, worker: object) -> Any:
        with flask().app_context():
            return await call_next()

    defaults = app.worker_defaults
    app.worker_defaults = {**defaults, "task_middleware": [run, run_async, *(defaults.get("task_middleware") or ())]}


class _Commands(click.Group):
    """The commands, which are imported when one is asked for."""

    def __init__(self, app: Callable[[], App]) -> None:
        super().__init__(NAME, help="Run adjourn's jobs, and look after them.")
        click.version_option(adjourn.__version__, "-V", "--version", prog_name="adjourn")(self)
        self._app = app

    @functools.cached_property
    def _group(self) -> click.Group:
        from adjourn.contrib.click import group

        return group(self._app)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands."""
        return self._group.list_commands(ctx)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command."""
        return self._group.get_command(ctx, cmd_name)
