"""What a page and an action are, and what they are given.

A page is a module in `adjourn.web.pages` with a `Page`: a function that reads and returns what its template shows. An action is a
function that changes something, and says what it has done. ::

    def show(view: View) -> dict[str, Any]:
        name = view.query.needed("name")                     # bounded; else 400 in words
        return {"name": name, "rows": view.feed("queues")}

    def pause(view: View) -> Done:
        name = view.form.needed("name")
        with view.database.changing() as connection:
            view.manager.pause_queue(name, connection=connection)  # the audit has a note of it
        return Done(f"Queue {name} is paused.", view.url("queues"))

    PAGE = Page(name="queues", title="Queues", show=show, feeds=("queues",), key="q")
    ACTIONS = (Action(name="queue.pause", permission="queue.pause", act=pause),)

The table of pages is `adjourn.web.pages.PAGES`. The template is ``templates/queues.html``, which extends ``frame.html``. In it a
form for an action is ``{% call form("queue.pause", name=queue) %}<button>Pause</button>{% endcall %}``: it is absent for who may not
do it. Both run in a thread, so they call blocking forms. What they raise from `adjourn.web.problems` becomes the answer.
"""

from __future__ import annotations

import datetime
import functools
import secrets
import urllib.parse
import zoneinfo
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeAlias

import attrs
from starlette.requests import Request
from starlette.responses import Response

from adjourn._domain.masking import Mask
from adjourn.app import App
from adjourn.jobs import Author, Job
from adjourn.manager import JobManager
from adjourn.web import zones
from adjourn.web.access import User, lacking
from adjourn.web.assets import Assets
from adjourn.web.bulk import Bulks
from adjourn.web.collector import Collector, Reading
from adjourn.web.database import Database
from adjourn.web.histories import Histories
from adjourn.web.inputs import MOST_BODY, MOST_TEXT, Inputs
from adjourn.web.kept import Kept
from adjourn.web.links import Link
from adjourn.web.masking import Masker
from adjourn.web.metrics import Metrics
from adjourn.web.notices import Done, Notices
from adjourn.web.problems import BadInput

MOST_NAMES = 500
"""So many names are offered in a field."""

__all__ = ["Action", "Answer", "Done", "Page", "Site", "View"]

Answer: TypeAlias = Mapping[str, Any] | Response
"""What a page returns: the names of its template, or a response."""


@attrs.frozen(kw_only=True)
class Page:
    """A page.

    Attributes
    ----------
    name
        Its name, and that of its template.
    title
        Its heading, also in the navigation.
    show
        Reads what it shows.
    permission
        What one needs to see it, of `adjourn.web.access.PERMISSIONS`.
    path
        Its address below the dashboard's; by default its name.
    feeds
        What the collector is to read for it, of `adjourn.web.collector.FEEDS`. A page with feeds is live: its elements with
        ``data-live`` are brought up to date while somebody looks at it.
    key
        The key that leads to it, after ``g``; empty for none.
    is_listed
        Whether it is in the navigation.
    within
        The name of the page that the navigation shows as the present one instead; empty for none.
    is_for_changes
        Whether there is nothing to see but what leads to actions: a dashboard that only reads does not have it.
    """

    name: str
    title: str
    show: Callable[[View], Answer]
    permission: str = "view"
    path: str = attrs.field(default=attrs.Factory(lambda self: f"/{self.name}", takes_self=True))
    feeds: tuple[str, ...] = ()
    key: str = ""
    is_listed: bool = True
    within: str = ""
    is_for_changes: bool = False


@attrs.frozen(kw_only=True)
class Action:
    """Something that users do. It is sent to ``/do/NAME`` by POST.

    Attributes
    ----------
    name
        Its name, such as ``"queue.pause"``.
    permission
        What one needs to do it.
    act
        Does it.
    page
        The name of the page whose form it is. If a value of the form cannot be used, the answer is that page with what is wrong
        (`View.wrong`) and what was filled in; empty for a page that only says what is wrong.
    asked
        Returns the parameters of that page's address, from the form.
    """

    name: str
    permission: str
    act: Callable[[View], Done]
    page: str = ""
    asked: Callable[[Inputs], Mapping[str, list[str]]] = lambda form: {}


