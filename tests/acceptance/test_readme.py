"""The commands that the README names exist. What it shows is run by ``test_docs_code``."""

from __future__ import annotations

import os
import re

from support.pages import ROOT


def test_each_command_that_the_readme_names_exists() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    commands = set(re.findall(r"(?:\./)?scripts/([\w-]+)", text))
    assert {"bench", "demo", "docs", "test"} <= commands
    for command in commands:
        assert os.access(ROOT / "scripts" / command, os.X_OK), command
    benchmarks = re.findall(r"scripts/bench (\w+)", text)
    assert benchmarks
    for name in benchmarks:
        assert (ROOT / "benchmarks" / f"{name}.py").exists()
