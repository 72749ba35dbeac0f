"""Reads servers' logs: what they complain of, and what of that somebody else has caused."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

COMPLAINT = re.compile(r"\b(ERROR|FATAL|PANIC|WARNING):\s+(.*)")
ALLOWED = {
    r"terminating connection due to administrator command": "the bench or a shutdown has ended the session",
    r"terminating connection because of crash of another server process": "the bench has killed the server",
    r"the database system is (starting up|shutting down|in recovery mode|not yet accepting connections)": "a client that tries "
    "while the server is down",
    r"terminating (background worker|walreceiver|walsender|autovacuum) process": "the bench has ended the server",
    r"could not (receive data from WAL stream|connect to the primary server|send data to client|receive data from client)": "one "
    "side of a connection was ended by the bench",
    r"connection to client lost": "the bench has killed a client",
    r"terminating connection due to unexpected postmaster exit": "the bench has killed the server",
    r"replication slot .* does not exist": "Patroni makes the slots of a new leader's standbys a moment after they have asked for them",
    r"could not send end-of-streaming message to primary": "the bench has killed the primary",
    r"sorry, too many clients already|remaining connection slots are reserved": "the bench has taken all sessions",
}
"""What is no fault of adjourn's in any scenario, and why."""


def complaints(logs: Iterable[Path], allowed: dict[str, str]) -> Counter[str]:
    """Count what servers complain of.

    Parameters
    ----------
    logs
        The servers' logs.
    allowed
        What the scenario itself causes besides `ALLOWED`, as patterns, and why.

    Returns
    -------
    Counter
        How often each complaint came, for those that nothing explains.
    """
    patterns = [re.compile(pattern) for pattern in (*ALLOWED, *allowed)]
    found: Counter[str] = Counter()
    for log in logs:
        for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
            match = COMPLAINT.search(line)
            if match and not any(pattern.search(match[2]) for pattern in patterns):
                found[f"{match[1]}: {re.sub(r'[0-9]+', 'N', match[2])}"] += 1
    return found
