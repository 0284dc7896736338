"""A proxy in front of the S3 server that mistreats chosen requests, and keeps a record of all.

It passes the head of a request on as the client signed it, the `Host` header included, so that signatures hold.
Nothing is simulated but the fault: what is passed on, the real server answers. Bodies in chunks are not
understood; clients send them over TLS only.
"""

from __future__ import annotations

import http.client
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from email.message import Message
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

from controlplane.sandbox import S3Server
from controlplane.sandbox.process import LOOPBACK

_BLOCK = 1 << 16
_SERVER_TIMEOUT_S = 60
_HELD_AT_MOST_S = 120
# What belongs to one connection, and is not signed. The proxy has sent "100 Continue" by itself.
_NOT_PASSED_ON = {"connection", "keep-alive", "expect"}
# By method, whether there is a key, and the parameter that makes the difference; the first that fits.
_OPERATIONS = (
    ("GET", False, "uploads", "ListMultipartUploads"),
    ("GET", False, "list-type", "ListObjectsV2"),
    ("GET", False, "location", "GetBucketLocation"),
    ("GET", False, "", "ListObjects"),
    ("GET", True, "uploadId", "ListParts"),
    ("GET", True, "", "GetObject"),
    ("HEAD", False, "", "HeadBucket"),
    ("HEAD", True, "", "HeadObject"),
    ("PUT", False, "", "CreateBucket"),
    ("PUT", True, "partNumber", "UploadPart"),
    ("PUT", True, "", "PutObject"),
    ("POST", False, "delete", "DeleteObjects"),
    ("POST", True, "uploads", "CreateMultipartUpload"),
    ("POST", True, "uploadId", "CompleteMultipartUpload"),
    ("DELETE", False, "", "DeleteBucket"),
    ("DELETE", True, "uploadId", "AbortMultipartUpload"),
    ("DELETE", True, "", "DeleteObject"),
)


class How(StrEnum):
    """What happens to a request."""

    ANSWER = "answer an error, and pass nothing on"
    DROP_ANSWER = "pass it on, and close the connection instead of answering: done, and nobody knows"
    HANG = "pass it on, and answer nothing until the fault is released; then close the connection"
    HOLD = "pass nothing on until the fault is released; then treat it as usual"
    CUT_REQUEST = "pass half of its body on, and close both connections"
    CUT_ANSWER = "pass it on, and close the connection after half of the answer's body"


@dataclass(frozen=True)
class Request:
    """A request as it arrived.

    Attributes:
        operation: The name that boto3's documents have for it: `PutObject`, `ListObjectsV2`, ...
        bucket: Empty for one that names none.
        key: Decoded; empty for a request about a bucket.
        query: The parameters of the URL.
        headers: In lower case.
    """

    operation: str
    bucket: str
    key: str
    query: dict[str, str]
    headers: dict[str, str] = field(repr=False)


@dataclass(eq=False)
class Fault:
    """What to do with the requests that fit.

    Attributes:
        how: What happens to them.
        operation: Which operation; every one when empty.
        key: A regular expression that is searched in the key.
        times: How many requests it meets; None for all.
        skip: How many that fit are left alone first.
        status: The status of `How.ANSWER`. 200 with a code is what S3 does when completing an upload fails late.
        code: The error code of `How.ANSWER`.
    """

    how: How
    operation: str = ""
    key: str = ""
    times: int | None = 1
    skip: int = 0
    status: int = 500
    code: str = "InternalError"
    met: int = 0
    _seen: int = 0
    _arrived: threading.Event = field(default_factory=threading.Event, repr=False)
    _released: threading.Event = field(default_factory=threading.Event, repr=False)

    def takes(self, request: Request) -> bool:
        """Tell whether this request is one to mistreat, and count it."""
        if self.operation not in {"", request.operation} or not re.search(self.key, request.key):
            return False
        self._seen += 1
        if self._seen <= self.skip or (self.times is not None and self.met >= self.times):
            return False
        self.met += 1
        return True

    def arrived(self, timeout_s: float = 20) -> bool:
        """Wait until a request has been met; when it is passed on, until the server has answered."""
        return self._arrived.wait(timeout_s)

    def release(self) -> None:
        """Let go of the requests that hang or are held, and of those to come."""
        self._released.set()

    def hold(self) -> None:
        """Keep the caller until `release`."""
        self._arrived.set()
        self._released.wait(_HELD_AT_MOST_S)

    def note_arrival(self) -> None:
        """Let those go on who wait in `arrived`."""
        self._arrived.set()


