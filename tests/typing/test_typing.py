"""Type checkers accept what is right in the sample files beside this one, and refuse the lines that say so."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
SAMPLES = sorted(path for path in HERE.glob("*.py") if path != Path(__file__))
MARK = re.compile(r"# refused: (?P<mypy>[\w-]+) \| (?P<pyright>\w+(, \w+)*)$")
REPORT = re.compile(r"^(?P<path>.+?\.py):(?P<line>\d+): error: .* +\[(?P<code>[\w-]+)\]$", re.M)
# Neither what this project asks for nor what it excuses is a user's.
OPTIONS = ("--config-file=", "--strict", "--no-error-summary", "--hide-error-context")
Found = set[tuple[str, int, str]]


def expected(checker: str) -> Found:
    """The lines that a checker is to refuse, and by which of its rules."""
    return {
        (path.name, number, rule)
        for path in SAMPLES
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if (mark := MARK.search(line))
        for rule in mark[checker].split(", ")
    }


def test_the_samples_have_lines_of_both_kinds() -> None:
    assert len(SAMPLES) == 3
    assert {each[:2] for each in expected("mypy")} == {each[:2] for each in expected("pyright")}
    assert len(expected("mypy")) > 60


def test_mypy_refuses_what_is_marked_and_nothing_else(tmp_path: Path) -> None:
    process = subprocess.run(
        [
            sys.executable,
            "-m",
            "mypy",
            *OPTIONS,
            "--cache-dir",
            str(ROOT / ".mypy_cache" / "typing"),
            *map(str, SAMPLES),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    reports = REPORT.finditer(process.stdout)
    found = {(Path(each["path"]).name, int(each["line"]), each["code"]) for each in reports}
    assert process.returncode == 1, process.stdout + process.stderr
    assert found == expected("mypy"), process.stdout


def run_pyright(directory: Path, *arguments: str) -> dict[str, Any]:
    """What pyright reports; the test is skipped where it does not run."""
    try:
        process = subprocess.run(
            [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable, *arguments],
            cwd=directory,
            capture_output=True,
            text=True,
            timeout=110,
            check=False,
        )
        report: dict[str, Any] = json.loads(process.stdout)
    except (json.JSONDecodeError, subprocess.TimeoutExpired) as error:
        # Its Python package brings no pyright: it fetches that from npm when it is first run.
        pytest.skip(f"pyright does not run here, perhaps because it could not be fetched: {error}")
    return report


def test_pyright_refuses_what_is_marked_and_nothing_else(tmp_path: Path) -> None:
    report = run_pyright(tmp_path, *map(str, SAMPLES))
    found = {
        (Path(each["file"]).name, each["range"]["start"]["line"] + 1, each.get("rule", ""))
        for each in report["generalDiagnostics"]
        if each["severity"] == "error"
    }
    assert found == expected("pyright"), report
