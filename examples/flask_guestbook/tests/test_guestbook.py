"""The book, as its visitors see it, and its jobs."""

import pytest
from flask import Flask
from guestbook.jobs import check, forget_spam, jobs
from guestbook.models import Entry, db
from sqlalchemy import select

from adjourn.testing import assert_deferred, drain, refute_deferred


def sign(app: Flask, text: str) -> None:
    """Sign the book."""
    assert app.test_client().post("/", data={"name": "Ada", "text": text}).status_code == 302


def test_an_entry_is_shown_when_its_job_has_run(app: Flask) -> None:
    sign(app, "What a nice page")
    entry = db.session.scalars(select(Entry)).one()
    assert_deferred(jobs.app, check, args={"entry_id": entry.id}, count=1)
    assert "What a nice page" not in app.test_client().get("/").text
    drain(jobs.app)
    assert "What a nice page" in app.test_client().get("/").text


def test_spam_is_not_shown_and_removed_at_night(app: Flask) -> None:
    sign(app, "Play in our CASINO today")
    drain(jobs.app)
    assert "CASINO" not in app.test_client().get("/").text
    forget_spam.defer(timestamp=0)
    drain(jobs.app)
    assert db.session.scalars(select(Entry)).all() == []


def test_an_entry_that_cannot_be_stored_leaves_no_job(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise RuntimeError("the disk is full")

    monkeypatch.setattr(db.session, "commit", fail)
    with pytest.raises(RuntimeError):
        app.test_client().post("/", data={"name": "Ada", "text": "Hello"})
    db.session.rollback()
    refute_deferred(jobs.app)
