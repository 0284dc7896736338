"""The service, as the client asks it: patient with a busy server, and never sending the token anywhere else."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any
from urllib.parse import urlencode, urlsplit

_TIMEOUT_S = 60
_ATTEMPTS = 6
_PAUSE_S = 2.0
_LONGEST_PAUSE_S = 60.0
#: Answers after which the same request may succeed.
_BUSY = frozenset({429, 502, 503, 504})
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class ExitCode(IntEnum):
    """What the client's exit code says: the same as that of `manage.py run_migration`."""

    DONE = 0
    FAILED = 1
    DOCUMENT_WRONG = 2
    ALREADY_RUNNING = 3
    STOPPED = 4


class Refused(Exception):
    """It cannot be done; the lines say why.

    Args:
        lines: For people.
        code: What the process ends with.
    """

    def __init__(self, lines: list[str], code: ExitCode) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines
        self.code = code


@dataclass(frozen=True, slots=True)
class Content:
    """The body of a request."""

    media_type: str
    data: bytes

    @classmethod
    def of(cls, document: Any) -> Content:
        """A document as JSON."""
        return cls("application/json", json.dumps(document).encode())


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Whoever answers with another address does not get the token there."""

    def redirect_request(self, *_arguments: Any, **_more: Any) -> None:
        """Follow none."""


class Server:
    """One service.

    Args:
        url: Where it is, such as https://dms.example.org.
        token: Made by `manage.py create_token`.
        plain_http: Send the token without TLS to other hosts than this one.

    Raises:
        Refused: The address or token is none.
    """

    def __init__(self, url: str, token: str, *, plain_http: bool = False) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise Refused(["DMS_URL has to be an address such as https://dms.example.org"], ExitCode.DOCUMENT_WRONG)
        if parts.scheme == "http" and parts.hostname not in _LOOPBACK and not plain_http:
            lines = ["DMS_URL is plain HTTP, and the token could be read on its way; use https, or --plain-http"]
            raise Refused(lines, ExitCode.DOCUMENT_WRONG)
        if not token.strip():
            lines = ["DMS_TOKEN is not set; make a token with `manage.py create_token NAME`"]
            raise Refused(lines, ExitCode.DOCUMENT_WRONG)
        self._base = f"{url.rstrip('/')}/api/v1"
        self._token = token.strip()
        self._opener = urllib.request.build_opener(_NoRedirects)

    def ask(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        content: Content | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """Send a request and return what is answered, as JSON says it.

        Raises:
            Refused: The service says no, or cannot be reached.
        """
        wanted = urlencode({key: value for key, value in (query or {}).items() if value is not None})
        request = urllib.request.Request(  # noqa: S310 - the address is checked above
            f"{self._base}{path}{'?' if wanted else ''}{wanted}",
            data=content.data if content else None,
            method=method,
            headers={"Authorization": f"Bearer {self._token}", "Accept": "application/json", **(headers or {})},
        )
        if content:
            request.add_header("Content-Type", content.media_type)
        return self._send(request)

    def _send(self, request: urllib.request.Request) -> Any:
        for attempt in range(1, _ATTEMPTS + 1):
            is_last = attempt == _ATTEMPTS
            try:
                with self._opener.open(request, timeout=_TIMEOUT_S) as answer:
                    return json.loads(answer.read() or b"null")
            except urllib.error.HTTPError as error:
                with error:
                    if is_last or error.code not in _BUSY:
                        raise _refusal(error) from None
                    _pause(error.headers.get("Retry-After"), attempt)
            except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
                if is_last:
                    reason = getattr(error, "reason", error)
                    raise Refused([f"{self._base} cannot be reached: {reason}"], ExitCode.FAILED) from None
                _pause(None, attempt)
            except ValueError:
                lines = [f"{self._base} is not the service: its answer is no JSON; check DMS_URL"]
                raise Refused(lines, ExitCode.FAILED) from None
        raise AssertionError


def _pause(asked: str | None, attempt: int) -> None:
    wanted = float(asked) if asked and asked.isdigit() else _PAUSE_S * attempt
    time.sleep(min(wanted, _LONGEST_PAUSE_S))


def _refusal(error: urllib.error.HTTPError) -> Refused:
    """What a problem says, with the exit code for it."""
    try:
        problem = json.loads(error.read())
        lines = [f"{problem['title']} ({error.code} {problem['code']}): {problem['detail']}"]
    except (ValueError, KeyError, TypeError):
        return Refused([f"the service answers {error.code} {error.reason}; check DMS_URL"], ExitCode.FAILED)
    for each in problem.get("errors", ()):
        place = each.get("parameter") or each.get("pointer") or "/"
        lines.append(f"  {place}: {each['detail']} ({each['code']})")
    lines += [f"  {each['path']}: {each['impact']}: {each['says']}" for each in problem.get("changes", ())]
    lines.append(f"  request id {problem['request_id']}")
    return Refused(lines, _code(error.code, problem["code"]))


def _code(status: int, code: str) -> ExitCode:
    if status in {400, 413, 415, 422}:
        return ExitCode.DOCUMENT_WRONG
    return ExitCode.ALREADY_RUNNING if status == 423 or code == "already_running" else ExitCode.FAILED
