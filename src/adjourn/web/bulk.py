"""Changes of all jobs that match a filter, in batches, while somebody may look at the progress and stop it."""

from __future__ import annotations

import array
import datetime
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import attrs

from adjourn._domain.wording import counted
from adjourn.exceptions import AdjournException
from adjourn.jobs import Author
from adjourn.manager import JobManager
from adjourn.types import JSONDict
from adjourn.web import zones
from adjourn.web.database import Database
from adjourn.web.inputs import Inputs
from adjourn.web.problems import BadInput, Conflict, Problem

logger: logging.Logger = logging.getLogger(__name__)

BATCH = 500
PAUSE = 0.05
"""Seconds between two batches, so that workers are not held up."""
LOOK = 50_000
"""Jobs that one transaction looks at."""
MOST_JOBS = 100_000
"""So many jobs a change takes unless whoever serves the dashboard says otherwise."""
LARGEST_LIMIT = 1_000_000
"""A change knows the ids of its jobs, and the preview looks at no more."""
MOST_PLACES = 200
"""Of so many queues and tasks of the jobs that were changed it is known whether they are paused."""
MOST_RUNNING = 2
MOST_KEPT = 50
ENDING = 5.0
"""Seconds that the end of the dashboard waits for changes to end the batch that they have begun, and to be noted."""
ENDED = ("succeeded", "failed", "cancelled", "aborted")
WAITING = ("todo",)
BADLY = ("failed", "cancelled", "aborted")
FIELD = "to"
"""The name of the field of the form in which somebody says more."""

Change = Callable[[JobManager, list[int], tuple[str, ...], Any, Any], list[int]]


@attrs.frozen(kw_only=True)
class Question:
    """What somebody has to say besides which jobs: to which priority, queue or time.

    Attributes
    ----------
    label
        What the field of the form is called.
    kind
        Its type in HTML.
    read
        Reads it from the form; None for an empty one.
    told
        How the value is told.
    is_needed
        Whether it may be empty.
    """

    label: str
    kind: str
    read: Callable[[Inputs], Any]
    told: Callable[[Any], str]
    is_needed: bool = True

    def value(self, form: Inputs) -> Any:
        """Return what somebody has said.

        Raises
        ------
        BadInput
            If it is missing, or not valid.
        """
        found = self.read(form)
        if found is None and self.is_needed:
            raise BadInput(FIELD, f"it is missing: fill in the field {self.label!r}. Nothing was done.")
        return found


@attrs.frozen(kw_only=True)
class BulkKind:
    """What can be done with many jobs.

    Attributes
    ----------
    permission
        What one needs for it, besides ``bulk``.
    told
        What it does, such as ``"Run again"``.
    statuses
        The statuses of jobs that it suits.
    usual
        Those that are meant if the filter names none.
    change
        Changes jobs in a transaction, and returns the ids of those that it has changed.
    asked
        What somebody has to say besides; None for nothing.
    starts
        Whether one expects that the jobs run then, and so is told what is paused.
    """

    permission: str
    told: str
    statuses: tuple[str, ...]
    usual: tuple[str, ...]
    change: Change
    asked: Question | None = None
    starts: bool = False

    def narrowed(self, wanted: JSONDict) -> JSONDict | None:
        """Return the filter for jobs that this suits; None if it suits none of them."""
        # Who has chosen jobs one by one means these.
        asked = wanted.get("statuses", self.statuses if "ids" in wanted else self.usual)
        statuses = [each for each in asked if each in self.statuses]
        return {**wanted, "statuses": statuses} if statuses else None


def _moment(form: Inputs) -> datetime.datetime | None:
    return form.moment(FIELD, zones.zone_of(form, None))


def _told_time(at: datetime.datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M %Z}"


def _queue(form: Inputs) -> str | None:
    return form.known_name(FIELD, needed=False) or None


def _of_waiting(
    permission: str, told: str, option: str, asked: Question | None = None, *, starts: bool = False
) -> BulkKind:
    """Something that an option of `change_jobs` does with jobs that wait; without a question, its value is True."""

    def change(
        manager: JobManager, ids: list[int], statuses: tuple[str, ...], connection: Any, value: Any
    ) -> list[int]:
        options: dict[str, Any] = {option: True if asked is None else value}
        return manager.change_jobs(ids, connection=connection, **options)

    return BulkKind(
        permission=permission,
        told=told,
        statuses=WAITING,
        usual=WAITING,
        change=change,
        asked=asked,
        starts=starts,
    )


