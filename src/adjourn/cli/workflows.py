"""The shell's commands about workflows."""

from __future__ import annotations

from adjourn._domain.wording import counted
from adjourn.cli import grammar
from adjourn.cli.commands import Commands
from adjourn.cli.grammar import DEFAULT_LIMIT, PAGING, UsageError
from adjourn.workflows import WorkflowStatus


class WorkflowCommands(Commands):
    """The commands."""

    def on_list_workflows(self, words: list[str]) -> None:
        """List workflows, the newest first."""
        given = grammar.filters(words, ("status", *PAGING))
        limit = given.pop("limit", DEFAULT_LIMIT)
        after = given.pop("after", None)
        if (status := given.get("status")) is not None and status not in list(WorkflowStatus):
            raise UsageError(f"status={status!r}: pass one of {', '.join(WorkflowStatus)}")
        before = None if after is None else grammar.number("after", after)
        flows = self._app.job_manager.list_workflows(**given, before_id=before, limit=limit + 1)
        self._screen.workflows(flows[:limit])
        if len(flows) > limit:
            self._screen.say(f"There are more: add after={flows[limit - 1].id}")

    def on_show_workflow(self, words: list[str]) -> None:
        """Show a workflow."""
        (flow_id,) = grammar.ids_in("show_workflow", words, most=1)
        self._screen.workflow(self._app.job_manager.get_workflow(flow_id))
        self._screen.say(f"Its jobs: list_jobs workflow_id={flow_id}")

    def on_cancel_workflow(self, words: list[str]) -> None:
        """Cancel a workflow."""
        ids, rest = grammar.ids_and_rest(words)
        abort = grammar.filters(rest, ("abort",)).get("abort", False)
        (flow_id,) = grammar.ids_in("cancel_workflow", [str(each) for each in ids], most=1)
        manager = self._changing
        count = manager.cancel_workflow(flow_id, abort=abort)
        flow = manager.get_workflow(flow_id)
        if flow.status != WorkflowStatus.CANCELLED:
            self._screen.say(f"Workflow {flow_id} has {flow.status} already")
            return
        running = f"; {counted(flow.remaining, 'job')} may still run" if flow.remaining else ""
        self._screen.say(f"Workflow {flow_id} is cancelled, with {counted(count, 'job')}{running}")

    def on_retry_workflow(self, words: list[str]) -> None:
        """Run what has failed of a workflow again."""
        (flow_id,) = grammar.ids_in("retry_workflow", words, most=1)
        count = self._changing.retry_workflow(flow_id)
        self._screen.say(f"Workflow {flow_id}: {counted(count, 'job')} {'runs' if count == 1 else 'run'} again")
