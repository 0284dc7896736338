"""Mirroring: the destination becomes what the source is, deletions included."""

import os

mapping = {
    "source": {
        "source_type": "pgsql",
        "url": os.getenv("SOURCE_URL"),
        "db_name": "shop",
        "username": os.getenv("SOURCE_USERNAME"),
        "password": os.getenv("SOURCE_PASSWORD"),
    },
    "destination": {
        "warehouse": {
            "destination_type": "pgsql",
            "url": os.getenv("DEST_URL"),
            "db_name": "warehouse",
            "username": os.getenv("DEST_USERNAME"),
            "password": os.getenv("DEST_PASSWORD"),
            "schema": "mirror",
        },
    },
    "tables": [
        {
            # The last seven characters of a phone number are hidden, and a column gets a clearer name.
            "table_name": "sales.customers",
            "cron": "self-managed",
            "mode": "mirroring",
            "primary_key": "id",
            "primary_key_datatype": "int",
            "bookmark": "updated_at",
            "masking_columns": [("phone", 7)],
            "col_rename": {"born_on": "date_of_birth"},
        },
        {
            # A key of two columns.
            "table_name": "sales.order_items",
            "cron": "self-managed",
            "mode": "mirroring",
            "primary_key": ["order_id", "line_no"],
            "primary_key_datatype": "int",
            "bookmark": "updated_at",
        },
        {
            # Every kind of type, each kept as it is.
            "table_name": "wide_types",
            "cron": "self-managed",
            "mode": "mirroring",
            "primary_key": "id",
            "primary_key_datatype": "uuid",
            "bookmark": "updated_at",
            "strict": True,
        },
    ],
}
