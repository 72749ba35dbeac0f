"""Runners, which run the bodies of jobs: on the worker's event loop, or in threads. Each module has one.

A runner gets a run and its body, and reports how the run ended. The executor decides what to run, and what an outcome
means.
"""

from adjourn.worker.runners.contract import Body, Halt, NotBegun, Run, Runner
from adjourn.worker.runners.loop import LoopRunner
from adjourn.worker.runners.threads import ThreadRunner

__all__ = ["Body", "Halt", "LoopRunner", "NotBegun", "Run", "Runner", "ThreadRunner"]
