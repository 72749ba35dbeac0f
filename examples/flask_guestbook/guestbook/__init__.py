"""A guestbook."""

from __future__ import annotations

import os
from typing import Any

from flask import Flask, redirect, render_template, request, url_for
from sqlalchemy import make_url, select
from werkzeug.wrappers import Response

from guestbook.jobs import check, jobs
from guestbook.models import Entry, db


def create_app(**config: Any) -> Flask:
    """Make the application.

    Parameters
    ----------
    **config
        Settings that go before the usual ones.
    """
    app = Flask(__name__)
    url = make_url(os.environ.get("DATABASE_URL", "postgresql://localhost/guestbook"))
    # adjourn uses the database of Flask-SQLAlchemy, and takes its sessions.
    app.config["SQLALCHEMY_DATABASE_URI"] = url.set(drivername="postgresql+psycopg")
    app.config["SPAM"] = ["casino", "lottery"]
    app.config.update(config)
    db.init_app(app)
    jobs.init_app(app)
    app.add_url_rule("/", "read", read)
    app.add_url_rule("/", "sign", sign, methods=["POST"])
    app.cli.command("create-tables")(db.create_all)
    return app


def read() -> str:
    """Show the book."""
    entries = db.session.scalars(select(Entry).where(Entry.state == "published").order_by(Entry.id.desc()))
    return render_template("book.html", entries=entries)


def sign() -> Response:
    """Store an entry, and the job that looks at it: both, or neither."""
    entry = Entry(name=request.form["name"], text=request.form["text"])
    db.session.add(entry)
    db.session.flush()
    jobs.defer_in(db.session).defer(check, entry_id=entry.id)
    db.session.commit()
    return redirect(url_for("read"))
