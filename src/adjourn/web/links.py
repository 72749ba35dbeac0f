"""Where else to look for a job: addresses of log viewers and the like, made of templates."""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Mapping
from typing import Any

import attrs

from adjourn.exceptions import InvalidOption

PARTS = ("job_id", "task", "queue", "trace_id", "begin", "end")
"""What a template may hold: ``begin`` and ``end`` are the first and the last moment of the job, in ISO 8601."""


@attrs.frozen
class Link:
    """A link that each job has.

    Parameters
    ----------
    text
        What it is called, such as ``"Logs"``.
    template
        Its address, such as ``"https://logs.example.org/?q=job:{job_id}"``. It may have ``{job_id}``, ``{task}``, ``{queue}``, ``{trace_id}``,
        ``{begin}`` and ``{end}``.

    Raises
    ------
    InvalidOption
        If the address does not begin with http:// or https://, or has other names in braces.
    """

    text: str
    template: str

    def __attrs_post_init__(self) -> None:
        if not re.match(r"https?://[^{]", self.template):
            raise InvalidOption(f"links: {self.template!r} does not begin with http:// or https:// and a host.")
        for name in re.findall(r"\{(.*?)\}", self.template):
            if name not in PARTS:
                raise InvalidOption(f"links: {{{name}}} in {self.template!r} is none of {', '.join(PARTS)}.")

    def address(self, values: Mapping[str, Any]) -> str | None:
        """Return the address for a job; None if a value is not known.

        Parameters
        ----------
        values
            What is known, by the names in braces.
        """
        if any(values.get(name) is None for name in re.findall(r"\{(.*?)\}", self.template)):
            return None
        return re.sub(r"\{(.*?)\}", lambda match: urllib.parse.quote(str(values[match[1]]), safe=""), self.template)
