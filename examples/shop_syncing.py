"""Syncing: new and changed rows arrive; what is deleted at the source stays at the destination."""

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
        # Without a schema the tables arrive in "sql_shop_dms".
        "warehouse": {
            "destination_type": "pgsql",
            "url": os.getenv("DEST_URL"),
            "db_name": "warehouse",
            "username": os.getenv("DEST_USERNAME"),
            "password": os.getenv("DEST_PASSWORD"),
        },
    },
    "tables": [
        {
            "table_name": "sales.orders",
            "cron": "self-managed",
            "mode": "syncing",
            "primary_key": "id",
            "primary_key_datatype": "int",
            "bookmark": "updated_at",
        },
        {
            # A partitioned table with random keys, into monthly partitions, json kept as json.
            "table_name": "events",
            "cron": "self-managed",
            "mode": "syncing",
            "primary_key": ["event_id", "happened_at"],
            "primary_key_datatype": ["uuid", "datetime"],
            "bookmark": "updated_at",
            "partition_col": "happened_at",
            "partition_col_format": "datetime",
            "grace_updation_lag": {"minutes": 5},
            "strict": True,
        },
    ],
}
