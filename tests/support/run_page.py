"""Runs the code of one page of the documentation, in the order of the page, as a reader would.

Usage: ``python -m support.run_page PAGE TAB ADDRESS``, in an empty directory. `support.pages` tells how pages are written.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from support.addresses import address as sqlalchemy_address
from support.pages import ADDRESS, Block, read

BOUND = 60.0
"""Seconds that a command may take."""
INTERRUPT = "^C"


def addressed(text: str, address: str) -> str:
    """Put a database's address into a block, also where SQLAlchemy reads it."""
    text = text.replace(ADDRESS, address)
    for begins in re.findall(r"postgresql\+(\w+)://localhost/mydb", text):
        place = sqlalchemy_address(address, begins).render_as_string(hide_password=False)
        text = text.replace(f"postgresql+{begins}://localhost/mydb", place)
    return text


def run_console(block: Block, address: str) -> None:
    """Run each command of a block, and compare what it prints with what is shown."""
    for part in re.split(r"^\$ ", addressed(block.text, address), flags=re.MULTILINE)[1:]:
        command, _, shown = part.partition("\n")
        run_command(command, [line.rstrip() for line in shown.splitlines()], block.place)


def run_command(command: str, shown: list[str], place: str) -> None:
    """Run one command. The lines that are shown must be printed, in that order; others may be printed between them."""
    is_interrupted = shown[-1:] == [INTERRUPT]
    lines = [line for line in shown if line not in ("...", INTERRUPT)]
    pattern = re.compile(
        ".*".join("^" + ".*".join(map(re.escape, line.split("..."))) + " *$" for line in lines),
        re.MULTILINE | re.DOTALL,
    )
    deadline = time.monotonic() + BOUND
    printed: list[str] = []
    with subprocess.Popen(
        ["bash", "-c", command],
        env={**os.environ, "PYTHONUNBUFFERED": "1", "COLUMNS": "100"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        reader = threading.Thread(target=lambda stream: printed.extend(stream), args=[process.stdout], daemon=True)
        reader.start()
        try:
            if is_interrupted:
                while not pattern.search("".join(printed)) and reader.is_alive() and time.monotonic() < deadline:
                    time.sleep(0.01)
                os.killpg(process.pid, signal.SIGINT)
            process.wait(max(deadline - time.monotonic(), 1))
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            reader.join(BOUND)
    output = "".join(printed)
    if process.returncode != 0:
        sys.exit(f"{place}: `{command}` has failed with code {process.returncode}:\n{output}")
    if not pattern.search(output):
        sys.exit(f"{place}: `{command}` does not print what is shown:\n{output}")


def main(page: str, tab: str, address: str) -> None:
    """Run a page, as somebody does who reads one of its tabs."""
    names: dict[str, Any] = {"__name__": "page"}
    # It is where this module was found; what a page runs does not need it.
    os.environ.pop("PYTHONPATH", None)
    for block in read(Path(page)):
        if not block.is_run or block.tab not in (None, tab):
            continue
        text = addressed(block.text, address)
        if block.language == "console":
            run_console(block, address)
        elif block.file_name:
            path = Path(block.file_name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
        else:
            # Lines of a traceback are those of the page.
            exec(compile("\n" * block.line + text, page, "exec"), names)


if __name__ == "__main__":
    main(*sys.argv[1:])
