import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("migrations_app", "0020_history_of_mappings"),
    ]

    operations = [
        migrations.CreateModel(
            name="ColumnChange",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("mark", models.CharField(max_length=64)),
                ("at", models.DateTimeField()),
                ("words", models.TextField()),
                ("is_refused", models.BooleanField(default=False)),
                ("seen_at", models.DateTimeField(blank=True, null=True)),
                ("seen_by", models.CharField(blank=True, max_length=150)),
                (
                    "run",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="column_changes",
                        to="migrations_app.run",
                    ),
                ),
                (
                    "stream",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="column_changes",
                        to="migrations_app.stream",
                    ),
                ),
            ],
            options={
                "ordering": ("-at", "-pk"),
                "indexes": [
                    models.Index(
                        condition=models.Q(("seen_at__isnull", True)),
                        fields=["-at"],
                        name="column_change_unseen",
                    )
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("stream", "mark"), name="column_change_once"),
                ],
            },
        ),
    ]
