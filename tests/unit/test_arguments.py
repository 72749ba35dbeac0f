"""Which arguments a job may have."""

from __future__ import annotations

import datetime
import functools
import json
from typing import Any

import pytest

from adjourn._domain.arguments import Signature, check_job, dump_arguments
from adjourn.exceptions import InvalidOption, InvalidTaskArguments
from adjourn.jobs import Job


def add(a: int, b: int = 0, *, c: int = 0) -> int:
    return a + b + c


def test_arguments_that_the_function_takes_are_accepted() -> None:
    signature = Signature.of("add", add, pass_context=False)
    signature.check((), {"a": 1})
    signature.check((), {"a": 1, "b": 2, "c": 3})


@pytest.mark.parametrize(
    ("positional", "keywords", "words"),
    [
        ((1,), {}, ["Task add", "positional argument 1", "a=..."]),
        ((), {}, ["Task add", "missing argument 'a'"]),
        ((), {"a": 1, "d": 2}, ["Task add", "takes no argument 'd'", "'a', 'b', 'c'"]),
        ((), {"a": 1, 2: 3}, ["Task add", "strings, not 2"]),
        ((), [1], ["Task add", "[1] is not a dictionary"]),
    ],
)
def test_arguments_that_do_not_fit_are_refused_by_name(
    positional: tuple[Any, ...], keywords: Any, words: list[str]
) -> None:
    with pytest.raises(InvalidTaskArguments) as refusal:
        Signature.of("add", add, pass_context=False).check(positional, keywords)
    for word in words:
        assert word in str(refusal.value)


def test_the_context_is_no_argument_of_the_job() -> None:
    signature = Signature.of("add", add, pass_context=True)
    signature.check((), {"b": 1})
    with pytest.raises(InvalidTaskArguments, match="takes no argument 'a'"):
        signature.check((), {"a": 1})


def test_a_function_with_any_keywords_takes_any() -> None:
    def anything(**options: int) -> None: ...

    Signature.of("anything", anything, pass_context=False).check((), {"x": 1, "y": 2})


def test_a_partial_needs_no_argument_that_it_brings_itself() -> None:
    signature = Signature.of("add", functools.partial(add, a=1), pass_context=False)
    signature.check((), {})


def test_a_task_that_is_known_by_name_only_takes_any_keywords_but_no_positional_argument() -> None:
    Signature("elsewhere").check((), {"x": 1})
    with pytest.raises(InvalidTaskArguments, match="pass every argument by its name"):
        Signature("elsewhere").check((1,), {})


def test_a_function_that_no_job_can_call_is_refused_when_it_is_declared() -> None:
    def positional(a: int, /) -> None: ...

    with pytest.raises(InvalidOption, match="'a' is positional-only"):
        Signature.of("positional", positional, pass_context=False)
    with pytest.raises(InvalidOption, match="first parameter is the context"):
        Signature.of("keywords", lambda **options: None, pass_context=True)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (object(), "not JSON serializable"),
        ({1, 2}, "not JSON serializable"),
        (float("nan"), "not JSON compliant"),
        (float("inf"), "not JSON compliant"),
        ("a\0b", "NUL"),
        (["fine", {"deep": "\ud800"}], "surrogate"),
        ({"a\0": 1}, "NUL"),
    ],
)
def test_a_value_that_cannot_be_stored_is_refused_naming_its_argument(value: Any, reason: str) -> None:
    with pytest.raises(InvalidTaskArguments, match=reason) as refusal:
        dump_arguments("store", {"good": 1, "bad": value}, functools.partial(json.dumps, allow_nan=False))
    assert "Task store" in str(refusal.value)
    assert "'bad'" in str(refusal.value)


def test_a_value_that_contains_itself_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(InvalidTaskArguments, match="'loop'"):
        dump_arguments("store", {"loop": loop}, json.dumps)


def test_text_that_only_looks_like_an_escape_is_stored() -> None:
    text = dump_arguments("store", {"path": "C:\\u0000"}, json.dumps)
    assert json.loads(text) == {"path": "C:\\u0000"}


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (b"[1]", "a JSON object"),
        (5, "return str, or bytes"),
        (None, "return str"),
        ("[1]", "a JSON object"),
        ("", "object"),
    ],
)
def test_an_encoder_that_makes_no_json_object_is_refused(made: Any, words: str) -> None:
    with pytest.raises(InvalidOption, match=rf"^json_dumps made .* of task add: .*{words}"):
        dump_arguments("add", {"a": 1}, lambda value: made)


def test_an_encoder_may_make_bytes() -> None:
    def dumps(value: Any) -> bytes:
        return json.dumps(value, ensure_ascii=False).encode()

    assert dump_arguments("add", {"ü": "é"}, dumps) == '{"ü": "é"}'
    with pytest.raises(InvalidTaskArguments, match=r"'b' cannot be stored.*NUL"):
        dump_arguments("add", {"a": 1, "b": "\0"}, dumps)
    with pytest.raises(InvalidTaskArguments, match="cannot be stored"):
        dump_arguments("add", {"a": 1}, lambda value: b'{"a": "\xff"}')


def test_an_encoder_may_begin_with_blanks() -> None:
    assert dump_arguments("add", {}, lambda value: " {}") == " {}"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"queue": ""}, "queue=''"),
        ({"queue": 5}, "queue=5"),
        ({"task_name": None}, "task_name=None"),
        ({"lock": ""}, "lock=''"),
        ({"queueing_lock": 5}, "queueing_lock=5"),
        ({"priority": "high"}, "priority='high'"),
        ({"task_kwargs": 5}, "task_kwargs=5"),
        ({"scheduled_at": datetime.datetime(2026, 1, 1)}, "scheduled_at=.*no time zone"),
        ({"schedule_in": "5"}, "schedule_in='5'"),
        ({"schedule_in": float("nan")}, "schedule_in=nan"),
        ({"schedule_in": 1e12}, "schedule_in=1000000000000"),
    ],
)
def test_a_job_made_by_hand_has_what_a_task_s_job_could_have(changes: dict[str, Any], words: str) -> None:
    job = Job(queue="q", task_name="t")
    check_job("job", job)
    with pytest.raises(InvalidOption, match=rf"^job\.{words}"):
        check_job("job", job.evolve(**changes))


def test_what_is_no_job_is_refused() -> None:
    with pytest.raises(InvalidOption, match=r"^jobs\[1\]=5: pass a Job"):
        check_job("jobs[1]", 5)
