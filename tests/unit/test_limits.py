"""What a limit, a rate and their keys may be: refused where they are said."""

from __future__ import annotations

from typing import Any

import pytest

import adjourn
from adjourn import Limit, Rate, exceptions
from adjourn.testing import InMemoryConnector


@pytest.fixture
def app() -> adjourn.App:
    return adjourn.App(connector=InMemoryConnector())


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, "concurrency, rate or both"),
        ({"key": "tenant"}, "concurrency, rate or both"),
        ({"concurrency": 0}, "concurrency=0"),
        ({"concurrency": True}, "concurrency=True"),
        ({"concurrency": 1.5}, "concurrency=1.5"),
        ({"rate": 5}, "rate=5"),
        ({"rate": [Rate(1), 5]}, "rate="),
        ({"concurrency": 1, "key": 5}, "key=5"),
        ({"concurrency": 1, "key": []}, "key=\\[\\]"),
        ({"concurrency": 1, "name": "n"}, "pass a key as well"),
        ({"concurrency": 1, "key": "a", "name": ""}, "name=''"),
    ],
)
def test_a_limit_without_sense_is_refused(options: dict[str, Any], told: str) -> None:
    with pytest.raises(exceptions.InvalidOption, match=told):
        Limit(**options)


@pytest.mark.parametrize(
    ("values", "told"),
    [((0,), "limit=0"), ((1, 0), "period=0"), ((1, float("inf")), "period=inf"), ((1, "s"), "period='s'")],
)
def test_a_rate_without_sense_is_refused(values: tuple[Any, ...], told: str) -> None:
    with pytest.raises(exceptions.InvalidOption, match=told):
        Rate(*values)


@pytest.mark.parametrize(
    ("limits", "told"),
    [
        ("tenant", "pass a list"),
        ([5], "is no limit"),
        ([Limit(concurrency=1), Limit(rate=Rate(1))], "have no key"),
        ([Limit(concurrency=1, key="tenant"), Limit(concurrency=1, key="other")], "have a key"),
        ([Limit(concurrency=1, key="tennant")], "did you mean 'tenant'|no argument"),
    ],
)
def test_limits_that_a_task_cannot_have_are_refused_where_it_is_declared(
    app: adjourn.App, limits: Any, told: str
) -> None:
    with pytest.raises(exceptions.InvalidOption, match=f"(?i){told}"):

        @app.task(limits=limits)
        def task(tenant: str, other: str) -> None: ...


def test_one_name_of_limits_has_one_meaning(app: adjourn.App) -> None:
    def task(tenant: str) -> None: ...

    app.task(name="a", limits=Limit(key="tenant", concurrency=1, name="n"))(task)
    app.task(name="b", limits=Limit(key="tenant", concurrency=1, name="n"))(task)
    with pytest.raises(exceptions.InvalidOption, match="name='n' is another limit"):
        app.task(name="c", limits=Limit(key="tenant", concurrency=2, name="n"))(task)


@pytest.mark.parametrize("limits", [5, {"q": 5}, {"q": Limit(concurrency=1, key="a")}, {"": Limit(concurrency=1)}])
def test_limits_that_queues_cannot_have_are_refused(limits: Any) -> None:
    with pytest.raises(exceptions.InvalidOption):
        adjourn.App(connector=InMemoryConnector(), queue_limits=limits)


def test_a_key_is_made_of_arguments_or_by_a_function(app: adjourn.App) -> None:
    assert Limit(concurrency=1, key="a").key_of({"a": "x", "b": 1}) == "x"
    assert Limit(concurrency=1, key="b").key_of({"a": "x", "b": 1}) == "1"
    both = Limit(concurrency=1, key=["a", "b"])
    assert both.key_of({"a": "x 1", "b": 1}) != both.key_of({"a": "x", "b": "1 1"})
    assert Limit(concurrency=1, key=lambda arguments: arguments["a"] * 2).key_of({"a": "x"}) == "xx"
    with pytest.raises(exceptions.InvalidOption, match="limit_key"):
        Limit(concurrency=1, key=lambda arguments: 5).key_of({})  # type: ignore[arg-type]
    with pytest.raises(exceptions.InvalidOption, match="no argument 'a'"):
        Limit(concurrency=1, key="a").key_of({})


def test_what_does_not_go_with_a_limit_of_a_key_is_refused(app: adjourn.App) -> None:
    @app.task(name="limited", limits=Limit(key="tenant", concurrency=1))
    def limited(tenant: str = "", timestamp: int = 0) -> None: ...

    @app.task(name="plain")
    def plain() -> None: ...

    with pytest.raises(exceptions.InvalidOption, match="a periodic task cannot have one"):
        app.periodic(cron="@daily")(limited)
    with pytest.raises(exceptions.InvalidOption, match="limit_key"):
        plain.configure(limit_key="x")
    with pytest.raises(exceptions.InvalidOption, match="limit_key"):
        app.configure_task("unknown", limit_key="x")
