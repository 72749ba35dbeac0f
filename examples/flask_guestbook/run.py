"""Starts the site and a worker, on the database that DATABASE_URL names, or on a server that is gone afterwards."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parent
PORT = os.environ.get("PORT", "5000")


def run(*arguments: str) -> None:
    """Run a module of Python's to its end."""
    subprocess.run([sys.executable, "-m", *arguments], cwd=HERE, check=True)


@contextlib.contextmanager
def running(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a module of Python's as long as the block lasts."""
    process = subprocess.Popen([sys.executable, "-m", *arguments], cwd=HERE)
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def main() -> None:
    """Start everything, and wait for Ctrl-C."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    with contextlib.ExitStack() as stack:
        if "DATABASE_URL" not in os.environ:
            from adjourn import embedded

            os.environ["DATABASE_URL"] = stack.enter_context(embedded.Server()).dsn
        os.environ["FLASK_APP"] = "guestbook"
        run("flask", "adjourn", "schema", "--apply")
        run("flask", "create-tables")
        stack.enter_context(running("flask", "adjourn", "worker"))
        site = stack.enter_context(running("gunicorn", "--bind", f"127.0.0.1:{PORT}", "guestbook:create_app()"))
        print(f"The guestbook is at http://127.0.0.1:{PORT}/. Ctrl-C ends it.", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            sys.exit(site.wait())


if __name__ == "__main__":
    main()
