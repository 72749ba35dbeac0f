"""The private parts of prometheus_client that are used here, as seen in prometheus_client 0.20 to 0.26.

``_sum`` and ``_buckets`` of a histogram. Without these, each value is observed by itself, and as if it were the bound of its bucket: it costs more, and
sums are too large.

The function after whose numbers a process names its files. Without it, the gauges of processes that have died without a word do not vanish.

`tests/connectors/test_private_parts.py` fails if a release drops one of these.
"""

from __future__ import annotations

import inspect
import itertools
import os
from collections.abc import Sequence

from prometheus_client import Histogram, values


def observe(histogram: Histogram, bounds: Sequence[float], counts: Sequence[int], total: float) -> None:
    """Observe many values, so many in each bucket. The client offers to observe one at a time, which takes a lock or a file for each.

    Parameters
    ----------
    histogram
        A histogram, or the one of some labels.
    bounds
        The bounds of its buckets, without infinity.
    counts
        How many values belong into each bucket; there is one more of these than there are bounds.
    total
        The sum of the values.
    """
    sum_, buckets = getattr(histogram, "_sum", None), getattr(histogram, "_buckets", None)
    if sum_ is None or buckets is None or len(buckets) != len(counts):
        for value in itertools.chain.from_iterable(map(itertools.repeat, (*bounds, 2 * bounds[-1]), counts)):
            histogram.observe(value)
        return
    sum_.inc(total)
    for bucket, number in zip(buckets, counts, strict=True):
        if number:
            bucket.inc(number)


def names_files_by_pid() -> bool:
    """Return whether the files by which processes share their metrics have the pids of these in their names.

    A program may have other numbers there, such as uWSGI's of its workers: ``values.ValueClass = MultiProcessValue(uwsgi.worker_id)``.
    """
    look = getattr(values.ValueClass, "_MmapedValue__check_for_pid_change", None)
    return look is not None and inspect.getclosurevars(look).nonlocals.get("process_identifier") is os.getpid