class S3Proxy:
    """The proxy while it runs.

    Attributes:
        server: The store as seen through the proxy: give this to what is under test.
        requests: All that arrived, in this order.
    """

    def __init__(self, behind: S3Server) -> None:
        self._listener = _Listener((LOOPBACK, 0), _Handler)
        self._listener.proxy = self
        self.behind = urlsplit(behind.endpoint_url)
        self.server = replace(behind, endpoint_url=f"http://{LOOPBACK}:{self._listener.server_address[1]}")
        self.requests: list[Request] = []
        self._faults: list[Fault] = []
        self._lock = threading.Lock()
        self._is_quiet = threading.Condition(self._lock)
        self._under_way = 0
        self._thread = threading.Thread(target=self._listener.serve_forever, args=[0.05], daemon=True)
        self._thread.start()

    def add(self, fault: Fault) -> Fault:
        """Mistreat the requests that fit from now on. The fault that was added first has the first choice."""
        with self._lock:
            self._faults.append(fault)
        return fault

    def clear(self) -> None:
        """Mistreat no more requests, and release those that wait."""
        with self._lock:
            for fault in self._faults:
                fault.release()
            self._faults.clear()

    def seen(self, operation: str = "", key: str = "") -> list[Request]:
        """Return the requests of an operation whose key matches a regular expression."""
        with self._lock:
            arrived = list(self.requests)
        return [each for each in arrived if operation in {"", each.operation} and re.search(key, each.key)]

    def record(self, request: Request) -> Fault | None:
        """Keep a request and say what is to happen to it."""
        with self._lock:
            self.requests.append(request)
            self._under_way += 1
            return next((fault for fault in self._faults if fault.takes(request)), None)

    def note_end(self) -> None:
        """A request that was recorded is over: nothing of it reaches the server any more."""
        with self._lock:
            self._under_way -= 1
            self._is_quiet.notify_all()

    def wait_until_quiet(self, timeout_s: float = 30) -> None:
        """Wait until all requests that arrived are over, those too that their client has given up long ago."""
        with self._lock:
            assert self._is_quiet.wait_for(lambda: not self._under_way, timeout_s), "requests are still under way"

    def wait_until_left(self, timeout_s: float = 30) -> None:
        """Wait until all that a process which has ended sent is over."""
        deadline = time.monotonic() + timeout_s
        while self._listener.has_connections:
            assert time.monotonic() < deadline, "connections are still open"
            time.sleep(0.02)

    def close(self) -> None:
        """Release what waits, close every connection, and stop listening."""
        self.clear()
        self._listener.shutdown()
        self._listener.close_connections()
        self._listener.server_close()
        self._thread.join()


@contextmanager
def run_proxy(server: S3Server) -> Iterator[S3Proxy]:
    """Run a proxy in front of a server that speaks plain HTTP."""
    proxy = S3Proxy(server)
    try:
        yield proxy
    finally:
        proxy.close()


