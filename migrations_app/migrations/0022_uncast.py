from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("migrations_app", "0021_column_changes"),
    ]

    operations = [
        migrations.AddField(
            model_name="runprogress",
            name="uncast",
            field=models.JSONField(
                default=dict, help_text="Keys of a few rows whose value could not be cast, by the column's name."
            ),
        ),
    ]
