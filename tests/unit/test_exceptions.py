"""The exceptions: what is stored of them can be imported."""

from __future__ import annotations

import importlib
from importlib import resources

from adjourn import exceptions


def test_every_exception_is_found_by_the_path_that_is_stored_with_a_job() -> None:
    for name in exceptions.__all__:
        kind = getattr(exceptions, name)
        path = f"{kind.__module__}.{kind.__qualname__}"
        module, _, found = path.rpartition(".")
        assert getattr(importlib.import_module(module), found) is kind


def test_the_error_of_a_lost_worker_is_stored_by_a_path_that_can_be_imported() -> None:
    text = resources.files("adjourn.sql").joinpath("functions", "worker_lost_v1.sql").read_text("utf-8")
    kind = exceptions.WorkerLost
    assert f"'exception', '{kind.__module__}.{kind.__qualname__}'" in text
