"""docs/how-to/runbook.md has an entry for each check of the doctor and each alert, and its commands are ones that there are."""

from __future__ import annotations

import re
import shlex
from typing import Any

import pytest
import yaml

import adjourn
from adjourn import cli
from adjourn.cli.shell import Shell
from adjourn.cli.tables import Screen
from adjourn.doctor import CHECKS
from adjourn.exceptions import AdjournException
from adjourn.testing import InMemoryConnector
from support.deployment import FILES
from support.pages import ROOT, read

PAGE = ROOT / "docs" / "how-to" / "runbook.md"
RULES = FILES / "prometheus" / "alerts.yaml"


def headings(part: str) -> list[str]:
    """The headings of the entries in a part of the page."""
    text = PAGE.read_text("utf-8")
    found = re.search(rf"^## {part}$(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found is not None, part
    return re.findall(r"^### (.*)$", found[1], re.MULTILINE)


PARSER = cli.make_parser()


def entries() -> dict[str, str]:
    """The text of each entry by its heading."""
    parts = re.split(r"^### (.*)$", PAGE.read_text("utf-8"), flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], (re.split(r"^## ", text, flags=re.MULTILINE)[0] for text in parts[1::2]), strict=True))


def commands() -> list[str]:
    """The command lines of the page."""
    texts = [block.text.replace("\\\n", " ") for block in read(PAGE) if block.language == "console"]
    return [line.removeprefix("$ ") for text in texts for line in text.splitlines()]


def test_each_check_of_the_doctor_has_an_entry() -> None:
    assert headings("Checks of the doctor") == [check.id for check in CHECKS]


def test_each_alert_has_an_entry() -> None:
    if not RULES.exists():
        pytest.skip("there are no rules for alerts yet")
    groups: list[Any] = yaml.safe_load(RULES.read_text("utf-8"))["groups"]
    alerts = [rule["alert"] for group in groups for rule in group["rules"] if "alert" in rule]
    assert alerts
    assert headings("Alerts") == alerts


@pytest.mark.parametrize("heading", entries())
def test_an_entry_says_what_to_do(heading: str) -> None:
    assert re.search(r"^\*\*Do\b", entries()[heading], re.MULTILINE)


@pytest.mark.parametrize("line", commands())
def test_a_command_is_one_that_the_program_takes(line: str) -> None:
    words = shlex.split(line)
    assert words[0] == "adjourn"
    options = PARSER.parse_args(words[1:])
    if "shell" in words:
        app = adjourn.App(connector=InMemoryConnector())
        with app.open():
            try:
                Shell(app, Screen()).do(options.words)
            except AdjournException as error:
                if "42" not in str(error):  # there is no such job here
                    raise


def test_links_to_entries_lead_to_some() -> None:
    text = PAGE.read_text("utf-8")
    anchors = {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in entries()}
    assert set(re.findall(r"\]\(#([\w-]+)\)", text)) <= anchors


def test_the_picture_leads_from_alerts_to_entries() -> None:
    picture = next(block.text for block in read(PAGE) if block.language == "mermaid")
    named = [part for text in re.findall(r'\b[ae]\d\["(.*?)"\]', picture) for part in text.split("<br>")]
    assert len(named) > 15
    assert set(named) <= set(entries())
