"""What a program says about its traces."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import attrs
from opentelemetry.trace import Span

from adjourn._domain.checks import check_flag
from adjourn.exceptions import InvalidOption
from adjourn.jobs import Job

Relation: TypeAlias = Literal["auto", "parent", "link"]
SpanNames: TypeAlias = Literal["task", "queue"]
Hook: TypeAlias = Callable[[Span, Job], object]

_FLAGS = ("create_spans", "exchange_spans", "capture_baggage", "record_arguments")


@attrs.frozen(kw_only=True)
class TracingSettings:
    """The keywords of `AdjournInstrumentor.instrument`, which documents them."""

    relation: Relation = "auto"
    create_spans: bool = False
    exchange_spans: bool = False
    capture_baggage: bool = False
    span_names: SpanNames = "task"
    record_arguments: bool = False
    defer_hook: Hook | None = None
    process_hook: Hook | None = None

    def __attrs_post_init__(self) -> None:
        _check_one_of("relation", self.relation, ("auto", "parent", "link"))
        _check_one_of("span_names", self.span_names, ("task", "queue"))
        check_flag_values: dict[str, Any] = {name: getattr(self, name) for name in _FLAGS}
        for name, value in check_flag_values.items():
            check_flag(name, value)
        for name in ("defer_hook", "process_hook"):
            hook = getattr(self, name)
            if hook is not None and not callable(hook):
                raise InvalidOption(f"{name}={hook!r}: pass a function that takes a span and a job, or None.")

    def destination(self, job: Job) -> str:
        """Return what the name of a span ends with."""
        return job.task_name if self.span_names == "task" else job.queue


def _check_one_of(name: str, value: Any, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise InvalidOption(f"{name}={value!r}: pass one of {', '.join(map(repr, allowed))}.")
