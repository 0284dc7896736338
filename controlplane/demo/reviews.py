"""The shop's reviews, a MongoDB collection: its documents, and a day of changes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from pymongo.collection import Collection

from controlplane.demo.place import SHOP, Place

NAME = "reviews"
_FEWEST = 100
_NEW = 20
_COUNTRIES = ("de", "in", "us", None)
#: Some stars came from a form that sent texts.
_STARS: tuple[Any, ...] = (5, 4, 3, "2", 1, 5.0, "many")


def load(place: Place, rows: int) -> int:
    """Make the collection for a shop of so many rows and return how many documents it has."""
    count = max(_FEWEST, rows // 100)
    with _collection(place) as collection:
        collection.insert_many([_review(number, datetime.now(UTC) - timedelta(days=9)) for number in range(count)])
    return count


def change(place: Place) -> None:
    """Let a day pass: reviews come, and some get an answer, a field that none had."""
    now = datetime.now(UTC)
    with _collection(place) as collection:
        # Whole documents: $set makes dates texts at the demo's server.
        for found in list(collection.find({"number": {"$mod": [20, 0]}})):
            answer = {"by": "shop", "text": "Thank you!", "at": now}
            collection.replace_one({"_id": found["_id"]}, found | {"answer": answer, "updated_at": now})
        count = collection.estimated_document_count()
        collection.insert_many([_review(count + number, now) for number in range(_NEW)])


def _review(number: int, moment: datetime) -> dict[str, Any]:
    return {
        "number": number,
        "product": number % 40 + 1,
        "stars": _STARS[number % len(_STARS)],
        "title": f'Review "{number}"',
        "author": {"name": f"Reader {number % 17}", "country": _COUNTRIES[number % len(_COUNTRIES)]},
        "tags": ["good", "fast", "small"][: number % 4],
        "is_verified": number % 3 == 0,
        "written_at": moment,
        "updated_at": moment,
    }


@contextmanager
def _collection(place: Place) -> Iterator[Collection[dict[str, Any]]]:
    client: Any = place.mongo.client()
    try:
        yield client[SHOP][NAME]
    finally:
        client.close()
