"""Parquet files in a bucket: dumping, logging and syncing. Mirroring is not possible there, as files lose no rows."""

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
        # The tables arrive under sql/shop/. On AWS the last four keys may be left out: the usual environment of
        # AWS's tools holds then.
        "lake": {
            "destination_type": "s3",
            "s3_bucket_name": os.getenv("S3_BUCKET"),
            "endpoint_url": os.getenv("S3_ENDPOINT_URL"),
            "region": os.getenv("S3_REGION"),
            "access_key_id": os.getenv("S3_ACCESS_KEY_ID"),
            "secret_access_key": os.getenv("S3_SECRET_ACCESS_KEY"),
        },
    },
    "tables": [
        {
            # Each snapshot in the directory of its day.
            "table_name": "products",
            "cron": "self-managed",
            "mode": "dumping",
            "partition_col": "migration_snapshot_date",
            "partition_col_format": "datetime",
            "expiry": {"days": 90},
        },
        {
            "table_name": "audit_log",
            "cron": "self-managed",
            "mode": "logging",
            "primary_key": "id",
            "primary_key_datatype": "int",
        },
        {
            "table_name": "sales.orders",
            "cron": "self-managed",
            "mode": "syncing",
            "primary_key": "id",
            "primary_key_datatype": "int",
            "bookmark": "updated_at",
        },
        {
            # A column that comes later is in every file, NULL or filled.
            "table_name": "sales.customers",
            "cron": "self-managed",
            "mode": "syncing",
            "primary_key": "id",
            "primary_key_datatype": "int",
            "bookmark": "updated_at",
            "masking_columns": [("phone", 7)],
            "col_rename": {"born_on": "date_of_birth"},
        },
        {
            # A directory for each kind of event; instants are kept as such.
            "table_name": "events",
            "cron": "self-managed",
            "mode": "syncing",
            "primary_key": ["event_id", "happened_at"],
            "primary_key_datatype": ["uuid", "datetime"],
            "bookmark": "updated_at",
            "partition_col": "kind",
            "partition_col_format": "str",
            "grace_updation_lag": {"minutes": 5},
            "strict": True,
        },
    ],
}
