"""The page on the command line shows what ``--help`` says. Run as a script, this file writes the page anew."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "command-line.md"
COMMANDS = ("", "worker", "defer", "schema", "healthchecks", "shell", "demo")
HEAD = """<!-- not run: tests/acceptance/test_docs_command_line.py compares command-line.md with what is printed -->

# The command line

`adjourn` runs workers, applies the schema, and shows and changes jobs. This page shows what `--help` prints for each command.
Most flags have an environment variable, which the help names. A flag wins over its variable, and the variable over the app.
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