KINDS: dict[str, BulkKind] = {
    "retry": BulkKind(
        permission="job.retry",
        told="Run again",
        statuses=ENDED,
        usual=BADLY,
        change=lambda manager, ids, statuses, connection, at: manager.retry_jobs(
            ids, statuses, connection, retry_at=at
        ),
        asked=Question(
            label="Not before, or empty for now",
            kind="datetime-local",
            read=_moment,
            told=_told_time,
            is_needed=False,
        ),
        starts=True,
    ),
    "run_now": _of_waiting("job.run_now", "Run now", "now", starts=True),
    "reschedule": _of_waiting(
        "job.reschedule",
        "Put off",
        "schedule_at",
        Question(label="Not before", kind="datetime-local", read=_moment, told=_told_time),
        starts=True,
    ),
    "priority": _of_waiting(
        "job.priority",
        "Set the priority",
        "priority",
        Question(
            label="Priority, the highest goes first",
            kind="number",
            read=lambda form: form.number(FIELD, least=-(2**31), most=2**31 - 1),
            told=str,
        ),
    ),
    "move": _of_waiting(
        "job.move",
        "Move to a queue",
        "move_to",
        Question(label="Queue", kind="text", read=_queue, told=str),
        starts=True,
    ),
    "cancel": BulkKind(
        permission="job.cancel",
        told="Cancel",
        statuses=WAITING,
        usual=WAITING,
        change=lambda manager, ids, statuses, connection, value: manager.cancel_jobs(ids, connection),
    ),
    "abort": BulkKind(
        permission="job.abort",
        told="Ask to end",
        statuses=("doing",),
        usual=("doing",),
        change=lambda manager, ids, statuses, connection, value: manager.abort_jobs(ids, connection),
    ),
    "delete": BulkKind(
        permission="job.delete",
        told="Delete",
        statuses=ENDED,
        usual=BADLY,
        change=lambda manager, ids, statuses, connection, value: manager.delete_jobs(
            ids, connection, statuses=statuses
        ),
    ),
}


@attrs.define
class Bulk:
    """One change of many jobs.

    Attributes
    ----------
    id
        Its id, in addresses.
    name
        What it does, of `KINDS`.
    wanted, shown
        The filter, and how the audit shows it.
    author
        Who asked for it.
    value
        What somebody has said besides, such as the priority.
    most
        After how many jobs it ends.
    expected, is_capped
        How many jobs matched, and whether there were more.
    done, skipped
        How many were changed, and how many had changed meanwhile or were being changed.
    state
        ``"running"``, ``"done"``, ``"stopped"`` or ``"failed"``.
    error
        What has ended it.
    began, ended
        When, in seconds since 1970.
    again
        The parameters of an address that finds the jobs that are left; none if it would show what is secret.
    stopping
        Set by who stops it.
    is_abandoned
        Whether the end of the dashboard has stopped it.
    thread
        What carries it out.
    changed
        The ids of the jobs that were changed.
    places
        The queues and tasks of these, as far as they are counted.
    """

    id: str
    name: str
    wanted: JSONDict
    shown: JSONDict
    author: Author
    expected: int
    is_capped: bool
    value: Any = None
    most: int = MOST_JOBS
    done: int = 0
    skipped: int = 0
    state: str = "running"
    error: str | None = None
    began: float = attrs.field(factory=time.time)
    ended: float | None = None
    again: JSONDict = attrs.field(factory=dict)
    stopping: threading.Event = attrs.field(factory=threading.Event)
    is_abandoned: bool = False
    thread: threading.Thread | None = None
    changed: array.array[int] = attrs.field(factory=lambda: array.array("q"))
    places: set[tuple[str, str]] = attrs.field(factory=set[tuple[str, str]])

    @property
    def said(self) -> str:
        """What somebody has said besides, as it is told; empty for nothing."""
        asked = KINDS[self.name].asked
        return "" if asked is None or self.value is None else asked.told(self.value)

    @property
    def is_full(self) -> bool:
        """Whether it has come to as many jobs as a change takes."""
        return self.done + self.skipped >= self.most

    @property
    def has_all(self) -> bool:
        """Whether it has certainly come to all jobs that matched."""
        return not self.is_capped and self.done + self.skipped >= self.expected

    @property
    def has_met_limit(self) -> bool:
        """Whether it has ended because a change takes no more jobs, and nobody has stopped it."""
        return self.state == "stopped" and self.is_full

    @property
    def left(self) -> str:
        """How many of the jobs that matched it has not come to, as it is told."""
        left = max(0, self.expected - self.done - self.skipped)
        if not self.is_capped:
            return counted(left, "job")
        return f"at least {counted(left, 'job')}" if left else "an unknown number of jobs"


