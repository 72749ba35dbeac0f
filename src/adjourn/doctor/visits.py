"""Runs checks one after the other, so that none that hangs holds up the others."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable
from typing import TypeAlias

import attrs

from adjourn.doctor.findings import Check, Finding, critical, unknown
from adjourn.doctor.patient import Patient
from adjourn.exceptions import AdjournException

LONGEST_CHECK = 4.0
"""Seconds after which a check is given up: longer than a query of its may take, and than a notification may."""
Found: TypeAlias = dict[str, list[Finding]]


@attrs.frozen
class _Connected:
    """The visit has a connection."""


@attrs.frozen
class _NoConnection:
    """It has none."""

    reason: str


@attrs.frozen
class _Ended:
    """It makes no more checks."""


_Report: TypeAlias = _Connected | _NoConnection | _Ended | list[Finding]


def examined(
    checks: Iterable[Check], patient: Callable[[], Patient], seconds: float, deadline: float
) -> tuple[Found, str]:
    """Run checks until a deadline.

    Parameters
    ----------
    checks
        The checks, in their order.
    patient
        Connects to the database. It is called again if a check has not ended, or has lost the connection.
    seconds
        How long it may take, for messages.
    deadline
        Until when, by `time.monotonic`.

    Returns
    -------
    Found
        What each check has found that has ended or was given up.
    str
        Why nothing is known of the others.
    """
    left, found = list(checks), dict[str, list[Finding]]()
    while left and time.monotonic() < deadline:
        if reason := _attend(_Visit(left, patient), left, found, seconds, deadline):
            return found, reason
    return found, "The database did not answer in time"


def _attend(visit: _Visit, left: list[Check], found: Found, seconds: float, deadline: float) -> str:
    """Take down what a visit reports until it ends, and return why no other one makes sense; empty if it does."""
    is_connected = False
    while True:
        until_end = max(0.0, deadline - time.monotonic())
        longest = min(LONGEST_CHECK, until_end) if is_connected else until_end
        try:
            report: _Report = visit.reports.get(timeout=longest)
        except queue.Empty:
            visit.give_up()
            if is_connected:
                if left and longest < until_end:
                    found[left.pop(0).id] = [unknown(f"It has not ended within {longest:g} s")]
                return ""
            report = _NoConnection(f"the database has not answered within {seconds:g} s")
        if isinstance(report, _NoConnection):
            if left[0].id == "connect":
                text = f"The database cannot be reached: {report.reason}"
                found["connect"] = [critical(text, "Check its address, and whether it runs.")]
            return "There is no connection"
        if isinstance(report, _Connected):
            is_connected = True
        elif isinstance(report, _Ended):
            return ""
        else:
            found[left.pop(0).id] = report


class _Visit:
    """A connection, and a thread that runs checks on it: nobody knows how long a driver waits for a server that says nothing."""

    def __init__(self, checks: Iterable[Check], patient: Callable[[], Patient]) -> None:
        self.reports: queue.SimpleQueue[_Report] = queue.SimpleQueue()
        self._checks, self._connect = tuple(checks), patient
        self._patient: Patient | None = None
        self._is_given_up = False
        threading.Thread(target=self._run, name="adjourn doctor", daemon=True).start()

    def give_up(self) -> None:
        """Have it end: nobody reads what it reports."""
        self._is_given_up = True
        if patient := self._patient:
            patient.abandon()

    def _run(self) -> None:
        try:
            patient = self._patient = self._connect()
        except Exception as error:  # told as a finding
            self.reports.put(_NoConnection(_one_line(error)))
            return
        try:
            self.reports.put(_Connected())
            for check in self._checks:
                if self._is_given_up:
                    break
                self.reports.put(_look(check, patient))
                if patient.is_lost:
                    break
        finally:
            self._patient = None
            patient.close()
            self.reports.put(_Ended())


def _look(check: Check, patient: Patient) -> list[Finding]:
    found: list[Finding] = []
    try:
        if check.needs_schema and not patient.version:
            return [unknown(f"There is no schema {patient.schema!r} of adjourn to look at")]
        found.extend(check.look(patient))
    except Exception as error:  # one check that fails is no reason to know nothing of the others
        found.append(unknown(f"It could not be found out: {_one_line(error)}"))
    return found


def _one_line(error: BaseException) -> str:
    kind = "" if isinstance(error, AdjournException) else f"{type(error).__name__}: "
    return kind + " ".join(str(error).split("\nLINE ")[0].split())
