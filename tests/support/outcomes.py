"""Outcomes as tests write them: one row each."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from adjourn._domain.arrays import array_of_numbers, array_of_texts

BACK = ("retried", "handed_back", "unknown", "suspended")


def outcome_parameters(rows: Sequence[dict[str, Any]]) -> dict[str, str | None]:
    """Return the parameters of the statement ``exchange`` for rows with ``id``, ``claim``, ``outcome`` and so on."""
    ended = [row for row in rows if row["outcome"] not in BACK]
    back = [row for row in rows if row["outcome"] in BACK]
    has_results = any("result" in row for row in ended)
    return {
        "ids": array_of_numbers(row["id"] for row in ended) if ended else None,
        "claims": array_of_numbers(row["claim"] for row in ended) if ended else None,
        "statuses": array_of_texts(row["outcome"] for row in ended) if ended else None,
        "errors": array_of_texts(row.get("error") for row in ended) if ended else None,
        "results": array_of_texts(row.get("result") for row in ended) if has_results else None,
        "ttls": array_of_numbers(row.get("ttl") for row in ended) if has_results else None,
        "back": json.dumps(back) if back else None,
    }
