# Tests as Procrastinate's documentation writes them, with the names of adjourn; and how they are run.
import pytest
from django.core.management import call_command
from django.test import TestCase, TransactionTestCase
from mypackage.models import MyModel
from mypackage.tasks import my_task, mytask1, side_effects

from adjourn import testing
from adjourn.contrib.django import DjangoApp, app, procrastinate_app
from adjourn.contrib.django.models import (
    ProcrastinateEvent,
    ProcrastinateJob,
    ProcrastinatePeriodicDefer,
    ProcrastinateWorker,
)


@pytest.fixture
def in_memory_app():
    in_memory = testing.InMemoryConnector()
    with procrastinate_app.current_app.replace_connector(in_memory) as app:
        yield app


def test_in_memory(in_memory_app):
    side_effects.clear()
    my_task.defer(a=1, b=2)
    jobs = in_memory_app.connector.jobs
    assert len(jobs) == 1
    in_memory_app.run_worker(wait=False)
    assert side_effects == [3]
    in_memory_app.connector.reset()


@pytest.mark.django_db
def test_the_models_show_the_job():
    my_task.defer(a=1, b=2)
    assert ProcrastinateJob.objects.filter(task_name="my_task").count() == 1
    assert ProcrastinateEvent.objects.count() == 1
    assert not ProcrastinatePeriodicDefer.objects.exists()
    assert not ProcrastinateWorker.objects.exists()


@pytest.mark.django_db
def test_an_app_of_its_own():
    new_app = DjangoApp(connector=app.connector)

    @new_app.task
    def my_task(a, b):
        return a + b

    my_task.defer(a=1, b=2)
    assert my_task.name not in app.tasks
    assert ProcrastinateJob.objects.filter(task_name=my_task.name).count() == 1


class TestingTaskClass(TransactionTestCase):
    def test_task(self):
        my_task.defer(a=1, b=2)
        with app.replace_connector(app.connector.get_worker_connector()):
            app.run_worker(wait=False, install_signal_handlers=False, listen_notify=False)
        assert ProcrastinateJob.objects.filter(task_name="my_task").latest().status == "succeeded"


class OfTheProgram(TestCase):
    def test_a_job_of_a_test_case_is_rolled_back(self):
        my_task.defer(a=1, b=2)
        assert ProcrastinateJob.objects.filter(task_name="my_task", status="todo").count() == 1

    def test_and_is_not_seen_by_the_next(self):
        self.test_a_job_of_a_test_case_is_rolled_back()


@pytest.mark.django_db(transaction=True)
def test_task():
    my_task.defer(a=1, b=2)
    with app.replace_connector(app.connector.get_worker_connector()):
        app.run_worker(wait=False, install_signal_handlers=False, listen_notify=False)
    assert ProcrastinateJob.objects.filter(task_name="my_task").latest().status == "succeeded"


@pytest.fixture
def worker(transactional_db):
    with app.replace_connector(app.connector.get_worker_connector()):

        def f():
            app.run_worker(wait=False, install_signal_handlers=False, listen_notify=False)
            return app

    return f


def test_with_a_fixture(worker):
    my_task.defer(a=1, b=2)
    worker()
    assert ProcrastinateJob.objects.filter(task_name="my_task").latest().status == "succeeded"


def test_a_script_of_its_own(worker):
    import worker as script

    my_task.defer(a=1, b=2)
    script.main()
    assert ProcrastinateJob.objects.filter(task_name="my_task").latest().status == "succeeded"


def test_the_views_and_the_commands(worker, client, capsys):
    client.get("/sync/")
    client.get("/async/")
    call_command("procrastinate", "worker", "--one-shot")
    assert {each.name for each in MyModel.objects.all()} == {"seen by mytask1", "seen by mytask2"}
    call_command("procrastinate", "healthchecks")
    call_command("procrastinate", "defer", mytask1.name, '{"obj_pk": 1}')
    call_command("procrastinate", "shell", "list_jobs")


def test_the_settings_are_read():
    assert "some:of_a_blueprint" in app.tasks
    app.perform_import_paths()
    assert "imported" in app.tasks
    assert app.worker_defaults["concurrency"] == 2
    assert app.periodic_defaults == {"max_delay": 86400}


@pytest.fixture
def procrastinate_writable_models(settings):
    settings.ADJOURN_READONLY_MODELS = False


@pytest.mark.django_db
def test_writable_models(procrastinate_writable_models):
    ProcrastinateJob.objects.create(task_name="made", queue_name="q", args={}, status="todo", priority=0, attempts=0)
    assert ProcrastinateJob.objects.get().task_name == "made"
