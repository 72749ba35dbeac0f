"""How the slots of workers are counted, for the dashboard, the doctor and metrics."""

from __future__ import annotations

from typing import Any

import pytest

from adjourn.monitor.slots import SlotCount, queues_by_worker, serving_of, slots_of


def worker(id_: int, concurrency: int | None, running: int = 0, **more: Any) -> dict[str, Any]:
    details = None if concurrency is None else {"concurrency": concurrency}
    return {
        "id": id_,
        "name": f"w{id_}",
        "is_alive": True,
        "queues": None,
        "running": [*range(running)],
        "details": details,
        "apart": False,
        "silence": 3.0,
        **more,
    }


def jobs(worker_id: int, *queues: str) -> list[dict[str, Any]]:
    return [{"worker_id": worker_id, "queue": queue} for queue in queues]


@pytest.mark.parametrize(
    ("workers", "working", "number", "taken", "told"),
    [
        ([worker(1, 2)], [], 2, 0, "its workers have free slots"),
        ([worker(1, 2)], jobs(1, "mail"), 2, 1, "its workers have free slots"),
        ([worker(1, 2, running=2)], [], 2, 2, "all 2 slots of its workers are busy"),
        ([worker(1, 1)], jobs(1, "news"), 1, 1, "the one slot of its workers is busy, 1 with jobs of queue news"),
        # One that has claimed jobs ahead takes none of the slots of another one.
        ([worker(1, 2), worker(2, 2)], jobs(1, *["mail"] * 9), 4, 2, "its workers have free slots"),
        ([worker(1, 2), worker(2, 2, is_alive=False)], jobs(2, "mail"), 2, 0, "its workers have free slots"),
        ([worker(1, 2), worker(2, 2, queues=["news"], running=2)], [], 2, 0, "its workers have free slots"),
        ([worker(1, None)], jobs(1, "mail"), 0, 0, "its workers have not said yet how many slots they have"),
    ],
)
def test_jobs_take_no_more_slots_of_a_worker_than_it_has(
    workers: list[dict[str, Any]], working: list[dict[str, Any]], number: int, taken: int, told: str
) -> None:
    slots = slots_of(workers, queues_by_worker(working), "mail")
    assert (slots.number, slots.taken, slots.told) == (number, taken, told)
    assert slots.are_full == ("busy" in told)


def test_all_workers_serve_no_queue_in_particular() -> None:
    workers = [worker(1, 2, queues=["news"]), worker(2, 3)]
    slots = slots_of(workers, queues_by_worker(jobs(1, "news", "news")))
    assert slots == SlotCount(number=5, taken=2)
    assert [each["id"] for each in serving_of(workers, "mail")] == [2]


def test_a_worker_that_runs_jobs_apart_has_no_free_slots() -> None:
    """It takes no others, so its empty slots are none for them; another worker's are."""
    slots = slots_of([worker(4, 4, running=2, apart=True)], {}, "mail")
    assert slots.are_full
    assert (slots.number, slots.taken, slots.kept) == (4, 2, 2)
    assert slots.told == "worker w4 runs jobs apart and takes no others"
    both = slots_of([worker(4, 4, apart=True), worker(5, 4, apart=True)], {}, "mail")
    assert both.told == "2 workers run jobs apart and take no others"
    more = slots_of([worker(4, 4, apart=True), worker(5, 4)], {}, "mail")
    assert not more.are_full
    assert more.told == "its workers have free slots"


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"ending": True}, "worker w4 is ending and takes no jobs"),
        ({"exchanged_ago": 58.0}, "worker w4 has looked for no jobs lately"),
        ({"ending": True, "exchanged_ago": 58.0}, "worker w4 is ending and takes no jobs"),
        ({"ending": False, "exchanged_ago": 56.0}, ""),
        ({"exchanged_ago": None}, ""),
    ],
)
def test_a_worker_that_takes_no_jobs_has_no_free_slots(said: dict[str, Any], told: str) -> None:
    """One that was stopped waits for the jobs that it has; one that hangs waits for what nobody knows."""
    row = worker(4, 4, running=1)
    row["details"].update(said)
    slots = slots_of([row], {}, "mail")
    assert slots.are_full == bool(told)
    assert slots.told == (told or "its workers have free slots")
    full = slots_of([{**row, "running": [1, 2, 3, 4]}], {}, "mail")
    assert full.told == "all 4 slots of its workers are busy"
