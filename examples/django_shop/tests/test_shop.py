"""The shop, as its customers see it, and its jobs."""

from unittest import mock

import pytest
from django.contrib.auth.models import User
from django.test import TestCase
from shop.models import Letter, Order
from shop.tasks import report, send_parcel, send_receipt

from adjourn.contrib.django import app
from adjourn.contrib.django.models import Job
from adjourn.contrib.django.test import TransactionTestCase, make_job, run_jobs
from adjourn.testing import assert_deferred, refute_deferred


class ShopTests(TestCase):
    """Each test is a transaction that is rolled back, with its jobs."""

    def order(self, item: str = "a book", mail: str = "ada@example.org") -> Order:
        """Order something."""
        response = self.client.post("/orders/", {"item": item, "mail": mail})
        return Order.objects.get(pk=response.json()["order"])

    def test_an_order_has_its_receipt_deferred(self) -> None:
        order = self.order()
        assert_deferred(app, send_receipt, args={"order_id": order.pk}, count=1)
        assert order.receipt_job.status == "todo"

    def test_the_receipt_is_sent_and_then_the_parcel(self) -> None:
        order = self.order()
        assert run_jobs(queues=["default"]).succeeded == 2
        order.refresh_from_db()
        assert order.is_sent
        assert Letter.objects.get().text == "Thank you for buying a book."
        assert order.receipt_job.status == "succeeded"

    def test_parcels_of_one_customer_leave_one_by_one(self) -> None:
        for item in ("a book", "a pen"):
            self.order(item)
        run_jobs(recursive=False)
        assert_deferred(app, send_parcel, lock="ada@example.org", count=2)

    def test_an_order_that_is_not_stored_leaves_no_job(self) -> None:
        broken = mock.patch("shop.views.JsonResponse", side_effect=RuntimeError("no answer"))
        with broken, pytest.raises(RuntimeError, match="no answer"):
            self.client.post("/orders/", {"item": "a book", "mail": "ada@example.org"})
        assert not Order.objects.exists()
        refute_deferred(app)

    def test_a_receipt_that_fails_sends_nothing_and_is_tried_again(self) -> None:
        self.order()
        with mock.patch("shop.tasks.send_parcel.configure", side_effect=RuntimeError("no more parcels")):
            assert run_jobs(retries=False).retried == 1
        assert not Letter.objects.exists()
        assert run_jobs(with_scheduled=True).succeeded == 2

    def test_the_report_counts_what_is_to_be_sent(self) -> None:
        self.order()
        report.defer(timestamp=0)
        run_jobs(recursive=False)
        assert Letter.objects.get(to="shop@example.org").text == "Orders to be sent: 1."


class AdminTests(TestCase):
    """What people do with jobs by hand."""

    def setUp(self) -> None:
        self.client.force_login(User.objects.create_superuser("admin"))

    def test_a_job_that_failed_is_run_again(self) -> None:
        job = make_job(report, status="failed", args={"timestamp": 0}, errors=[{"message": "no paper"}])
        self.assertContains(self.client.get(f"/admin/adjourn/job/{job.pk}/change/"), "no paper")
        choice = {"action": "retry", "_selected_action": [job.pk], "confirmed": "yes"}
        self.assertContains(self.client.post("/admin/adjourn/job/", choice, follow=True), "1 job runs again.")
        assert run_jobs().succeeded == 1


class WorkerTests(TransactionTestCase):
    """A real worker sees only what is committed."""

    def test_a_worker_sends_the_parcel(self) -> None:
        self.client.post("/orders/", {"item": "a book", "mail": "ada@example.org"})
        app.run_worker(wait=False, install_signal_handlers=False)
        assert Order.objects.get().is_sent
        assert {job.status for job in Job.objects.all()} == {"succeeded"}
