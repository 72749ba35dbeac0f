"""The ``OPTIONS`` of a backend in ``TASKS``."""

from __future__ import annotations

from typing import Any

import attrs

from adjourn._domain.checks import check_known
from adjourn._domain.results import LARGEST_RESULT, ResultRule
from adjourn._domain.time_checks import check_timeout
from adjourn.retry import BaseRetryStrategy, RetryStrategy, RetryValue

__all__ = ["BackendOptions"]


@attrs.frozen
class BackendOptions:
    """How the tasks of a backend run.

    Attributes
    ----------
    retry
        What to do when a task raises: what ``@app.task(retry=...)`` takes. None (the default) lets it fail.
    timeout
        Seconds that a run may take; None (the default) takes the worker's.
    max_result_size
        Bytes of JSON that a return value may have, a megabyte (1,048,576) by default.
    """

    retry: RetryValue | None = None
    timeout: float | None = None
    max_result_size: int = LARGEST_RESULT

    @classmethod
    def checked(cls, given: Any) -> BackendOptions:
        """Return options that are valid.

        Raises
        ------
        InvalidOption
            If one is unknown, or has a wrong value.
        """
        check_known("OPTIONS", given, [each.name for each in attrs.fields(cls)])
        options = cls(**given)
        RetryStrategy.of(options.retry)
        check_timeout(options.timeout)
        ResultRule.checked(True, None, options.max_result_size)
        return options

    def strategy(self, own: RetryValue | None) -> BaseRetryStrategy | None:
        """Return the strategy of a task, which may have one of its own."""
        return RetryStrategy.of(self.retry if own is None else own)
