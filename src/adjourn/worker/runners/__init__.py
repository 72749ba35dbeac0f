"""Where the bodies of jobs run: on the worker's event loop, or in threads. One runner a module.

A runner is handed a run and its body, and says how the run went. It decides nothing about jobs: what to run, and what an
outcome means, are the executor's.
"""

from adjourn.worker.runners.contract import Body, Halt, NotBegun, Run, Runner
from adjourn.worker.runners.loop import LoopRunner
from adjourn.worker.runners.threads import ThreadRunner

__all__ = ["Body", "Halt", "LoopRunner", "NotBegun", "Run", "Runner", "ThreadRunner"]
