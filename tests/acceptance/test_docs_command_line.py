"""The page on the command line shows what ``--help`` says. Run as a script, this file writes the page anew."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "command-line.md"
COMMANDS = ("", "worker", "defer", "schema", "healthchecks", "shell", "demo")
HEAD = """# The command line

`adjourn` has a command for each thing to be done beside your program. What `--help` says of them is below. A flag names
its environment variable where it has one; the flag has the last word, and what neither says is taken from the app.
"""


def page() -> str:
    """What the page has to be."""
    parts = [HEAD]
    for command in COMMANDS:
        words = ["adjourn", *([command] if command else []), "--help"]
        process = subprocess.run(
            [sys.executable, "-m", *words],
            env={**os.environ, "COLUMNS": "100", "NO_COLOR": "1"},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        text = process.stdout.rstrip()
        parts.append(f"\n## {' '.join(words[:-1])}\n\n```console\n$ {' '.join(words)}\n{text}\n```\n")
    return "".join(parts)


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="argparse sets its help differently in each version")
def test_the_page_shows_what_help_says() -> None:
    assert PAGE.read_text() == page(), f"run {Path(__file__).name} as a script to write it anew"


if __name__ == "__main__":
    PAGE.write_text(page())
