"""The shell's commands that change jobs: by their ids, or all that match filters."""

from __future__ import annotations

import datetime
import sys
from collections.abc import Callable
from typing import Any

from adjourn._domain.wording import counted
from adjourn.cli import grammar
from adjourn.cli.authors import manager_of
from adjourn.cli.commands import Commands
from adjourn.cli.grammar import CANCEL_FILTERS, CHANGES, DELETE_FILTERS, RETRY_OPTIONS, USAGES, UsageError
from adjourn.cli.pauses import told_kept
from adjourn.cli.progress import ProgressReport
from adjourn.exceptions import AdjournException
from adjourn.jobs import Status

DONE = {"retry": "Run again:", "change": "Changed:", "cancel": "Cancelled:", "delete": "Deleted:"}
DOING = {
    "retry": "Running jobs again",
    "change": "Changing jobs",
    "cancel": "Cancelling jobs",
    "delete": "Deleting jobs",
}

STARTS = frozenset({"schedule_at", "now", "move_to"})
"""What of a change makes one expect that a job runs."""
MOST_LOOKED_AT = 100


class Changes(Commands):
    """The commands."""

    def on_retry(self, words: list[str]) -> None:
        """Run jobs again."""
        ids, rest = grammar.ids_and_rest(words)
        given = grammar.filters([word for word in rest if word != "yes"], (*DELETE_FILTERS, *RETRY_OPTIONS))
        options = {name: given.pop(name) for name in RETRY_OPTIONS if name in given}
        if "delay" in options and "at" in options:
            raise UsageError("delay and at exclude each other: write one of them")
        options = {"retry_at" if name == "at" else name: value for name, value in options.items()}
        if not ids or given:
            self._matching("retry", ids, rest, given, ["failed"], options)
        elif "delay" in options:
            raise UsageError("delay is for filters: write at=TIME")
        else:
            self._each("retry", ids, lambda job_id: self._retry(job_id, options.get("retry_at")))
            self._say_pauses(ids)

    def on_change(self, words: list[str]) -> None:
        """Change waiting jobs."""
        ids, rest = grammar.ids_and_rest(words)
        given = grammar.filters([word for word in rest if word != "yes"], (*CANCEL_FILTERS, *CHANGES))
        changes = {name: given.pop(name) for name in CHANGES if name in given}
        if not changes:
            raise UsageError("change what? Write priority=NUMBER, move_to=QUEUE, at=TIME or now=yes")
        if "at" in changes and "now" in changes:
            raise UsageError("at and now exclude each other: write one of them")
        if "priority" in changes:
            changes["priority"] = grammar.priority(changes["priority"])
        changes = {"schedule_at" if name == "at" else name: value for name, value in changes.items()}
        if not ids or given:
            self._matching("change", ids, rest, given, ["todo"], changes)
        else:
            self._each("change", ids, lambda job_id: self._change(job_id, changes))
            if STARTS & changes.keys():
                self._say_pauses(ids)

    def on_cancel(self, words: list[str]) -> None:
        """Cancel waiting jobs."""
        self._either("cancel", words, CANCEL_FILTERS, ["todo"], self._cancel)

    def on_delete(self, words: list[str]) -> None:
        """Delete jobs that have ended."""
        self._either("delete", words, DELETE_FILTERS, ["failed"], self._delete)

    def on_abort(self, words: list[str]) -> None:
        """Cancel waiting jobs, and ask running ones to end."""
        self._each("abort", grammar.ids_in("abort", words), self._abort)

    def _either(
        self, name: str, words: list[str], known: tuple[str, ...], statuses: list[str], action: Callable[[int], None]
    ) -> None:
        """Do something with jobs by their ids, or with those that match filters."""
        ids, rest = grammar.ids_and_rest(words)
        if ids and not rest:
            self._each(name, ids, action)
        else:
            self._matching(
                name, ids, rest, grammar.filters([word for word in rest if word != "yes"], known), statuses, {}
            )

    def _each(self, name: str, ids: list[int], action: Callable[[int], None]) -> None:
        """Apply an action to each job, even if it fails for some, and report the failures."""
        failures = []
        for job_id in ids:
            try:
                action(job_id)
            except AdjournException as error:
                failures.append(error)
        for failure in failures[:-1]:
            complain(failure)
        if failures:
            raise failures[-1]

    def _matching(
        self,
        name: str,
        ids: list[int],
        words: list[str],
        given: dict[str, Any],
        statuses: list[str],
        options: dict[str, Any],
    ) -> None:
        """Change the jobs that match filters, or count them until that is confirmed."""
        if ids:
            raise UsageError(f"{name} takes the ids of jobs, or filters, and not both")
        if not given:
            raise UsageError(f"write {name} {USAGES[name][0]}")
        if "status" in given:
            statuses = [given.pop("status")]
        manager = self._app.job_manager
        if "yes" in words:
            noted = manager_of(self._app, {"statuses": statuses, **given})
            filters = {key: value for key, value in given.items() if key != "limit"}
            most = given.get("limit")
            # What is changed matches the filters afterwards, too, unless it has moved away.
            stays = name == "change" and not ("move_to" in options and "queue" in given)

            def left() -> int:
                done = progress.done or 0
                count = manager.count_jobs(**filters, statuses=statuses) - (done if stays else 0)
                return max(count if most is None else min(count, most - done), 0)

            if name in ("retry", "delete"):
                given["statuses"] = statuses
            with ProgressReport(DOING[name], left=left, is_quiet=self._is_quiet) as progress:
                try:
                    changed: list[int] = getattr(noted, f"{name}_jobs")(**given, **options, progress=progress)
                except KeyboardInterrupt:
                    done = counted(progress.done or 0, "job")
                    print(f"\nadjourn: interrupted. {DONE[name]} {done}; the same command goes on", file=sys.stderr)
                    raise
            self._screen.say(f"{DONE[name]} {counted(len(changed), 'job')}")
            if name == "retry" or STARTS & options.keys():
                self._say_pauses(changed)
        else:
            limit = given.pop("limit", None)
            count = manager.count_jobs(**given, statuses=statuses)
            of_them = "" if limit is None or limit >= count else f", of which {limit} would be changed"
            self._screen.say(f"{counted(count, 'job')} with these filters{of_them}: add yes to {name} them")

    def _say_pauses(self, ids: list[int]) -> None:
        """Say which pauses keep jobs that one expects to run; of many the first are looked at."""
        manager = self._app.job_manager
        pauses = manager.list_pauses()
        if not pauses or not ids:
            return
        found = manager.search_jobs(ids=ids[:MOST_LOOKED_AT], statuses=["todo"], limit=MOST_LOOKED_AT)
        places = [(job.queue, job.task_name) for job in found.jobs]
        if told := told_kept(pauses, places):
            self._screen.say(told)

    def _delete(self, job_id: int) -> None:
        manager = self._changing
        if not manager.delete_jobs([job_id]):
            status = manager.get_job_status(job_id)
            remedy = {Status.TODO: f": `cancel {job_id}` first", Status.DOING: f": `abort {job_id}` asks it to end"}
            raise AdjournException(f"Job {job_id} is {status.value}, and is not deleted{remedy.get(status, '')}.")
        self._screen.say(f"Job {job_id} is deleted")

    def _retry(self, job_id: int, at: datetime.datetime | None) -> None:
        self._changing.retry_job_by_id(job_id, at)
        self._screen.say(f"Job {job_id} waits to run again")

    def _change(self, job_id: int, changes: dict[str, Any]) -> None:
        manager = self._changing
        if not manager.change_jobs([job_id], **changes):
            raise AdjournException(
                f"Job {job_id} is {manager.get_job_status(job_id).value}, or waits for something else than its time: only jobs that wait are changed."
            )
        self._screen.say(f"Job {job_id} is changed")

    def _cancel(self, job_id: int) -> None:
        self._end(job_id, abort=False)

    def _abort(self, job_id: int) -> None:
        self._end(job_id, abort=True)

    def _end(self, job_id: int, *, abort: bool) -> None:
        manager = self._changing
        if not manager.cancel_job_by_id(job_id, abort=abort):
            status = manager.get_job_status(job_id)
            remedy = f": `abort {job_id}` asks it to end" if status is Status.DOING else ", and has ended already"
            raise AdjournException(f"Job {job_id} is {status.value}{remedy}.")
        status = manager.get_job_status(job_id)
        done = "is asked to end" if status is Status.DOING else "is cancelled"
        self._screen.say(f"Job {job_id} {done}")


def complain(error: Exception) -> None:
    """Print why a command has failed, in one line."""
    sys.stdout.flush()
    print("adjourn:", " ".join(str(error).split()), file=sys.stderr)
