from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("migrations_app", "0019_saved_filters"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="run",
            index=models.Index(
                fields=("stream", "finished_at", "state", "started_at", "inserted", "updated", "deleted"),
                condition=models.Q(finished_at__isnull=False),
                name="run_stream_history",
            ),
        ),
    ]
