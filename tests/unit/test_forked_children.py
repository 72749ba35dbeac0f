"""A child that a task forks has the signals of a process of its own, not those of its worker."""

from __future__ import annotations

import pytest

from support.processes import run_silently

BEGINNING = """
    import asyncio, multiprocessing, os, signal, sys, threading, time, warnings
    from adjourn.worker.shutdown import on_signals

    warnings.filterwarnings("ignore", r".*fork\\(\\) may lead to deadlocks", DeprecationWarning)
    stops = []

    def end_of_a_child(number):
        child = os.fork()
        if child == 0:
            time.sleep(30)
            os._exit(0)
        os.kill(child, number)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    def in_thread(function, *arguments):
        answers = []
        thread = threading.Thread(target=lambda: answers.append(function(*arguments)))
        thread.start()
        thread.join()
        return answers[0]
"""


def test_a_signal_that_comes_at_once_ends_a_forked_child_and_does_not_stop_the_worker() -> None:
    run_silently(
        BEGINNING
        + """
    with on_signals(lambda: stops.append(1)):
        for _ in range(50):
            assert in_thread(end_of_a_child, signal.SIGTERM) == -signal.SIGTERM
        assert end_of_a_child(signal.SIGTERM) == -signal.SIGTERM
        assert not stops
        assert not signal.pthread_sigmask(signal.SIG_BLOCK, [])
        signal.raise_signal(signal.SIGTERM)
    assert stops == [1]
    """
    )


def test_a_child_has_the_handlers_that_the_program_had_set_before() -> None:
    run_silently(
        BEGINNING
        + """
    signal.signal(signal.SIGTERM, lambda number, frame: os._exit(7))
    with on_signals(lambda: stops.append(1)), on_signals(lambda: stops.append(2)):
        signal.signal(signal.SIGINT, lambda number, frame: os._exit(8))
        assert in_thread(end_of_a_child, signal.SIGTERM) == 7
        assert in_thread(end_of_a_child, signal.SIGINT) == 8
    """
    )


def test_a_child_has_nothing_of_the_event_loop_that_its_parent_runs() -> None:
    run_silently(
        BEGINNING
        + """
    def end_of_an_interrupted_child():
        readable, writable = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                os.write(writable, b".")
                time.sleep(30)
            except KeyboardInterrupt:
                os._exit(9)
            os._exit(0)
        os.read(readable, 1)
        # Python 3.13 does not see the signal in a child of a thread, unless it interrupts a system call.
        while (ended := os.waitpid(child, os.WNOHANG)) == (0, 0):
            os.kill(child, signal.SIGINT)
            time.sleep(0.05)
        return os.waitstatus_to_exitcode(ended[1])

    async def main():
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, stops.append, "the loop's")
        loop.add_signal_handler(signal.SIGUSR1, stops.append, "the loop's")
        with on_signals(lambda: stops.append(1)):
            assert await asyncio.to_thread(end_of_a_child, signal.SIGTERM) == -signal.SIGTERM
            assert await asyncio.to_thread(end_of_an_interrupted_child) == 9
            child = os.fork()
            if child == 0:
                signal.raise_signal(signal.SIGUSR1)
                os._exit(0)
            os.waitpid(child, 0)
            await asyncio.sleep(0.1)  # the loop would read what a child has written to it
        for number in (signal.SIGTERM, signal.SIGUSR1):
            loop.remove_signal_handler(number)

    asyncio.run(main())
    assert not stops, stops
    """
    )


def test_a_child_that_leaves_the_workers_context_ends_like_any_other() -> None:
    run_silently(
        BEGINNING
        + """
    with on_signals(lambda: stops.append(1)):
        child = os.fork()
    if child == 0:
        os._exit(5 if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL else 6)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 5
    """
    )


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_a_process_that_is_terminated_at_once_can_be_joined(method: str) -> None:
    run_silently(
        BEGINNING
        + f"""
    def terminated():
        process = multiprocessing.get_context({method!r}).Process(target=time.sleep, args=(30,))
        process.start()
        process.terminate()
        process.join(20)
        return process.exitcode

    if __name__ == "__main__":
        with on_signals(lambda: stops.append(1)):
            for _ in range(3):
                assert in_thread(terminated) == -signal.SIGTERM
        assert not stops
    """
    )


LEAVING = """
    import io, logging, os, sys, time, warnings
    import adjourn
    from adjourn.testing import InMemoryConnector

    warnings.filterwarnings("ignore", r".*fork\\(\\) may lead to deadlocks", DeprecationWarning)
    warnings.filterwarnings("ignore", "This App is created in the program's main module")
    logging.getLogger("asyncio").setLevel("ERROR")  # it tells of the loops that these tasks block
    app = adjourn.App(connector=InMemoryConnector())
    ran, codes = [], []

    def fork(how):
        ran.append(how)
        if child := os.fork():
            for _ in range(200):
                found, status = os.waitpid(child, os.WNOHANG)
                if found:
                    codes.append(os.waitstatus_to_exitcode(status))
                    return
                time.sleep(0.05)
            os.kill(child, 9)
            codes.append("has not ended")
        else:
            sys.stderr = io.StringIO()
            if how == "raises":
                raise ValueError
            if how == "exits":
                sys.exit(7)

    @app.task(name="blocking")
    def blocking(how):
        fork(how)

    @app.task(name="awaited")
    async def awaited(how):
        fork(how)

    @app.task(name="other")
    async def other():
        pass

    async def pass_on(call_next, context, worker):
        return await call_next()
"""


@pytest.mark.parametrize("task", ["blocking", "awaited"])
@pytest.mark.parametrize("middleware", ["", "pass_on"], ids=["bare", "wrapped"])
def test_a_child_that_comes_to_the_end_of_its_task_ends_and_is_no_second_worker(task: str, middleware: str) -> None:
    run_silently(
        LEAVING
        + f"""
    with app.open():
        for how in ("returns", "raises", "exits"):
            app.tasks["{task}"].defer(how=how)
            app.tasks["other"].defer()
        app.run_worker(wait=False, concurrency=2, worker_middleware=[{middleware}])
        assert sorted(ran) == ["exits", "raises", "returns"], ran
        assert sorted(codes) == [0, 1, 7], codes
        assert {{job.status for job in app.job_manager.list_jobs()}} == {{"succeeded"}}
    """
    )
