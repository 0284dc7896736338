"""The bench collection: ten fields, two of them nested, in batches of BSON that differ in nothing but their ids."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import bson
import numpy as np
from bson import ObjectId

BATCH = 10_000
FIELDS = {"amount": "float", "quantity": "int", "is_gift": "bool", "created_at": "datetime", "updated_at": "datetime"}
_START = datetime(2024, 1, 1, tzinfo=UTC)
_ID_OFFSET = len(b"\x00\x00\x00\x00\x07_id\x00")


def document(number: int) -> dict[str, Any]:
    """One document."""
    chance = random.Random(number)
    return {
        "_id": ObjectId(bytes(12)),
        "customer": f"customer {number % 5000}",
        "status": chance.choice(["new", "paid", "sent", None]),
        "amount": number * 1.25,
        "quantity": number % 17,
        "is_gift": number % 3 == 0,
        "created_at": _START + timedelta(seconds=number),
        "updated_at": _START + timedelta(seconds=number * 2),
        "address": {
            "street": f"Main street {number % 99}",
            "city": "Berlin",
            "zip": number % 99_999,
            "geo": {"lat": 52.5 + number / 1e6, "lon": 13.4},
        },
        "items": [{"sku": f"A{number % 100}", "n": number % 5} for _ in range(1 + number % 3)],
    }


def batch(number: int) -> bytes:
    """The batch of this number, from 0 on; ids ascend from batch to batch."""
    data, places = _template()
    array = np.frombuffer(data, np.uint8).copy()
    ids = np.arange(number * BATCH, (number + 1) * BATCH, dtype=">u8").view(np.uint8).reshape(-1, 8)
    array[places[:, None] + np.arange(4)] = np.frombuffer(b"\x65\x00\x00\x00", np.uint8)
    array[places[:, None] + np.arange(4, 12)] = ids
    return array.tobytes()


@cache
def _template() -> tuple[bytes, np.ndarray[Any, np.dtype[np.int64]]]:
    """The documents of a batch, and where the id of each is."""
    raws = [bson.encode(document(number)) for number in range(BATCH)]
    starts = np.cumsum([0, *map(len, raws)])[:-1]
    return b"".join(raws), starts.astype(np.int64) + _ID_OFFSET
