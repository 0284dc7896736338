"""Local servers for notifications: Slack's chat.postMessage with errors and rate limit, and a webhook's receiver."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

TOKEN = "xoxb-1111-kept-for-this-test"
#: What a client may be ahead of the server's own count of a second.
_SLACKNESS = timedelta(milliseconds=20)


@dataclass
class Clock:
    """A clock that only moves when somebody sleeps."""

    now: datetime = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
    slept: list[float] = field(default_factory=list)

    def __call__(self) -> datetime:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += timedelta(seconds=seconds)


@dataclass
class Answer:
    """What a server answers instead of doing its work.

    Attributes:
        first_do_it: Do the work all the same, as a server does whose answer gets lost.
        hang_s: Keep the client waiting, then close the connection without an answer.
    """

    status: int = 200
    body: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    first_do_it: bool = False
    hang_s: float | None = None


def error(code: str) -> Answer:
    """Slack's way to refuse: 200 with an error."""
    return Answer(body=json.dumps({"ok": False, "error": code}))


def too_many(seconds: int) -> Answer:
    return Answer(429, json.dumps({"ok": False, "error": "ratelimited"}), {"Retry-After": str(seconds)})


@dataclass
class Message:
    """What was posted."""

    channel: str
    text: str
    thread_ts: str
    client_msg_id: str
    metadata: dict[str, Any]
    ts: str
    at: datetime


class SlackServer:
    """Speaks chat.postMessage, auth.test and conversations.info.

    Refuses unknown tokens and channels, and more than one message a second in a channel.

    Attributes:
        base_url: For slack_sdk.
        scopes: Of the token.
        messages: What was taken, in order.
        calls: Number of requests, refused ones included.
        instead: Answers to give, one for each request.
        rule: Asked when there are none left; None to do the work.
    """

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self.clock = clock
        self.base_url = ""
        self.channels = {"#data", "#ops"}
        self.scopes = "chat:write,channels:read"
        self.messages: list[Message] = []
        self.calls = 0
        self.instead: list[Answer] = []
        self.rule: Callable[[dict[str, Any]], Answer | None] = lambda _: None
        self._last: dict[str, datetime] = {}
        self._lock = threading.Lock()

    def answer(self, path: str, headers: Any, body: bytes) -> Answer:
        is_json = "json" in (headers.get("Content-Type") or "")
        form = json.loads(body or b"{}") if is_json else {}
        form |= dict(parse_qsl(urlsplit(path).query)) | ({} if is_json else dict(parse_qsl(body.decode())))
        with self._lock:
            self.calls += 1
            answer = self.instead.pop(0) if self.instead else self.rule(form)
            if answer is None:
                return self._take(path, headers, form)
            if answer.first_do_it:
                self._take(path, headers, form)
            return answer

    def texts(self, channel: str = "#data") -> list[str]:
        return [message.text for message in self.messages if message.channel == channel]

    def _take(self, path: str, headers: Any, form: dict[str, Any]) -> Answer:
        method = urlsplit(path).path.removeprefix("/api/")
        if method not in {"chat.postMessage", "auth.test", "conversations.info"}:
            return error("unknown_method")
        if headers.get("Authorization") != f"Bearer {TOKEN}":
            return error("invalid_auth")
        if method == "auth.test":
            who = {"ok": True, "team": "Shop", "user": "dms"}
            return Answer(body=json.dumps(who), headers={"X-OAuth-Scopes": self.scopes})
        channel = form["channel"]
        if method == "conversations.info":
            known = {"ok": True, "channel": {"name": "data", "is_archived": False, "is_member": True}}
            return Answer(body=json.dumps(known)) if channel in self.channels else error("channel_not_found")
        if channel not in self.channels:
            return error("channel_not_found")
        now = self.clock()
        if channel in self._last and now - self._last[channel] < timedelta(seconds=1) - _SLACKNESS:
            return too_many(1)
        self._last[channel] = now
        ts = f"{now.timestamp():.6f}-{len(self.messages)}"
        self.messages.append(
            Message(
                channel,
                form["text"],
                form.get("thread_ts") or "",
                form.get("client_msg_id", ""),
                form.get("metadata", {}),
                ts,
                now,
            )
        )
        return Answer(body=json.dumps({"ok": True, "channel": channel, "ts": ts}))


class Receiver:
    """The other end of a webhook: keeps what it gets.

    Attributes:
        instead: Answers to give, one for each request.
        rule: Asked when there are none left; None to keep what it got.
    """

    def __init__(self) -> None:
        self.url = ""
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.instead: list[Answer] = []
        self.rule: Callable[[], Answer | None] = lambda: None
        self.calls = 0

    def answer(self, path: str, headers: Any, body: bytes) -> Answer:
        self.calls += 1
        answer = self.instead.pop(0) if self.instead else self.rule()
        if answer is not None:
            return answer
        assert path == "/hook?key=in-the-address"
        self.got.append(({name.lower(): value for name, value in headers.items()}, body))
        return Answer(204)

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in self.got]


@contextmanager
def serving(answer: Callable[[str, Any, bytes], Answer]) -> Iterator[str]:
    """Serve on a free loopback port; its address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            said = answer(self.path, self.headers, body)
            if said.hang_s is not None:
                time.sleep(said.hang_s)
                self.close_connection = True
                return
            self.send_response(said.status)
            for name, value in said.headers.items():
                self.send_header(name, value)
            content = said.body.encode()
            self.send_header("Content-Type", "application/json; charset=utf-8")
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class calls it so
            """Stay quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
