"""Starts the shop and a worker, on the database that DATABASE_URL names, or on a server that is gone afterwards."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parent
PORT = os.environ.get("PORT", "8000")


def command(*arguments: str) -> list[str]:
    """Return the command line of one of Django's commands."""
    return [sys.executable, "manage.py", *arguments]


@contextlib.contextmanager
def running(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run one of Django's commands as long as the block lasts."""
    process = subprocess.Popen(command(*arguments), cwd=HERE)
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def main() -> None:
    """Start everything, and wait for Ctrl-C."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    with contextlib.ExitStack() as stack:
        is_ours = "DATABASE_URL" not in os.environ
        if is_ours:
            from adjourn import embedded

            os.environ["DATABASE_URL"] = stack.enter_context(embedded.Server()).dsn
        subprocess.run(command("migrate", "--verbosity=0"), cwd=HERE, check=True)
        if is_ours:
            user = ("--username=admin", "--email=admin@example.org")
            environment = {**os.environ, "DJANGO_SUPERUSER_PASSWORD": "admin"}
            subprocess.run(command("createsuperuser", "--noinput", *user), cwd=HERE, env=environment, check=True)
        stack.enter_context(running("adjourn", "worker"))
        site = stack.enter_context(running("runserver", "--noreload", f"127.0.0.1:{PORT}"))
        login = " (user admin, password admin)" if is_ours else ""
        print(f"The shop is at http://127.0.0.1:{PORT}/, its admin at /admin/{login}. Ctrl-C ends it.", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            sys.exit(site.wait())


if __name__ == "__main__":
    main()
