import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("migrations_app", "0011_roles"),
    ]

    operations = [
        migrations.CreateModel(
            name="DataCheck",
            fields=[
                (
                    "stream",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="data_check",
                        serialize=False,
                        to="migrations_app.stream",
                    ),
                ),
                ("requested_by", models.CharField(blank=True, max_length=150)),
                ("asked_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("finished_at", models.DateTimeField(blank=True, null=True)),
                ("verdict", models.CharField(blank=True, max_length=20)),
                ("result", models.JSONField(blank=True, default=dict)),
                ("owner_host", models.CharField(blank=True, max_length=255)),
                ("owner_boot_id", models.CharField(blank=True, max_length=64)),
                ("owner_pid", models.IntegerField(blank=True, null=True)),
                ("owner_started", models.CharField(blank=True, max_length=64)),
            ],
        ),
    ]
