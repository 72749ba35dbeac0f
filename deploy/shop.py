"""A program to try these files with: an app with one task. Put yours in its place."""

from __future__ import annotations

import os

import adjourn

app = adjourn.App(connector=adjourn.PsycopgConnector(os.environ["DATABASE_URL"]))


@app.task(queue="mail")
def send(to: str) -> None:
    """Send a mail."""
    print("To", to, flush=True)
