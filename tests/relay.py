"""A relay in front of a server that speaks any protocol over TCP: its connections can be cut, or held up."""

from __future__ import annotations

import contextlib
import functools
import selectors
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_BLOCK = 65536
_POLL_S = 0.05


@functools.cache
def _bound() -> socket.socket:
    bound = socket.socket()
    bound.bind(("127.0.0.1", 0))
    return bound


def closed_port() -> int:
    """A port at which nobody listens, nor will: it is bound until this process ends, so that no server takes it."""
    return int(_bound().getsockname()[1])


class Relay:
    """Passes everything on between whoever connects to `port` and a server.

    Args:
        host: The server's.
        port: The server's.
        tls: For those who connect, when they have to do so by TLS.
    """

    def __init__(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self._server = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self._lock = threading.Lock()
        self._is_over = threading.Event()
        self._is_held = threading.Event()
        self._held_marker = b""
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, name="relay", daemon=True).start()

    def hold(self, marker: bytes) -> None:
        """Pass no more answers on once a request holds these bytes."""
        self._held_marker = marker

    def release(self) -> None:
        """Pass on what was held up, and all that follows."""
        self._held_marker = b""
        self._is_held.clear()

    def cut(self) -> None:
        """End every connection, and take no more."""
        self._is_over.set()
        # A close alone leaves the thread that waits for connections with one more.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            ends, self._open = self._open, []
        for end in ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while not self._is_over.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                if self._tls is not None:
                    client = self._tls.wrap_socket(client, server_side=True)
                server = socket.create_connection(self._server)
            except OSError:
                client.close()
                continue
            with self._lock:
                self._open += [client, server]
            threading.Thread(target=self._pass_on, args=(client, server), name="relayed", daemon=True).start()

    def _pass_on(self, client: socket.socket, server: socket.socket) -> None:
        """Both ways, until one end has closed."""
        with client, server, selectors.DefaultSelector() as selector, contextlib.suppress(OSError):
            selector.register(client, selectors.EVENT_READ, server)
            selector.register(server, selectors.EVENT_READ, client)
            while not self._is_over.is_set():
                for key, _ in selector.select(_POLL_S):
                    if key.data is client and self._is_held.is_set():
                        self._is_over.wait(_POLL_S)
                        continue
                    block = _received(key.fileobj)  # type: ignore[arg-type]  # both are sockets
                    if not block:
                        return
                    if key.data is server and self._held_marker and self._held_marker in block:
                        self._is_held.set()
                    key.data.sendall(block)


def _received(end: socket.socket) -> bytes:
    """What is there; of TLS all that was decrypted, as nobody is told of that again."""
    block = end.recv(_BLOCK)
    while isinstance(end, ssl.SSLSocket) and end.pending():
        block += end.recv(_BLOCK)
    return block


@contextmanager
def run_relay(host: str, port: int, tls: ssl.SSLContext | None = None) -> Iterator[Relay]:
    """A relay until the end of the block."""
    relay = Relay(host, port, tls)
    try:
        yield relay
    finally:
        relay.cut()