class _Listener(ThreadingHTTPServer):
    # Many threads of one client connect at once.
    request_queue_size = 64
    daemon_threads = False
    proxy: S3Proxy

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(address, handler)
        self._open: set[socket.socket] = set()

    def process_request(self, request: socket.socket, client_address: object) -> None:  # type: ignore[override]
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: socket.socket) -> None:  # type: ignore[override]
        self._open.discard(request)
        super().shutdown_request(request)

    @property
    def has_connections(self) -> bool:
        return bool(self._open)

    def close_connections(self) -> None:
        for connection in list(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Listener

    def _handle(self) -> None:
        fault = self.server.proxy.record(_request(self.command, self.path, self.headers))
        try:
            self._treat(fault)
        except (OSError, http.client.HTTPException):
            # The client or the server has left in the middle, which tests do on purpose.
            self.close_connection = True
        finally:
            if fault is not None:
                fault.note_arrival()
            self.server.proxy.note_end()

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _handle  # noqa: N815 - the names are given

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is given
        """Say nothing; the proxy keeps a record."""

    def _treat(self, fault: Fault | None) -> None:
        how = None if fault is None else fault.how
        if fault is not None and how is How.ANSWER:
            self._answer_error(fault)
            return
        if fault is not None and how is How.HOLD:
            fault.hold()
        behind = self.server.proxy.behind
        upstream = http.client.HTTPConnection(behind.hostname or "", behind.port, timeout=_SERVER_TIMEOUT_S)
        try:
            if not self._pass_on(upstream, half=how is How.CUT_REQUEST):
                self.close_connection = True
                return
            answer = upstream.getresponse()
            if fault is not None and how in {How.HANG, How.DROP_ANSWER}:
                if how is How.HANG:
                    fault.hold()
                self.close_connection = True
                return
            self._pass_back(answer, half=how is How.CUT_ANSWER)
        finally:
            upstream.close()

    def _answer_error(self, fault: Fault) -> None:
        for _ in self._body():
            pass
        text = f"<Error><Code>{fault.code}</Code><Message>A fault of the test.</Message></Error>".encode()
        self.send_response(fault.status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    def _pass_on(self, upstream: http.client.HTTPConnection, *, half: bool) -> bool:
        """Send the request to the server. False when it was cut."""
        upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() not in _NOT_PASSED_ON:
                upstream.putheader(name, value)
        upstream.endheaders()
        allowed = int(self.headers.get("Content-Length", 0)) // 2
        for block in self._body():
            upstream.send(block[:allowed] if half else block)
            allowed -= len(block)
            if half and allowed <= 0:
                break
        return not half

    def _body(self) -> Iterator[bytes]:
        left = int(self.headers.get("Content-Length", 0))
        while left:
            block = self.rfile.read(min(left, _BLOCK))
            if not block:
                raise ConnectionResetError
            left -= len(block)
            yield block

    def _pass_back(self, answer: http.client.HTTPResponse, *, half: bool) -> None:
        # Of a HEAD too, as the header says; http.client has no body for it.
        length = answer.headers.get("Content-Length")
        body = b"" if self.command == "HEAD" else None
        if length is None and answer.status not in {204, 304}:
            # Only XML comes without a length, and that is short.
            body = answer.read()
            length = str(len(body))
        self.send_response_only(answer.status, answer.reason)
        for name, value in answer.headers.items():
            if name.lower() not in {"connection", "content-length", "transfer-encoding"}:
                self.send_header(name, value)
        if length is not None:
            self.send_header("Content-Length", length)
        self.end_headers()
        left = int(length or 0) // 2 if half else int(length or 0)
        if body is not None:
            self.wfile.write(body[:left])
        else:
            while left and (block := answer.read(min(left, _BLOCK))):
                left -= len(block)
                self.wfile.write(block)
        self.close_connection = self.close_connection or half


def _request(method: str, path: str, headers: Message) -> Request:
    url = urlsplit(path)
    bucket, _, key = unquote(url.path).lstrip("/").partition("/")
    query = {name: values[0] for name, values in parse_qs(url.query, keep_blank_values=True).items()}
    return Request(
        operation=_operation(method, bucket, key, query),
        bucket=bucket,
        key=key,
        query=query,
        headers={name.lower(): value for name, value in headers.items()},
    )


def _operation(method: str, bucket: str, key: str, query: dict[str, str]) -> str:
    if not bucket:
        return "ListBuckets"
    for verb, has_key, parameter, name in _OPERATIONS:
        if verb == method and has_key == bool(key) and (not parameter or parameter in query):
            return name
    return method
