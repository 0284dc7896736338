"""A server that answers as MongoDB does, with the bench collection from memory: its time is next to nothing.

It knows no filter: whoever asks for ObjectIds from the lowest on, or for everything, gets the whole collection, and
nobody else gets a document. `python -m benchmarks.replay DOCUMENTS` prints its port.

Source: https://www.mongodb.com/docs/manual/reference/mongodb-wire-protocol/
"""

from __future__ import annotations

import itertools
import socket
import socketserver
import struct
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import bson
from bson import Int64, ObjectId

from benchmarks.documents import BATCH, batch

DATABASE, COLLECTION = "bench", "events"
_HEADER = struct.Struct("<iiii")
_QUERY, _REPLY, _MESSAGE = 2004, 1, 2013
_NAMESPACE = f"{DATABASE}.{COLLECTION}"
_LOWEST = ObjectId("0" * 24)
_HELLO = {
    "ismaster": True,
    "isWritablePrimary": True,
    "maxBsonObjectSize": 16 * 1024 * 1024,
    "maxMessageSizeBytes": 48_000_000,
    "maxWriteBatchSize": 100_000,
    "minWireVersion": 0,
    "maxWireVersion": 21,
    "ok": 1.0,
}


class Answering(socketserver.BaseRequestHandler):
    """One connection."""

    server: Replay

    def setup(self) -> None:
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._numbers = itertools.count(1)
        self._cursor: Iterator[bytes] = iter(())

    def handle(self) -> None:
        while header := self._received(_HEADER.size):
            length, request, _, operation = _HEADER.unpack(header)
            body = self._received(length - _HEADER.size)
            if operation == _QUERY:
                self._reply(request, struct.pack("<iqii", 8, 0, 0, 1) + bson.encode(self._hello()), _REPLY)
            elif operation == _MESSAGE:
                command = bson.decode(body[5 : 5 + struct.unpack_from("<i", body, 5)[0]])
                self._reply(request, struct.pack("<iB", 0, 0) + self._answer(command), _MESSAGE)

    def _answer(self, command: dict[str, Any]) -> bytes:
        name = next(iter(command))
        if name == "find":
            return self._found(command)
        if name == "getMore":
            return self._page("nextBatch")
        listed = [{"name": COLLECTION, "type": "collection", "options": {}, "info": {}}]
        answers: dict[str, dict[str, Any]] = {
            "listCollections": {
                "cursor": {"id": Int64(0), "ns": f"{DATABASE}.$cmd.listCollections", "firstBatch": listed}
            },
            "count": {"n": self.server.documents},
        }
        return bson.encode(self._hello() | answers.get(name, {}))

    def _found(self, command: dict[str, Any]) -> bytes:
        asked = command.get("filter") or {}
        is_whole = not asked or asked == {"_id": {"$gte": _LOWEST}}
        if not is_whole:
            self._cursor = iter(())
        elif command.get("limit"):
            self._cursor = iter([batch(0)])
        else:
            self._cursor = map(batch, range(-(-self.server.documents // BATCH)))
        return self._page("firstBatch")

    def _page(self, word: str) -> bytes:
        """A page of the cursor, put together from bytes: encoding would cost what the benchmark is not about."""
        documents = next(self._cursor, b"")
        found, place, number = [], 0, 0
        if documents:
            read = struct.Struct("<i").unpack_from
            while place < len(documents):
                (length,) = read(documents, place)
                found.append(b"\x03%d\x00" % number + documents[place : place + length])
                place += length
                number += 1
        array = b"".join(found)
        array = struct.pack("<i", len(array) + 5) + array + b"\x00"
        head = bson.encode({"id": Int64(1 if documents else 0), "ns": _NAMESPACE})[4:-1]
        cursor = head + b"\x04" + word.encode() + b"\x00" + array
        cursor = struct.pack("<i", len(cursor) + 5) + cursor + b"\x00"
        body = b"\x03cursor\x00" + cursor + bson.encode({"ok": 1.0})[4:-1]
        return struct.pack("<i", len(body) + 5) + body + b"\x00"

    @staticmethod
    def _hello() -> dict[str, Any]:
        return _HELLO | {"localTime": datetime.now(UTC), "version": "7.0.0"}

    def _reply(self, request: int, body: bytes, operation: int) -> None:
        self.request.sendall(_HEADER.pack(len(body) + _HEADER.size, next(self._numbers), request, operation) + body)

    def _received(self, size: int) -> bytes:
        parts = []
        while size and (part := self.request.recv(size)):
            parts.append(part)
            size -= len(part)
        return b"".join(parts)


class Replay(socketserver.ThreadingTCPServer):
    """The server.

    Args:
        documents: In the collection; whole batches of them.
    """

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, documents: int) -> None:
        self.documents = documents
        super().__init__(("127.0.0.1", 0), Answering)


if __name__ == "__main__":
    with Replay(int(sys.argv[1])) as replay:
        sys.stdout.write(f"{replay.server_address[1]}\n")
        sys.stdout.flush()
        replay.serve_forever()
