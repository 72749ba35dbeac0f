"""Starts an example and a worker, on the database that DATABASE_URL names, or on a server that is gone afterwards.

Usage: run.py NAME. The example's `run.toml` says what to run:

* `environment`: variables, unless they are set;
* `prepare`: commands to run first, in this order; `prepare_own`: further ones for a server that is gone afterwards;
* `worker` and `site`: commands to run until Ctrl-C;
* `says`: what to print when the site answers; `says_own`: further sentences for a server that is gone afterwards.

A command is a list of Python's arguments. `{port}` in it stands for PORT, or for `port`.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def running(command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command as long as the block lasts."""
    process = subprocess.Popen(command)
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def wait_until_open(port: int, site: subprocess.Popen[bytes]) -> None:
    """Return when the site listens, or has ended."""
    while site.poll() is None:
        with socket.socket() as trying:
            if trying.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)


def main(name: str) -> None:
    """Start everything, and wait for Ctrl-C."""
    os.chdir(Path(__file__).parent / name)
    plan = tomllib.loads(Path("run.toml").read_text(encoding="utf-8"))
    port = os.environ.get("PORT", str(plan["port"]))
    for variable, value in plan.get("environment", {}).items():
        os.environ.setdefault(variable, value)

    def command(arguments: list[str]) -> list[str]:
        return [sys.executable, *(each.replace("{port}", port) for each in arguments)]

    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    with contextlib.ExitStack() as stack:
        preparing, saying = [*plan["prepare"]], [plan["says"]]
        if "DATABASE_URL" not in os.environ:
            from adjourn import embedded

            os.environ["DATABASE_URL"] = stack.enter_context(embedded.Server()).dsn
            preparing += plan.get("prepare_own", [])
            saying += plan.get("says_own", [])
        for arguments in preparing:
            subprocess.run(command(arguments), check=True)
        stack.enter_context(running(command(plan["worker"])))
        site = stack.enter_context(running(command(plan["site"])))
        with contextlib.suppress(KeyboardInterrupt):
            wait_until_open(int(port), site)
            if site.poll() is None:
                print(" ".join(saying).replace("{port}", port), "Ctrl-C ends it.", flush=True)
            sys.exit(site.wait())


if __name__ == "__main__":
    main(sys.argv[1])
