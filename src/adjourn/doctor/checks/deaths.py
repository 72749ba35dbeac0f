"""Which workers were declared dead of late?"""

from __future__ import annotations

from collections.abc import Iterator

from adjourn._domain.wording import counted, first_of, verb
from adjourn.doctor.findings import Finding, warn
from adjourn.doctor.patient import Patient
from adjourn.doctor.words import NAMED, span
from adjourn.monitor.deaths import Death, deaths

DIED_OF_LATE = 3600.0
"""Seconds for which a worker that was declared dead is told of."""


def died_of_late(patient: Patient) -> Iterator[Finding]:
    """Tell of the workers that were declared dead of late."""
    least = patient.thresholds.deaths_warn
    died, is_more = deaths(patient.rows("deaths"))
    died = [each for each in died if each.seconds <= DIED_OF_LATE]
    if not died or len(died) < least:
        return
    told = [f"{each.worker} ({span(each.silence)} ago), {_fate(each)}" for each in died[:NAMED]]
    number = f"{len(died):,} workers or more" if is_more else counted(len(died), "worker")
    yield warn(
        f"{number} {verb(len(died), 'was', 'were')} declared dead in the last hour: {first_of(told, len(died), '; ')}",
        "If the process is gone, see what killed it: the out-of-memory killer in the kernel's log of its host, or what the orchestrator "
        "tells of its container. If it is there, it was cut off from the database, or had no CPU. See the runbook: workers keep dying.",
        'journalctl --dmesg --since=-2h | grep -i "killed process"',
        f"deaths_warn={least:g}",
    )


def _fate(death: Death) -> str:
    """Return what became of the jobs of a worker."""
    if death.freed and death.failed:
        return f"{death.freed:,} of its jobs {verb(death.freed, 'runs', 'run')} again, {death.failed:,} failed"
    if death.freed:
        return f"{death.freed:,} of its jobs {verb(death.freed, 'runs', 'run')} again"
    return f"{death.failed:,} of its jobs failed" if death.failed else "which had no jobs"
