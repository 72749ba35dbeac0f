"""The extension of Flask in gunicorn, with the program and the command of the page flask.md."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import psycopg

from support.addresses import address
from support.gunicorn import gunicorn, post
from support.sessions import Sessions
from support.waiting import until

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "flask.md"


def test_with_preload_the_first_process_makes_no_connection(
    tmp_path: Path, database: str, observer: psycopg.Connection, sessions: Sessions
) -> None:
    text = PAGE.read_text("utf-8")
    found = re.search(r"```python\n# shop.py\n(.*?)```", text, re.DOTALL)
    command = re.search(r"^\$ gunicorn (.*)$", text, re.MULTILINE)
    assert found
    assert command
    place = address(database, "psycopg").render_as_string(hide_password=False)
    program = found[1].replace("postgresql+psycopg://localhost/mydb", place)
    booted = tmp_path / "booted"
    program += (
        f"\nimport os\nos.register_at_fork(after_in_child=lambda: open({str(booted)!r} + str(os.getpid()), 'w'))\n"
    )
    (tmp_path / "shop.py").write_text(program, "utf-8")
    observer.execute('DROP TABLE IF EXISTS "order"')
    observer.execute('CREATE TABLE "order" (id serial PRIMARY KEY, item text, is_sent boolean)')
    with gunicorn(tmp_path, *shlex.split(command[1])) as listens:
        until(lambda: len(list(tmp_path.glob("booted*"))) == 2)
        assert sessions.count() == 0
        orders = {post(listens, "/orders", item=f"book {number}")["order"] for number in range(10)}
        # Each process that has served something has one connection for its orders and their jobs.
        assert 1 <= sessions.count() <= 2
    assert len(orders) == 10
    assert observer.execute("SELECT count(*) FROM adjourn.adjourn_jobs").fetchone() == (10,)
    observer.execute('DROP TABLE "order"')
    assert sessions.settle(0) == 0
