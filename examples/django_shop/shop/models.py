"""What the shop stores."""

from django.db import models

from adjourn.contrib.django.models import Job


class Order(models.Model):
    """What a customer has ordered."""

    mail = models.EmailField()
    item = models.TextField()
    is_sent = models.BooleanField(default=False)
    # A job moves to another table when it has ended, so the database cannot watch over this.
    receipt_job = models.ForeignKey(Job, models.DO_NOTHING, db_constraint=False, null=True, editable=False)

    def __str__(self) -> str:
        return f"{self.item} for {self.mail}"


class Letter(models.Model):
    """A mail that the shop has sent; here it is a row, so that you can see it."""

    to = models.EmailField()
    text = models.TextField()

    def __str__(self) -> str:
        return f"{self.to}: {self.text}"