@attrs.define(kw_only=True)
class Site:
    """What the pages of a dashboard share.

    Attributes
    ----------
    app
        The app.
    name, names
        Its name among several apps, and the names of all of them; empty for the only one.
    permissions
        What a user may do for whom nobody says otherwise.
    masker
        Hides secret arguments.
    links
        Where else to look for a job.
    read_only
        Whether there are no actions.
    hides_args
        Whether lists of jobs show no arguments.
    bulk_limit
        How many jobs a change of many takes.
    has_streams
        Whether there are server-sent events.
    title
        What the dashboard is called; empty for the name of the database.
    prefix
        The path below which a proxy offers it; empty for none.
    pages, actions
        Those that there are, by name.
    metrics
        Answers ``/metrics``; None: there is no such address.
    """

    app: App
    name: str = ""
    names: Sequence[str] = ()
    permissions: Collection[str]
    masker: Masker
    links: Sequence[Link]
    read_only: bool
    hides_args: bool
    bulk_limit: int
    has_streams: bool
    title: str
    prefix: str
    pages: dict[str, Page]
    actions: dict[str, Action]
    metrics: Metrics | None = None
    assets: Assets = attrs.field(factory=Assets)
    notices: Notices = attrs.field(factory=Notices)
    is_leaving: bool = attrs.field(default=False, init=False)
    database: Database = attrs.field(init=False)
    collector: Collector = attrs.field(init=False)
    kept: Kept = attrs.field(init=False)
    histories: Histories = attrs.field(init=False)
    bulks: Bulks = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.database = Database(self.app)
        self.collector = Collector(self.app, self.database)
        self.kept = Kept(self.database, lambda: self.collector.is_down)
        self.histories = Histories(self.kept)
        self.bulks = Bulks(self.app.job_manager, self.database)

    @property
    def is_standby(self) -> bool:
        """Whether the server was a standby when it answered last, which stores nothing."""
        return any(row["is_standby"] for row in self.collector.reading("server").rows)

    @property
    def is_read_only(self) -> bool:
        """Whether nothing can be done."""
        return self.read_only or self.is_standby

    def permits(self, user: User, permission: str) -> bool:
        """Return whether a user may do something."""
        return permission in (self.permissions if user.permissions is None else user.permissions)

    def leave(self) -> None:
        """End what would go on: the server is about to stop. May be called by a handler of signals."""
        self.is_leaving = True
        self.collector.tell()

    def close(self) -> None:
        """Stop to read, and close the connections."""
        self.bulks.close()
        self.collector.close()
        if self.metrics is not None:
            self.metrics.close()
        self.database.close()

    def masked(self, task: str, args: Any, job: Job | None = None) -> Any:
        """Return arguments of a task, or something else of a job of it, with secret values hidden."""
        return self.masker.arguments(task, args, self._sensitive(task, job))

    def hides(self, job: Job) -> Mask:
        """Return a function that hides the secret values of a job's arguments in texts, such as a traceback."""
        return self.masker.texts(job.task_kwargs, self._sensitive(job.task_name, job))

    def _sensitive(self, task: str, job: Job | None) -> frozenset[str]:
        """Return the names that the task has declared, as far as it is known here, or when the job was stored."""
        declared = self.app.tasks.get(task)
        return frozenset(declared.sensitive if declared else ()) | (job.sensitive if job else frozenset())


