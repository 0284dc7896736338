import django.db.models.deletion
from django.db import migrations, models

import migrations_app.enums


class Migration(migrations.Migration):
    dependencies = [
        ("migrations_app", "0004_notifications"),
    ]

    operations = [
        migrations.CreateModel(
            name="StreamTotals",
            fields=[
                (
                    "stream",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="totals",
                        serialize=False,
                        to="migrations_app.stream",
                    ),
                ),
                ("succeeded", models.BigIntegerField(default=0)),
                ("failed", models.BigIntegerField(default=0)),
                ("stopped", models.BigIntegerField(default=0)),
                ("lost", models.BigIntegerField(default=0)),
                ("read", models.BigIntegerField(default=0)),
                ("inserted", models.BigIntegerField(default=0)),
                ("updated", models.BigIntegerField(default=0)),
                ("deleted", models.BigIntegerField(default=0)),
                ("byte_count", models.BigIntegerField(default=0)),
                ("seconds", models.FloatField(default=0.0)),
                (
                    "failures_in_row",
                    models.PositiveIntegerField(default=0, help_text="Failed or lost since the last success."),
                ),
                ("last_state", models.CharField(blank=True, choices=migrations_app.enums.run_states, max_length=20)),
                ("last_seconds", models.FloatField(blank=True, null=True)),
                ("last_finished_at", models.DateTimeField(blank=True, null=True)),
                ("last_success_at", models.DateTimeField(blank=True, null=True)),
            ],
            options={
                "verbose_name_plural": "stream totals",
            },
        ),
    ]
