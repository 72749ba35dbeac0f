"""A database for the tests: the one that DATABASE_URL names, or one that is gone afterwards."""

import os
from collections.abc import Iterator

import pytest
from flask import Flask
from guestbook import create_app
from guestbook.jobs import jobs
from guestbook.models import Entry, db
from sqlalchemy import delete, text

from adjourn import embedded


@pytest.fixture(scope="session")
def app() -> Iterator[Flask]:
    """The application, whose tables are there."""
    server = None
    if "DATABASE_URL" not in os.environ:
        server = embedded.Server()
        server.start()
        os.environ["DATABASE_URL"] = server.dsn
    app = create_app(TESTING=True)
    with app.app_context():
        jobs.app.schema_manager.apply_schema()
        db.create_all()
    yield app
    with app.app_context():
        jobs.app.close()
        db.engine.dispose()
    if server is not None:
        server.stop()


@pytest.fixture(autouse=True)
def context(app: Flask) -> Iterator[None]:
    """Run each test in the application's context, with nothing in the database."""
    with app.app_context():
        db.session.execute(delete(Entry))
        for name in ("adjourn_jobs", "adjourn_finished_jobs"):
            db.session.execute(text(f"DELETE FROM adjourn.{name}"))
        db.session.commit()
        yield
