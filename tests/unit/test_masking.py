"""What is hidden of arguments and of texts that hold their values."""

from __future__ import annotations

import logging
from typing import Any

import pytest

import adjourn
from adjourn._domain.masking import HEADER, has_secrets, mask_of, masked
from adjourn.exceptions import InvalidOption
from adjourn.jobs import Job
from adjourn.testing import InMemoryConnector

IBAN = "DE02 1203 0000\n0000 2020 51"


def test_values_are_hidden_by_names_that_look_secret_and_by_those_that_are_given() -> None:
    arguments = {"api_key": "a", "note": [{"iban_of": "b"}, {"recipient": {"x": 1}}], "amount": 5}
    assert masked(arguments) == {"api_key": "***", "note": [{"iban_of": "***"}, {"recipient": {"x": 1}}], "amount": 5}
    assert masked(arguments, ["recipient", "amount"]) == {
        "api_key": "***",
        "note": [{"iban_of": "***"}, {"recipient": "***"}],
        "amount": "***",
    }


@pytest.mark.parametrize(
    ("name", "is_hidden"),
    [
        *(
            (name, True)
            for name in ("Password", "user_passwd", "auth", "Authorization", "authorised_by", "card_number")
        ),
        *((name, False) for name in ("author", "author_id", "cardinality", "discard", "amount")),
    ],
)
def test_which_names_look_secret(name: str, is_hidden: bool) -> None:
    assert (masked({name: "x"})[name] == "***") is is_hidden
    assert has_secrets([{"deep": ({name: 1},)}]) is is_hidden


@pytest.mark.parametrize("told", ["{}", "{!r}", "x{}y"])
def test_a_hidden_value_is_hidden_in_texts_however_it_is_written(told: str) -> None:
    text = told.format(IBAN)
    assert mask_of({"to": IBAN}, ["to"])(text) == text.replace(IBAN, "***").replace(repr(IBAN), "'***'")
    assert mask_of({"to": [123456789]}, ["to"])("no account 123456789") == "no account ***"
    assert mask_of({"to": IBAN})(text) == text


def declare(app: adjourn.App, **options: Any) -> Any:
    @app.task(name="transfer", **options)
    def transfer(to: str, amount: int) -> None:
        raise ValueError(f"no account {to!r}")

    return transfer


@pytest.mark.parametrize(
    ("sensitive", "message"),
    [
        ("to", "sensitive='to'"),
        (["too"], "sensitive: task transfer takes no argument 'too'; did you mean 'to'"),
        (["to,amount"], "sensitive: 'to,amount' has a comma"),
        ([5], "sensitive"),
    ],
)
def test_names_of_arguments_that_there_are_not_are_refused(sensitive: Any, message: str) -> None:
    with pytest.raises(InvalidOption, match=message):
        declare(adjourn.App(connector=InMemoryConnector()), sensitive=sensitive)


def test_a_job_says_which_of_its_arguments_are_sensitive_and_keeps_its_headers() -> None:
    app = adjourn.App(connector=InMemoryConnector())
    transfer = declare(app, sensitive=["to"])
    with app.open():
        transfer.configure(headers={"tenant": "acme"}).batch_defer({"to": IBAN, "amount": 1}, {"to": "x", "amount": 2})
        jobs = app.job_manager.list_jobs()
    assert [job.headers for job in jobs] == [{"tenant": "acme", HEADER: "to"}] * 2
    assert [job.sensitive for job in jobs] == [{"to"}] * 2
    assert jobs[0].call_string == f"transfer[{jobs[0].id}](to='***', amount=1)"
    assert jobs[0].log_context()["task_kwargs"] == {"to": "***", "amount": 1}
    assert jobs[0].task_kwargs["to"] == IBAN


def test_of_a_job_the_values_are_hidden_in_errors_and_results_too() -> None:
    errors = ({"attempt": 1, "message": "no account 'DE02120300'", "traceback": "transfer(123456)"},)
    job = Job(
        task_name="transfer",
        queue="q",
        task_kwargs={"to": "DE02120300", "pin": 123456},
        errors=errors,
        result={"sent": ["to DE02120300", 123456, True, None]},
        has_result=True,
    )
    assert job.masked() is job
    hidden = job.masked(["to", "pin"])
    assert hidden.task_kwargs == {"to": "***", "pin": "***"}
    assert hidden.errors == ({"attempt": 1, "message": "no account '***'", "traceback": "transfer(***)"},)
    assert hidden.result == {"sent": ["to ***", "***", True, None]}


def test_what_workers_and_programs_log_of_a_job_has_no_sensitive_value(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    app = adjourn.App(connector=InMemoryConnector())

    @app.task(name="transfer", sensitive=["to"])
    def transfer(to: str) -> str:
        return f"sent to {to}"

    with app.open():
        transfer.defer(to="DE02120300")
        # Another program may have stored it, which does not know the task.
        app.job_manager.defer_job(Job(task_name="transfer", queue="default", task_kwargs={"to": "DE99990000"}))
        caplog.records.pop()
        app.run_worker(wait=False)
    told = [str({**record.__dict__, "message": record.getMessage()}) for record in caplog.records]
    assert any("transfer[2](to='***')" in text for text in told)
    assert [text for text in told if "DE02120300" in text or "DE99990000" in text] == []


def test_what_is_logged_of_a_job_has_no_value_whose_name_looks_secret(caplog: pytest.LogCaptureFixture) -> None:
    """Nobody has to declare it."""
    caplog.set_level(logging.DEBUG)
    app = adjourn.App(connector=InMemoryConnector())

    @app.task(name="greet")
    def greet(login: dict[str, str]) -> dict[str, str]:
        return {"said": f"hello {login['password']}", "token": "fresh-token-1"}

    with app.open():
        greet.defer(login={"user": "ann", "password": "hunter2-and-more"})
        app.run_worker(wait=False)
        (job,) = app.job_manager.list_jobs()
    told = [str({**record.__dict__, "message": record.getMessage()}) for record in caplog.records]
    assert any("greet[1](login={'user': 'ann', 'password': '***'})" in text for text in told)
    assert [text for text in told if "hunter2-and-more" in text or "fresh-token-1" in text] == []
    assert job.task_kwargs["login"]["password"] == "hunter2-and-more"
    assert job.masked().task_kwargs == {"login": {"user": "ann", "password": "***"}}


def test_arguments_of_any_depth_can_be_shown() -> None:
    deep: Any = {"token": "hunter2-and-more"}
    for _ in range(100_000):
        deep = [deep]
    arguments = {"deep": deep, "password": "123456", "note": [[1]]}
    shown = masked(arguments)
    assert (shown["password"], shown["note"], "***" in str(shown["deep"])) == ("***", [[1]], True)
    assert mask_of(arguments)("it has hunter2-and-more and 123456") == "it has *** and ***"
    job = Job(task_name="t", queue="q", task_kwargs=arguments, result=deep, has_result=True)
    assert "***" in str(job.masked(["token"]).result)