class Bulks:
    """The changes of many jobs of this process: those that run, and the last ones that have ended."""

    def __init__(self, manager: JobManager, database: Database) -> None:
        self._manager = manager
        self._database = database
        self._lock = threading.Lock()
        self._known: OrderedDict[str, Bulk] = OrderedDict()

    def find(self, id_: str) -> Bulk | None:
        """Return a change by its id; None if this process does not know it."""
        return self._known.get(id_)

    def all(self) -> list[Bulk]:
        """Return those that are known, the newest first."""
        return list(reversed(self._known.values()))

    def start(self, bulk: Bulk) -> None:
        """Begin a change.

        Raises
        ------
        Conflict
            If there are too many already.
        """
        thread = threading.Thread(target=self._run, args=(bulk,), name=f"adjourn bulk {bulk.id}", daemon=True)
        with self._lock:
            if sum(each.state == "running" for each in self._known.values()) >= MOST_RUNNING:
                raise Conflict(f"{MOST_RUNNING} changes of many jobs run already: wait for one, or stop it.")
            thread.start()  # this fails if the process can have no more threads now
            bulk.thread = thread
            self._known[bulk.id] = bulk
            while len(self._known) > MOST_KEPT:
                oldest = next(iter(self._known))
                if self._known[oldest].state == "running":
                    break
                del self._known[oldest]

    def close(self) -> None:
        """Stop all, each after the batch that it has begun, and wait some seconds until that is noted."""
        going = [bulk for bulk in self.all() if bulk.state == "running"]
        for bulk in going:
            bulk.is_abandoned = not bulk.stopping.is_set()
            bulk.stopping.set()
        end = time.monotonic() + ENDING
        for bulk in going:
            if bulk.thread is not None:
                bulk.thread.join(max(0.0, end - time.monotonic()))

    def _run(self, bulk: Bulk) -> None:
        try:
            position: str | None = None
            while not bulk.stopping.is_set():
                position = self._batch(bulk, position)
                if position is None or bulk.is_full:
                    break
                bulk.stopping.wait(PAUSE)
            state = "done" if position is None or bulk.has_all else "stopped"
        except (AdjournException, Problem) as error:
            logger.warning("A change of many jobs has ended: %s", error, extra={"action": "web_bulk_failed"})
            bulk.error, state = " ".join(str(error).split()), "failed"
        except Exception as error:
            logger.exception("A change of many jobs has ended by an error", extra={"action": "web_bulk_failed"})
            bulk.error, state = type(error).__name__, "failed"
        self._note(bulk, state)
        bulk.state, bulk.ended = state, time.time()

    def _batch(self, bulk: Bulk, position: str | None) -> str | None:
        """Change the next jobs in one transaction with its note, and return where to go on; None at the end."""
        kind = KINDS[bulk.name]
        filters = dict(bulk.wanted)
        times: dict[str, Any] = {
            name: _time(filters.pop(name)) for name in ("finished_after", "finished_before") if name in filters
        }
        with self._database.changing() as connection:
            page = self._manager.search_jobs(
                **filters,
                **times,
                newest_first=False,
                after=position,
                look=LOOK,
                limit=min(BATCH, bulk.most - bulk.done - bulk.skipped),
                connection=connection,
            )
            ids = [job.id for job in page.jobs if job.id is not None]
            if not ids:
                return page.position
            changed = kind.change(self._manager, ids, tuple(bulk.wanted["statuses"]), connection, bulk.value)
            self._manager.actions.add_audit(
                bulk.author,
                f"bulk.{bulk.name}",
                target=f"bulk {bulk.id}",
                filter=bulk.shown,
                jobs=len(changed),
                ids=changed,
                outcome=_told_batch(bulk, ids),
                connection=connection,
            )
        bulk.changed.extend(changed)
        if kind.starts and len(bulk.places) < MOST_PLACES:
            queue, ids_changed = bulk.value if bulk.name == "move" else None, set(changed)
            bulk.places |= {(queue or job.queue, job.task_name) for job in page.jobs if job.id in ids_changed}
        bulk.done += len(changed)
        bulk.skipped += len(ids) - len(changed)
        return page.position

    def _note(self, bulk: Bulk, state: str) -> None:
        outcome = _told_end(bulk, state)
        try:
            with self._database.changing() as connection:
                self._manager.actions.add_audit(
                    bulk.author,
                    f"bulk.{bulk.name}",
                    target=f"bulk {bulk.id}",
                    filter=bulk.shown,
                    jobs=0,
                    outcome=outcome,
                    connection=connection,
                )
        except (AdjournException, Problem) as error:
            logger.warning(
                "The end of a change of many jobs was not noted: %s", error, extra={"action": "web_bulk_failed"}
            )


def _told_batch(bulk: Bulk, ids: list[int]) -> str:
    """Return the note of a batch. It is the last one if the process is killed after it, so it says how far the change came."""
    said = f", to {bulk.said}" if bulk.said else ""
    whole = f"{'at least ' if bulk.is_capped else ''}{bulk.expected:,}"
    return f"jobs {ids[0]} to {ids[-1]}{said}, {bulk.done + bulk.skipped + len(ids):,} of {whole} so far"


def is_end(outcome: str) -> bool:
    """Return whether a note of a change is that of its end."""
    return outcome.startswith(("ended: ", "ended after ", "stopped "))


def _told_end(bulk: Bulk, state: str) -> str:
    """Return what became of a change, for its last note."""
    told = f"{counted(bulk.done, 'job')} changed"
    if bulk.skipped:
        told += f", {bulk.skipped:,} skipped because they had changed meanwhile or were being changed"
    if state == "done":
        return f"ended: {told}"
    why = "before the end"
    if state == "failed":
        why = f"by an error ({bulk.error})"
    elif bulk.is_full:
        most = f"ended after {counted(bulk.done + bulk.skipped, 'job')}, as many as one change takes here"
        return f"{most}: {told}, {bulk.left} left as before. To go on, do the same again with this filter"
    elif bulk.is_abandoned:
        why = "because the dashboard ended"
    return f"stopped {why}: {told}, {bulk.left} left as before. To go on, do the same again with this filter"


def _time(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text)
