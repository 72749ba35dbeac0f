from __future__ import annotations

from typing import Any

import django.db.models.deletion
import django.utils.timezone
from django.contrib.postgres.fields import ArrayField
from django.db import migrations, models

from adjourn.contrib.django.operations import ApplySchema
from adjourn.contrib.django.tables import table


def id_field() -> tuple[str, Any]:
    return "id", models.BigAutoField(primary_key=True, serialize=False)


def reference(name: str, model: str, **options: Any) -> tuple[str, Any]:
    return name, models.ForeignKey(
        model, db_constraint=False, on_delete=django.db.models.deletion.DO_NOTHING, **options
    )


def options(name: str, plural: str, table_name: str, latest: str, permissions: tuple[str, ...]) -> dict[str, Any]:
    return {
        "managed": False,
        "db_table": table(table_name),
        "base_manager_name": "objects",
        "default_permissions": permissions,
        "get_latest_by": latest,
        "verbose_name": name,
        "verbose_name_plural": plural,
    }


class Migration(migrations.Migration):
    """The schema of the first release, and the models that show it."""

    initial = True
    operations = [
        ApplySchema(version=1),
        migrations.CreateModel(
            name="Worker",
            fields=[
                id_field(),
                ("name", models.TextField()),
                ("queues", ArrayField(models.TextField(), null=True)),
                ("started_at", models.DateTimeField(default=django.utils.timezone.now)),
                (
                    "last_heartbeat",
                    models.DateTimeField(db_column="last_heartbeat_at", default=django.utils.timezone.now),
                ),
                ("expires_at", models.DateTimeField()),
                ("dead", models.BooleanField(default=False)),
                ("details", models.JSONField(null=True)),
            ],
            options=options("worker", "workers", "workers", "id", ("view",)),
        ),
        migrations.CreateModel(
            name="Job",
            fields=[
                id_field(),
                ("queue_name", models.TextField(db_column="queue", default="default")),
                ("task_name", models.TextField()),
                ("priority", models.IntegerField(default=0)),
                ("lock", models.TextField(null=True)),
                ("queueing_lock", models.TextField(null=True)),
                ("args", models.JSONField(default=dict)),
                ("status", models.CharField(default="todo", max_length=32)),
                ("waits_for", models.CharField(editable=False, max_length=32, null=True)),
                ("scheduled_at", models.DateTimeField(null=True)),
                ("enqueued_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("started_at", models.DateTimeField(null=True)),
                ("finished_at", models.DateTimeField(null=True)),
                ("attempts", models.IntegerField(default=0)),
                ("abort_requested", models.BooleanField(default=False)),
                ("errors", models.JSONField(null=True)),
                ("headers", models.JSONField(null=True)),
                ("result", models.JSONField(null=True)),
                ("result_expires_at", models.DateTimeField(null=True)),
                ("expires_at", models.DateTimeField(null=True)),
                ("max_attempts", models.IntegerField(null=True)),
                ("progress", models.JSONField(null=True)),
                ("reason", models.TextField(null=True)),
                ("workflow_id", models.BigIntegerField(null=True)),
                ("is_live", models.BooleanField(default=True, editable=False)),
                ("claim", models.IntegerField(default=0, editable=False)),
                reference("worker", "adjourn.worker", null=True, related_name="jobs"),
            ],
            options=options("job", "jobs", "all_jobs", "id", ("view", "change", "delete")),
        ),
        migrations.CreateModel(
            name="Event",
            fields=[
                id_field(),
                reference("job", "adjourn.job", related_name="events"),
                ("type", models.CharField(max_length=32)),
                ("at", models.DateTimeField()),
            ],
            options=options("event", "events", "events", "at", ("view",)),
        ),
        migrations.CreateModel(
            name="Schedule",
            fields=[
                id_field(),
                ("task_name", models.TextField()),
                ("periodic_id", models.TextField(default="")),
                ("cron", models.TextField()),
                ("timezone", models.TextField(default="UTC")),
                ("last_tick", models.DateTimeField()),
                ("next_tick", models.DateTimeField(null=True)),
                reference("last_job", "adjourn.job", null=True, related_name="+"),
                ("seen_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("paused_at", models.DateTimeField(null=True)),
                ("pause_ends_at", models.DateTimeField(null=True)),
                ("paused_by", models.TextField(null=True)),
                ("pause_reason", models.TextField(null=True)),
            ],
            options=options("schedule", "schedules", "schedules", "last_tick", ("view", "change")),
        ),
    ]
