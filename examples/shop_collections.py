"""A MongoDB collection: to a table, and to Parquet files in a bucket. Fields become columns as they come."""

import os

mapping = {
    "source": {
        "source_type": "mongo",
        "url": os.getenv("MONGO_URL"),
        "db_name": "shop",
    },
    "destination": {
        "warehouse": {
            "destination_type": "pgsql",
            "url": os.getenv("DEST_URL"),
            "db_name": "warehouse",
            "username": os.getenv("DEST_USERNAME"),
            "password": os.getenv("DEST_PASSWORD"),
        },
        # The collection arrives under mongo/shop/.
        "lake": {
            "destination_type": "s3",
            "s3_bucket_name": os.getenv("S3_BUCKET"),
            "endpoint_url": os.getenv("S3_ENDPOINT_URL"),
            "region": os.getenv("S3_REGION"),
            "access_key_id": os.getenv("S3_ACCESS_KEY_ID"),
            "secret_access_key": os.getenv("S3_SECRET_ACCESS_KEY"),
        },
    },
    "collections": [
        {
            "collection_name": "reviews",
            "cron": "self-managed",
            "mode": "syncing",
            "bookmark": "updated_at",
            # All other fields arrive as text, documents and lists as JSON.
            "fields": {
                "number": "int",
                "product": "int",
                "stars": "int",
                "is_verified": "bool",
                "written_at": "datetime",
                "updated_at": "datetime",
            },
        },
    ],
}
