"""Spans that a test has made, as text: each trace as a tree, without what differs from run to run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

SHOWN = (
    *("messaging.operation.type", "messaging.batch.message_count", "adjourn.job.attempt", "adjourn.job.outcome"),
    "error.type",
)


class Spans:
    """A provider of tracers that keeps what has ended."""

    def __init__(self, **options: Any) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider(shutdown_on_exit=False, **options)
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracer = self.provider.get_tracer("test")

    @property
    def ended(self) -> Sequence[ReadableSpan]:
        """The spans, in the order of their starts."""
        return sorted(self._exporter.get_finished_spans(), key=lambda span: span.start_time or 0)

    def clear(self) -> None:
        """Forget what has ended."""
        self._exporter.clear()

    def named(self, name: str) -> list[ReadableSpan]:
        """The spans of this name."""
        return [span for span in self.ended if span.name == name]

    def one(self, name: str) -> ReadableSpan:
        """The only span of this name."""
        (span,) = self.named(name)
        return span

    def trees(self) -> str:
        """Each trace as a tree, and to which spans each span is linked."""
        spans = self.ended
        names = {span.context.span_id: span.name for span in spans if span.context}
        known = set(names)

        def lines(parent: int | None, depth: int) -> list[str]:
            found = []
            for span in spans:
                above = span.parent.span_id if span.parent is not None else None
                assert span.context is not None
                if above == parent or (parent is None and above not in known):
                    found.append("  " * depth + shown(span, names))
                    found += lines(span.context.span_id, depth + 1)
            return found

        return "\n".join(lines(None, 0)) + "\n"


def shown(span: ReadableSpan, names: dict[int, str]) -> str:
    """One span in a line."""
    attributes = span.attributes or {}
    facts = [f"{name.rpartition('.')[2]}={attributes[name]!s}" for name in SHOWN if name in attributes]
    if span.status.status_code.name != "UNSET":
        facts.append(f"status={span.status.status_code.name}")
    facts += [f"-> {names.get(link.context.span_id, 'elsewhere')}" for link in span.links]
    facts += [f"({event.name})" for event in span.events]
    return f"{span.name} [{span.kind.name}] {' '.join(facts)}".rstrip()
