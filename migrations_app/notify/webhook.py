"""The webhook: events as JSON by POST, signed so that the receiver knows who sent them and when.

X-DMS-Timestamp: 1774000000
X-DMS-Signature: v1=HEX     HMAC-SHA256 with DMS_WEBHOOK_SECRET over "{timestamp}." and the body's bytes
X-DMS-Delivery: ID          the same for every attempt at one event: who has seen it may drop it
"""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import datetime
from http.client import HTTPException, HTTPMessage
from typing import IO, Any
from urllib.error import HTTPError, URLError
from urllib.request import HTTPRedirectHandler, Request, build_opener

from migrations_app.models import OutboxEntry
from migrations_app.notify.channels import WEBHOOK, UndeliveredError, parse_retry_after

_TIMEOUT_S = 5.0
_BUSY = frozenset({429, 503})


class _NoRedirects(HTTPRedirectHandler):
    """A redirect would send the event to another host, and as a GET without its body."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> None:
        """Follow none."""


class Webhook:
    """Posts events to one address.

    Args:
        url: Where to; may hold a token, so that no message shows it.
        secret: Signs.
    """

    def __init__(self, url: str, secret: str) -> None:
        self._url = url
        self._secret = secret
        self._opener = build_opener(_NoRedirects)

    def send(self, entry: OutboxEntry, now: datetime) -> None:
        """Post the event.

        Raises:
            UndeliveredError: As it says.
        """
        if not self._secret:
            problem = "DMS_WEBHOOK_SECRET is empty, and nothing is sent unsigned; set it"
            raise UndeliveredError(problem, channel=WEBHOOK)
        body = json.dumps({"id": entry.key, **entry.payload}, separators=(",", ":")).encode()
        timestamp = str(int(now.timestamp()))
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "data-migration-service",
            "X-DMS-Delivery": entry.key,
            "X-DMS-Event": str(entry.payload["event"]),
            "X-DMS-Timestamp": timestamp,
            "X-DMS-Signature": signature(self._secret, timestamp, body),
        }
        try:
            # An address with another scheme fails in the constructor or the opener; file: is refused by the check.
            request = Request(self._url, data=body, headers=headers, method="POST")  # noqa: S310
            self._opener.open(request, timeout=_TIMEOUT_S).close()
        except HTTPError as error:
            with error:
                raise _refused(error) from None
        except (OSError, URLError, HTTPException, ValueError) as error:
            problem = f"the webhook could not be reached ({type(error).__name__}); check DMS_WEBHOOK_URL"
            raise UndeliveredError(problem, channel=WEBHOOK) from None


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """What X-DMS-Signature holds for this body."""
    digest = hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()
    return f"v1={digest}"


def _refused(error: HTTPError) -> UndeliveredError:
    after: Any = error.headers.get("Retry-After")
    if error.code in _BUSY and after is not None:
        return UndeliveredError("the webhook is busy", channel=WEBHOOK, retry_after_s=parse_retry_after(after))
    problem = f"the webhook answered {error.code}; see that DMS_WEBHOOK_URL takes POST and answers 2xx"
    return UndeliveredError(problem, channel=WEBHOOK)
