"""An app in memory, and spans of what it does."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

import adjourn
from adjourn.contrib.opentelemetry import AdjournInstrumentor
from adjourn.testing import InMemoryConnector
from support.bench import Bench
from support.spans import Spans


@pytest.fixture
async def app() -> AsyncIterator[adjourn.App]:
    app = adjourn.App(connector=InMemoryConnector())
    async with app.open_async():
        yield app


@pytest.fixture
async def bench(app: adjourn.App) -> Bench:
    return Bench(app)


@pytest.fixture
def spans() -> Spans:
    return Spans()


@pytest.fixture
def instrument(spans: Spans) -> Iterator[Callable[..., None]]:
    """Switch tracing on, and off at the end."""
    instrumentor = AdjournInstrumentor()

    def instrument(**options: Any) -> None:
        instrumentor.instrument(**{"tracer_provider": spans.provider, **options})

    yield instrument
    if instrumentor.is_instrumented_by_opentelemetry:
        instrumentor.uninstrument()