@attrs.define(slots=False)
class View:
    """One request, as pages and actions see it.

    Attributes
    ----------
    site
        The dashboard.
    request
        The request.
    user
        Who has sent it.
    form
        The fields of a form; none for a page.
    page
        The page; None for an action.
    status
        The HTTP status of the answer, which a page may set.
    wrong, action
        What is wrong with the form of which action, if its page is shown again because of that.
    """

    site: Site
    request: Request
    user: User
    form: Inputs = attrs.field(factory=lambda: Inputs({}))
    page: Page | None = None
    status: int = 200
    wrong: BadInput | None = None
    action: str = ""

    @property
    def app(self) -> App:
        """The app."""
        return self.site.app

    @property
    def database(self) -> Database:
        """Reads, and opens transactions."""
        return self.site.database

    @functools.cached_property
    def query(self) -> Inputs:
        """The parameters of the address."""
        return Inputs.read(self.request.url.query)

    def again(self, action: Action, wrong: BadInput) -> View:
        """Return what the page of an action's form is given to show it again.

        Parameters
        ----------
        action
            The action.
        wrong
            What is wrong with the form.
        """
        page = self.site.pages[action.page]
        made = View(self.site, self.request, self.user, self.form, page, wrong.status, wrong, action.name)
        made.__dict__["query"] = Inputs(action.asked(self.form))
        return made

    def filled(self, name: str) -> str:
        """Return what somebody has filled into a field of a form that is shown again; empty for one that nobody has sent."""
        return self.form.text(name, most=MOST_BODY) if self.wrong is not None else ""

    @property
    def root(self) -> str:
        """The path below which the dashboard is."""
        return str(self.request.scope.get("root_path", "")).rstrip("/")

    def may(self, permission: str) -> bool:
        """Return whether the user may do something."""
        return self.site.permits(self.user, permission)

    def require(self, permission: str) -> None:
        """Refuse a user who may not do something.

        Raises
        ------
        Forbidden
            If the user may not.
        """
        if not self.may(permission):
            raise lacking(self.user, permission)

    def can(self, action: str) -> bool:
        """Return whether there is such an action, and the user may do it."""
        found = self.site.actions.get(action)
        return found is not None and not self.site.is_standby and self.may(found.permission)

    def url(self, name: str, /, **query: Any) -> str:
        """Return the address of a page, or an empty one if there is none that the user may see. Parameters that are None are left out.

        Parameters
        ----------
        name
            The page's name.
        **query
            The parameters of the address; a list is several of one name.
        """
        page = self.site.pages.get(name)
        return "" if page is None or not self.may(page.permission) else self.root + page.path + _asked(query)

    def here(self, **changes: Any) -> str:
        """Return the address of this page with other parameters; one that is None is left out."""
        query: dict[str, Any] = {**self.query.values, **changes}
        query.pop("notice", None)
        return (self.root + self.page.path if self.page else self.root + "/") + _asked(query)

    @property
    def back(self) -> str:
        """The parameters of this page, for a form that leads back to it; none if they are too long for a field."""
        text = _asked({**self.query.values, "notice": None}).removeprefix("?")
        return text if len(text) <= MOST_TEXT else ""

    def way_back(self) -> str:
        """Return the address of the page that a form was in, or an empty one if the form does not say."""
        back = urllib.parse.parse_qs(self.form.text("back"), keep_blank_values=True)
        back.pop("notice", None)
        return self.url(self.form.text("page"), **back)

    def sibling(self, name: str) -> str:
        """Return the address of this page for another app, or of its first page if this one is about something of this app."""
        outer = self.root.removesuffix(f"/{self.site.name}")
        return f"{outer}/{name}{self.page.path if self.page and self.page.is_listed else '/'}"

    def action_url(self, name: str) -> str:
        """Return the address of an action."""
        return f"{self.root}/do/{name}"

    def static(self, name: str) -> str:
        """Return the address of a static file."""
        return self.root + self.site.assets.path(name)

    def reading(self, feed: str) -> Reading:
        """Return what the collector has read of a feed of this page, with its time, or why there is nothing."""
        return self.site.collector.reading(feed)

    def feed(self, feed: str) -> list[dict[str, Any]]:
        """Return the rows of a feed of this page; none if nothing could be read yet."""
        return self.reading(feed).rows

    @property
    def manager(self) -> JobManager:
        """Changes what this request asks for, and notes who it was."""
        return self.app.job_manager.acting_for(self.author)

    @property
    def author(self) -> Author:
        """Who does something here, for its note."""
        client = self.request.client
        return Author(
            name=self.user.name,
            how=self.user.how,
            address=client.host if client else None,
            request_id=self.form.text("request_id") or None,
        )

    @property
    def is_look(self) -> bool:
        """Whether a page that somebody has open asks for what is new."""
        return "x-adjourn-look" in self.request.headers

    @property
    def queue_names(self) -> list[str]:
        """The names of queues that are known without a question to the database: those of tasks, and those that were seen lately."""
        seen = {row["queue"] for feed in ("queues", "latency", "working", "unknown") for row in self.feed(feed)}
        served = {name for worker in self.feed("crew") for name in worker["queues"] or ()}
        return sorted(seen | served | {task.queue for task in self.app.tasks.values()})[:MOST_NAMES]

    @property
    def task_names(self) -> list[str]:
        """The names of tasks that are known in the same way."""
        seen = {row["task"] for feed in ("tasks", "working", "unknown") for row in self.feed(feed)}
        return sorted(seen | set(self.app.tasks))[:MOST_NAMES]

    def new_request_id(self) -> str:
        """Return a new id for a form, by which it is carried out once."""
        return secrets.token_urlsafe(16)

    @functools.cached_property
    def now(self) -> datetime.datetime:
        """The time of the database as far as it is known, else this machine's."""
        return self.site.collector.now()

    @functools.cached_property
    def zone(self) -> zoneinfo.ZoneInfo:
        """The time zone that times are shown in."""
        # What is wrong with an address can be told in any zone.
        query = self.query if self.page else Inputs({})
        return zones.zone_of(query, self.request.cookies.get(zones.COOKIE))

    def clock(self, at: datetime.datetime, *, with_day: bool = False) -> str:
        """Return a time of the day in the viewer's time zone, with the day of the week if asked for."""
        return at.astimezone(self.zone).strftime("%a %H:%M" if with_day else "%H:%M")


def _asked(query: Mapping[str, Any]) -> str:
    text = urllib.parse.urlencode({name: value for name, value in query.items() if value is not None}, doseq=True)
    return f"?{text}" if text else ""
