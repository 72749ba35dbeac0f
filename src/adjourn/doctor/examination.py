"""Examines a database: each check by itself, all within a time."""

from __future__ import annotations

import json
import time
from collections.abc import Collection
from importlib import resources
from typing import Any

import attrs

from adjourn._domain.spelling import hint
from adjourn._domain.time_checks import check_seconds
from adjourn.app import App
from adjourn.doctor import visits
from adjourn.doctor.checks import connection, order, schedules, server, vacuum, work
from adjourn.doctor.findings import Check, Finding, Level, unknown
from adjourn.doctor.patient import Patient
from adjourn.doctor.thresholds import Thresholds
from adjourn.exceptions import InvalidOption
from adjourn.schema import ROLES

JSON_VERSION = 1
"""The version of the form of `Examination.as_json`."""
TIMEOUT = 10.0
CHECKS: tuple[Check, ...] = (
    *connection.CHECKS,
    *work.CHECKS,
    *order.CHECKS,
    *schedules.CHECKS,
    *vacuum.CHECKS,
    *server.CHECKS,
)
"""All checks, in order."""


@attrs.frozen
class Examined:
    """A check, and what it has found.

    Attributes
    ----------
    id
        The name of the check.
    why
        Why it matters.
    findings
        What it has found, the worst first.
    """

    id: str
    why: str
    findings: tuple[Finding, ...]

    @property
    def level(self) -> Level:
        """The level of the worst finding."""
        return self.findings[0].level


@attrs.frozen
class Examination:
    """What all checks have found.

    Attributes
    ----------
    checks
        One for each check, in their order.
    seconds
        How long it took.
    """

    checks: tuple[Examined, ...]
    seconds: float

    @property
    def level(self) -> Level:
        """The level of the worst check."""
        return max((each.level for each in self.checks), key=lambda level: level.rank)

    def as_json(self) -> str:
        """Return all of it as a JSON object with ``version``, ``level``, ``seconds`` and ``checks``; `json_schema` describes it."""
        checks = [
            {
                "id": each.id,
                "level": each.level,
                "why": each.why,
                "findings": [attrs.asdict(found) for found in each.findings],
            }
            for each in self.checks
        ]
        facts: dict[str, Any] = {"version": JSON_VERSION, "level": self.level, "seconds": round(self.seconds, 3)}
        return json.dumps({**facts, "checks": checks}, ensure_ascii=False)


def json_schema() -> str:
    """Return the JSON schema (draft 2020-12) of what `Examination.as_json` returns and ``adjourn doctor --json`` prints."""
    return resources.files("adjourn.doctor").joinpath("examination.schema.json").read_text(encoding="utf-8")


def examine(
    app: App,
    *,
    only: Collection[str] = (),
    role: str = "worker",
    timeout: float = TIMEOUT,
    thresholds: Thresholds | None = None,
) -> Examination:
    """Examine the database of an app. Changes nothing, and locks nothing that others need.

    Parameters
    ----------
    app
        The app. It need not be open; its tasks are those that it knows by now.
    only
        The ids of the checks to run; all by default. See `CHECKS`.
    role
        What this role of the database is for: one of the kinds of `adjourn.schema.grants`, ``"worker"`` by default.
    timeout
        The most seconds for all of it, 10 by default. What is not known by then is unknown.
    thresholds
        From which numbers on something is a warning or critical; None for the defaults.

    Raises
    ------
    InvalidOption
        If there is no such check or kind of role, or the app has no database.
    """
    known = tuple(check.id for check in CHECKS)
    for each in only:
        if each not in known:
            raise InvalidOption(f"only={each!r}{hint(str(each), known)} The checks are: {', '.join(known)}.")
    if role not in ROLES:
        raise InvalidOption(f"role={role!r}{hint(str(role), ROLES)} Pass one of: {', '.join(ROLES)}.")
    check_seconds("timeout", timeout)
    if not app.connector.is_shared:
        raise InvalidOption("The app has an in-memory connector: there is no database to examine.")
    began = time.monotonic()
    chosen = [check for check in CHECKS if not only or check.id in only]
    deadline = began + timeout
    seen, reason = visits.examined(
        chosen, lambda: Patient(app, role, thresholds or Thresholds(), deadline), timeout, deadline
    )
    checks = []
    for check in chosen:
        findings = seen.get(check.id) or [unknown(reason)]
        checks.append(Examined(check.id, check.why, tuple(sorted(findings, key=lambda each: -each.level.rank))))
    return Examination(tuple(checks), time.monotonic() - began)
