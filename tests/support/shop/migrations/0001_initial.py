from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    """The shop's only table."""

    initial = True
    dependencies = []
    operations = [
        migrations.CreateModel(
            name="Order",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.TextField(default="")),
            ],
        ),
    ]
