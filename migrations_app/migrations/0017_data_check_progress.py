from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("migrations_app", "0016_seal_second_factors"),
    ]

    operations = [
        migrations.AddField(
            model_name="datacheck",
            name="progress",
            field=models.JSONField(blank=True, default=dict),
        ),
        migrations.AddField(
            model_name="datacheck",
            name="heard_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="datacheck",
            name="stop_requested",
            field=models.BooleanField(default=False),
        ),
        migrations.AddField(
            model_name="datacheck",
            name="stop_requested_by",
            field=models.CharField(blank=True, max_length=150),
        ),
    ]
