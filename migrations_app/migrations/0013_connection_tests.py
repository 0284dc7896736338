"""Remember the last test of a connection."""

from __future__ import annotations

from typing import Any

from django.db import migrations, models


def _last_test(model_name: str) -> Any:
    return migrations.AddField(
        model_name=model_name,
        name="last_test",
        field=models.JSONField(
            editable=False,
            help_text="When the connection was last tested as it is now, and how that ended.",
            null=True,
        ),
    )


class Migration(migrations.Migration):
    dependencies = (("migrations_app", "0012_data_check"),)

    operations = (
        _last_test("source"),
        _last_test("destination"),
    )
