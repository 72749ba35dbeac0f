"""A program that looks whether all places are free in the end: ``python -m torture.flow.probe``.

It begins when it is asked to end (SIGTERM). Under each limit it defers as many jobs as may run at once, which wait for each other.
"""

from __future__ import annotations

import os
import random
import signal
import threading

from torture.app import app, ledger
from torture.flow import tasks as tasks
from torture.flow.deferring import FlowDeferring
from torture.flow.shared import MOST, NARROW


def main() -> None:
    """Defer the jobs."""
    deferring = FlowDeferring(app, ledger, random.Random(os.getpid()))
    with app.open():
        for limit, most in MOST.items():
            kind, _, name = limit.partition(" ")
            jobs = []
            for n in range(most):
                key = f"probe {limit} {n}"
                if kind == "queue":
                    jobs.append(app.configure_task("meets", queue=NARROW).make_new_job(key=key))
                elif kind == "task":
                    jobs.append(app.configure_task(name).make_new_job(key=key, meets=True))
                else:
                    task = app.configure_task("limited_tenant_async")
                    jobs.append(task.make_new_job(key=key, tenant=name, meets=True))
            ledger.write("probed", limit=limit)
            deferring.ask(deferring.jobs(jobs))


if __name__ == "__main__":
    asked = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: asked.set())
    asked.wait()
    main()
