"""What an observer can do, and that what it raises harms nobody."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

import adjourn
from adjourn import telemetry
from adjourn.exceptions import InvalidOption
from support.bench import Bench


class Broken(telemetry.Observer):
    """Raises wherever it can."""

    def __init__(self, where: str) -> None:
        self.where = where

    @contextlib.contextmanager
    def maybe(self, *where: str) -> Iterator[None]:
        if where[0] == self.where:
            raise ValueError(self.where)
        yield
        if where[1] == self.where:
            raise ValueError(self.where)

    def around_defer(self, deferral: telemetry.Deferral) -> Any:
        return self.maybe("before a defer", "after a defer")

    def run(self, run: telemetry.RunOfJob) -> Any:
        if self.where == "before a run":
            raise ValueError(self.where)
        observation = telemetry.RunObservation()
        observation.around_body = lambda: self.maybe("before a body", "after a body")  # type: ignore[method-assign]
        observation.around_end = lambda *_: self.maybe("before an end", "after an end")  # type: ignore[method-assign]
        return observation

    def around_worker(self) -> Any:
        return self.maybe("before a worker", "after a worker")


PLACES = [f"{when} a {what}" for when in ("before", "after") for what in ("defer", "body", "worker")]


@pytest.mark.parametrize("where", [*PLACES, "before a run", "before an end", "after an end"])
@pytest.mark.parametrize("is_async", [False, True])
async def test_an_observer_that_raises_is_reported_and_harms_nothing(
    app: adjourn.App, bench: Bench, caplog: pytest.LogCaptureFixture, where: str, is_async: bool
) -> None:
    async def on_loop() -> None: ...

    def in_thread() -> None: ...

    function: Any = on_loop if is_async else in_thread
    app.task(name="work")(function)
    before = telemetry.OBSERVERS
    end = telemetry.observe(Broken(where))
    try:
        job_id = await app.configure_task("work").defer_async()
        await bench.drain()
    finally:
        end()
        end()
    assert await bench.status(job_id) == "succeeded"
    assert "An observer raised ValueError" in caplog.text
    assert before == telemetry.OBSERVERS


def test_only_an_observer_can_observe() -> None:
    with pytest.raises(InvalidOption, match="observer"):
        telemetry.observe(object())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("module", "package"),
    [("opentelemetry", "opentelemetry"), ("prometheus", "prometheus_client"), ("sentry", "sentry_sdk")],
)
def test_without_its_package_an_integration_says_which_extra_it_needs(module: str, package: str) -> None:
    program = f"import sys; sys.modules['{package}'] = None; import adjourn; import adjourn.contrib.{module}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"ImportError: adjourn.contrib.{module} needs" in done.stderr
    assert f"pip install 'adjourn[{module}]'" in done.stderr
