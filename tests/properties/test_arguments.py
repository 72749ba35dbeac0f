"""Whatever the arguments of a job: they arrive as they were sent, or are refused at once and nothing is stored."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import adjourn
from adjourn.exceptions import InvalidOption, InvalidTaskArguments

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(max_size=5) | st.dates()
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4), max_leaves=12
)
names = st.text(max_size=300) | st.text(alphabet="a", min_size=250, max_size=260)
quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def app(database: str) -> Any:
    app = adjourn.App(connector=adjourn.SyncPsycopgConnector(database))
    with app.open():
        yield app


def is_faithful(value: Any) -> bool:
    """Whether JSON and Postgres keep a value as it is."""
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, str):
        return "\0" not in value and not any("\ud800" <= character <= "\udfff" for character in value)
    if isinstance(value, dict):
        return all(is_faithful(key) and is_faithful(each) for key, each in value.items())
    if isinstance(value, list):
        return all(map(is_faithful, value))
    return value is None or isinstance(value, bool | int)


def is_same(sent: Any, received: Any) -> bool:
    """Whether a value has arrived. Postgres keeps numbers as decimals, so a float may come back as an integer."""
    if isinstance(sent, float):
        return isinstance(received, int | float) and sent == float(received)
    if isinstance(sent, dict):
        return sent.keys() == received.keys() and all(is_same(sent[key], received[key]) for key in sent)
    if isinstance(sent, list):
        return len(sent) == len(received) and all(map(is_same, sent, received))
    return type(sent) is type(received) and bool(sent == received)


@given(arguments=st.dictionaries(st.text(), values, max_size=4))
@quick
def test_arguments_arrive_as_they_were_sent_or_are_refused(app: adjourn.App, arguments: dict[str, Any]) -> None:
    before = len(app.job_manager.list_jobs())
    if is_faithful(arguments):
        (job,) = app.job_manager.list_jobs(id=app.configure_task("any", task_kwargs=arguments).defer())
        assert is_same(arguments, job.task_kwargs)
    else:
        with pytest.raises(InvalidTaskArguments, match="Task any: argument"):
            app.configure_task("any", task_kwargs=arguments)
        with pytest.raises(InvalidTaskArguments, match="Task any: argument"):
            app.configure_task("any").batch_defer(arguments)
        assert len(app.job_manager.list_jobs()) == before


@given(option=st.sampled_from(["queue", "lock", "queueing_lock", "name"]), value=names)
@quick
def test_names_arrive_as_they_were_sent_or_are_refused(app: adjourn.App, option: str, value: str) -> None:
    before = len(app.job_manager.list_jobs())
    options: dict[str, Any] = {"name": "any", option: value}
    if 0 < len(value) <= 255 and is_faithful(value):
        job_id = app.configure_task(**options).defer()
        (job,) = app.job_manager.list_jobs(id=job_id)
        assert getattr(job, "task_name" if option == "name" else option) == value
        app.job_manager.cancel_job_by_id(job_id, delete_job=True)
    else:
        with pytest.raises(InvalidOption, match=f"^{option}="):
            app.configure_task(**options)
        assert len(app.job_manager.list_jobs()) == before
