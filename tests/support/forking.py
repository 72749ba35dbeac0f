"""Children of the tests' own process."""

from __future__ import annotations

import faulthandler
import gc
import os
import traceback
from collections.abc import Callable

from support.waiting import BOUND


def exit_code_of_child(work: Callable[[], object], bound: float = BOUND) -> int:
    """Call `work` in a forked child, and return 0 if it raises nothing there.

    A child that has not ended after `bound` seconds writes where it hangs, and ends with 1. It collects no garbage: what other tests
    have left belongs to their process.
    """
    collects = gc.isenabled()
    gc.disable()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            faulthandler.dump_traceback_later(bound, exit=True)
            work()
            code = 0
        except BaseException:
            traceback.print_exc()
        os._exit(code)
    if collects:
        gc.enable()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
