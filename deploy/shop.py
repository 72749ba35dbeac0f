"""A program to try these files with: an app with one task. Put yours in its place."""

from __future__ import annotations

import os

import adjourn

app = adjourn.App(connector=adjourn.PsycopgConnector(os.environ["DATABASE_URL"]))


@app.task(queue="mail")
def send(to: str) -> None:
    """Send a mail."""
    print("To", to, flush=True)


def trace() -> None:
    """Send spans to the collector that OTEL_EXPORTER_OTLP_ENDPOINT names."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    from adjourn.contrib.opentelemetry import AdjournInstrumentor

    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    AdjournInstrumentor().instrument(tracer_provider=provider)


if os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
    trace()
