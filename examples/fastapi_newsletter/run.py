"""Starts the service and a worker, on the database that DATABASE_URL names, or on a server that is gone afterwards."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parent
PORT = os.environ.get("PORT", "8000")


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
        run("adjourn", "--app=newsletter.jobs.app", "schema", "--apply")
        run("newsletter.database")
        stack.enter_context(running("adjourn", "--app=newsletter.jobs.app", "worker"))
        service = stack.enter_context(running("uvicorn", "newsletter.web:web", "--port", PORT, "--log-level=warning"))
        print(f"The newsletter is at http://127.0.0.1:{PORT}/docs. Ctrl-C ends it.", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            sys.exit(service.wait())


if __name__ == "__main__":
    main()
