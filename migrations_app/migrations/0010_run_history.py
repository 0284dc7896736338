from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("migrations_app", "0009_run_progress"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="run",
            index=models.Index(
                condition=models.Q(("finished_at__isnull", False)),
                fields=["state", "finished_at", "inserted", "updated", "deleted", "byte_count"],
                name="run_history",
            ),
        ),
        migrations.AddIndex(
            model_name="run",
            index=models.Index(fields=["stream", "-created_at"], name="run_of_stream"),
        ),
    ]
