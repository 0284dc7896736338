"""Settings of the service: python manage.py import_settings examples/settings.py."""

import os

settings = {
    "fastapi_server": False,
    "timezone": "Europe/Berlin",
    "notify": False,
    # Where each stream has got to.
    "encryption_store": {
        "url": os.getenv("ENCRYPTION_STORE_URL"),
        "db_name": "dms_state",
        "collection_name": "streams",
    },
    # What each run did.
    "dashboard_store": {
        "url": os.getenv("DASHBOARD_STORE_URL"),
        "db_name": "dms_history",
        "collection_name": "runs",
    },
}
