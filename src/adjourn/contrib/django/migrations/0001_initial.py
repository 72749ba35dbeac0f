from __future__ import annotations

from django.db import migrations

from adjourn.contrib.django.operations import ApplySchema


class Migration(migrations.Migration):
    """The schema of the first release."""

    initial = True
    operations = [ApplySchema(version=1)]
