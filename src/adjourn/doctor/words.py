"""How the doctor says spans of time, estimates, and what is not known."""

from __future__ import annotations

from adjourn._domain.wording import counted, shown
from adjourn.doctor.findings import Finding, unknown
from adjourn.doctor.patient import Patient
from adjourn.sql.templates import identifier

NAMED = 5
"""How many things a sentence names."""


def span(seconds: float | None) -> str:
    """Return a span of time in words, such as ``4 min``; ``an unknown time`` for None."""
    if seconds is None:
        return "an unknown time"
    for size, unit in ((86_400.0, "days"), (3600.0, "h"), (60.0, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(0.0, seconds):.3g} s"


def named(value: str | None) -> str:
    """Return a name, quoted; ``no name`` if it is empty or hidden."""
    return repr(value) if value else "no name"


def few_or(estimate: float | None, noun: str) -> str:
    """Return an estimated number of things, such as ``about 1,200 jobs``; ``few or no jobs`` where the estimate is none."""
    return f"about {counted(round(estimate), noun)}" if estimate and estimate >= 1 else f"few or no {noun}s"


def paused_by(who: str | None) -> str:
    """Return by whom something was paused, as part of a sentence; empty if that is not known."""
    return f" by {shown(who)}" if who else ""


def paused_until(reason: str | None, seconds_left: float | None) -> str:
    """Return why something was paused and for how much longer, as part of a sentence; what is None is left out."""
    why = f" ({shown(reason)})" if reason else ""
    return why + (f", and will be for {span(seconds_left)} more" if seconds_left is not None else "")


def unseen(patient: Patient, text: str) -> Finding:
    """Return the finding that the role of the session may not see something of other sessions."""
    role = patient.server["role"]
    return unknown(
        f"{text}, which {role!r} may not see",
        "Grant it the role that may.",
        f"grant pg_monitor to {identifier(role)};",
    )
