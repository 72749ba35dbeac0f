"""What the workers do."""

from __future__ import annotations

from flask import current_app
from sqlalchemy import delete

from adjourn.contrib.flask import Adjourn
from guestbook.models import Entry, db

jobs = Adjourn()


@jobs.task
def check(entry_id: int) -> None:
    """Publish an entry, unless it is spam."""
    entry = db.session.get(Entry, entry_id)
    if entry is not None:
        words = set(entry.text.lower().split())
        entry.state = "spam" if words & set(current_app.config["SPAM"]) else "published"
        db.session.commit()


@jobs.periodic(cron="0 3 * * *")
@jobs.task
def forget_spam(timestamp: int) -> None:
    """Remove the spam of the day."""
    db.session.execute(delete(Entry).where(Entry.state == "spam"))
    db.session.commit()
