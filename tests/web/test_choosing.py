"""Jobs that are chosen one by one, and columns that are chosen."""

from __future__ import annotations

import re
from typing import Any

import pytest
from starlette.testclient import TestClient

import adjourn
from adjourn import web
from support.waiting import until

SAME_SITE = {"Sec-Fetch-Site": "same-origin"}


def text_of(page: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", page).split())


def form_of(page: str) -> dict[str, Any]:
    """The fields of the form that begins a change of many jobs."""
    (form,) = re.findall(r'<form[^>]*action="[^"]*/do/bulk.start".*?</form>', page, re.DOTALL)
    fields: dict[str, Any] = {}
    for name, value in re.findall(r'type="hidden" name="([^"]*)" value="([^"]*)"', form):
        fields.setdefault(name, []).append(value)
    return fields


def status(app: adjourn.App, job_id: int) -> str | None:
    (job,) = app.job_manager.list_jobs(id=job_id)
    return job.status


@pytest.fixture
def failed(app: adjourn.App) -> list[int]:
    """The ids of three jobs that have failed."""
    ids = app.tasks["fail"].batch_defer({}, {}, {})
    app.run_worker(wait=False)
    return list(ids)


def test_chosen_jobs_are_run_again_and_the_others_are_left_alone(
    app: adjourn.App, client: TestClient, failed: list[int]
) -> None:
    page = client.get("/jobs").text
    boxes = re.findall(r'<input type="checkbox" name="job" value="(\d+)" form="chosen"', page)
    assert sorted(map(int, boxes)) == failed
    preview = client.get("/bulk", params={"chosen": 1, "what": "retry", "job": failed[:2]}).text
    assert "Run again: 2 jobs" in text_of(preview)
    assert f"chosen jobs {failed[0]}, {failed[1]}" in text_of(preview)
    done = client.post("/do/bulk.start", data=form_of(preview), headers=SAME_SITE)
    assert done.status_code == 200
    until(lambda: [status(app, each) for each in failed[:2]] == ["todo", "todo"])
    assert status(app, failed[2]) == "failed"
    notes = app.job_manager.actions.list_audit()
    assert {note.filter and tuple(note.filter["ids"]) for note in notes if note.jobs} == {tuple(failed[:2])}


def test_a_chosen_job_that_has_changed_meanwhile_is_left_alone(
    app: adjourn.App, client: TestClient, failed: list[int]
) -> None:
    fields = form_of(client.get("/bulk", params={"chosen": 1, "what": "delete", "job": failed}).text)
    assert app.job_manager.retry_jobs(failed[:2]) == failed[:2]
    app.run_worker(wait=False)
    client.post("/do/bulk.start", data=fields, headers=SAME_SITE)
    until(lambda: not app.job_manager.list_jobs(id=failed[2]))
    assert [status(app, each) for each in failed[:2]] == ["failed", "failed"]


def test_what_succeeded_is_meant_if_it_is_chosen(app: adjourn.App, client: TestClient) -> None:
    job_id = app.tasks["send"].defer()
    app.run_worker(wait=False)
    assert "Delete: 1 job" in text_of(client.get(f"/bulk?chosen=1&what=delete&job={job_id}").text)
    assert "No job matches that this suits." in client.get(f"/bulk?chosen=1&what=cancel&job={job_id}").text
    assert "No job matches that this suits." in client.get("/bulk?what=delete&task=send").text


def test_no_chosen_job_is_no_job_rather_than_all(client: TestClient, failed: list[int]) -> None:
    page = client.get("/bulk?chosen=1&what=delete")
    assert page.status_code == 400
    assert "none is chosen" in page.text
    assert client.get("/bulk?chosen=1&what=delete&job=x").status_code == 400


@pytest.mark.parametrize("options", [{"read_only": True}, {"permissions": ["view", "job.retry"]}])
def test_who_may_change_no_jobs_has_no_boxes(app: adjourn.App, failed: list[int], options: dict[str, Any]) -> None:
    with TestClient(web.create_app(app, auth=web.anybody, **options)) as client:
        page = client.get("/jobs").text
        assert str(failed[0]) in page
        assert 'type="checkbox" name="job"' not in page
        assert 'id="chosen"' not in page


def test_columns_are_chosen_by_the_address_and_stay(app: adjourn.App, client: TestClient, failed: list[int]) -> None:
    def heads(page: str) -> list[str]:
        return [text_of(each) for each in re.findall(r"<th scope=\"col\"[^>]*>(.*?)</th>", page)]

    usual = ["", "Id", "Task", "Status", "Queue", "Arguments", "Attempts", "When", "What to do"]
    assert heads(client.get("/jobs").text) == usual
    app.tasks["send"].configure(lock="customer 7", priority=-3, schedule_in={"hours": 2}).defer()
    page = client.get("/jobs?column=lock&column=priority&column=took&column=due&status=todo,failed&limit=10").text
    assert heads(page) == ["", "Id", "Task", "Status", "Priority", "Lock", "Due", "Took", "What to do"]
    assert re.search(r"send waiting -3 customer 7 in (2 h|120 min) \N{EN DASH}", text_of(page))
    clear = re.search(r'href="([^"]*)">Clear<', page)
    assert clear is not None
    assert clear[1].count("column=") == 4
    for number in range(12):
        app.tasks["send"].configure(lock=str(number)).defer()
    following = re.search(r'href="([^"]*)" rel="next"', client.get("/jobs?column=lock&limit=10").text)
    assert following is not None
    assert "column=lock" in following[1]
    refused = client.get("/jobs?column=password")
    assert refused.status_code == 400
    assert "column: &#39;password&#39; is none of queue, args" in refused.text
    with TestClient(web.create_app(app, auth=web.anybody, hide_args=True)) as discreet:
        page = discreet.get("/jobs?column=args&column=queue").text
        assert "Arguments" not in heads(page)
        assert 'value="args"' not in page


def test_the_list_of_chosen_jobs_says_that_it_is_one_and_where_it_ends(
    app: adjourn.App, client: TestClient, failed: list[int]
) -> None:
    page = client.get("/jobs", params={"job": failed[:2]}).text
    told = text_of(page)
    assert "Only 2 jobs, chosen by their ids." in told
    assert "These are all 2 that were chosen." in told
    assert re.findall(r'<input type="hidden" name="job" value="(\d+)"', page) == [str(each) for each in failed[:2]]
    told = text_of(client.get("/jobs", params={"job": [failed[0], 10**9], "status": "failed"}).text)
    assert f"1 of the 2 that were chosen. Not stored any more, or kept out by the other filters: {10**9}." in told
    told = text_of(client.get("/jobs", params={"job": failed[0]}).text)
    assert "Only 1 job, chosen by its id." in told
    assert "This is the one that was chosen." in told
    assert "chosen by" not in text_of(client.get("/jobs").text)


def test_chosen_jobs_are_on_one_page(app: adjourn.App, client: TestClient) -> None:
    ids = app.tasks["fail"].batch_defer(*({} for _ in range(60)))
    page = client.get("/jobs", params={"job": ids}).text
    assert "These are all 60 that were chosen." in text_of(page)
    assert len(re.findall("data-row", page)) == 60
    assert "Next page" not in page


def test_a_job_is_found_by_its_id(app: adjourn.App, client: TestClient, failed: list[int]) -> None:
    page = client.get(f"/jobs?job={failed[1]}&queue=&status=").text
    assert re.findall(r'data-row="(\d+)"', page) == [str(failed[1])]
    assert re.search(rf'<input name="job" [^>]*value="{failed[1]}"', page)
    every = client.get("/jobs?job=&queue=").text
    assert len(re.findall("data-row", every)) == 3, "an empty field asks for nothing"
    refused = client.get("/jobs?job=seven")
    assert refused.status_code == 400
    assert "job: &#39;seven&#39; is not a whole number" in refused.text
    assert re.search(r'<input name="job" [^>]*value="seven"', refused.text)


def test_jobs_that_wait_to_be_tried_again_are_found(app: adjourn.App, client: TestClient, failed: list[int]) -> None:
    app.tasks["send"].defer()
    app.job_manager.retry_jobs(failed[:2], ["failed"])
    page = client.get("/jobs?status=retrying").text
    assert re.findall(r'data-row="(\d+)"', page) == [str(failed[1]), str(failed[0])]
    assert '<option value="retrying" selected>to be tried again</option>' in page
    told = text_of(client.get("/bulk?what=cancel&status=retrying").text)
    assert "Cancel: 2 jobs" in told
    assert client.get("/jobs?status=retrying,failed").status_code == 400


def test_the_queues_have_columns_of_what_waits_for_something_else(app: adjourn.App, client: TestClient) -> None:
    send = app.tasks["send"]
    send.configure(schedule_in={"hours": 1}).defer()
    send.configure(queue="later", schedule_in={"hours": 1}).batch_defer({}, {})
    send.configure(lock="album").batch_defer({}, {}, {})
    send.defer()

    def told(address: str) -> str:
        return text_of(client.get(address).text)

    until(lambda: "mail" in told("/queues"))
    assert "Behind locks" not in told("/queues").replace("Behind locks Not placed yet Show", "")
    # A queue that has no other jobs is there as well, and live figures keep what was chosen.
    chosen = "/queues?column=scheduled&column=unplaced"
    until(lambda: "Running Scheduled Not placed yet Workers" in told(chosen) and " later " in told(chosen))
    page = client.get(chosen).text
    cells = {
        name: re.findall(r'data-label="(Scheduled|Not placed yet)" class="number">(\d+)<', row)
        for name, row in re.findall(r'<tr data-row="(\w+)">(.*?)</tr>', page, re.DOTALL)
    }
    assert cells == {
        "mail": [("Scheduled", "1"), ("Not placed yet", "3")],
        "later": [("Scheduled", "2"), ("Not placed yet", "0")],
    }
    refused = client.get("/queues?column=secret")
    assert (refused.status_code, "none of scheduled, blocked, unplaced" in refused.text) == (400, True)
