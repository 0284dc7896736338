"""Commands that are carried out once, however often they are sent: by a key that the caller chooses."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from migrations_app.api.problems import Mistake, Problem
from migrations_app.models import IdempotencyKey
from migrations_app.verbs.registering import patiently

HEADER = "Idempotency-Key"
HEADERS = {
    HEADER: "a text of your choice: the same command under it within 24 hours is answered and not carried out again"
}
_KEPT = timedelta(hours=24)
_LONGEST = 200


def once(request: Request, caller_id: str, prepare: Callable[[], Callable[[], Response]]) -> Response:
    """Carry a command out, unless it was carried out under the same key already.

    Only what was accepted is remembered: what was refused may be sent again.

    Args:
        request: The command.
        caller_id: Whose keys they are.
        prepare: Asks whoever has to be asked, outside of every transaction, and returns what carries the command out.

    Raises:
        Problem: The key is none, or stands for another command.
    """
    key = request.headers.get(HEADER)
    if key is None:
        act = prepare()
        # What was done and the audit log's entry of it are there together or not at all.
        with transaction.atomic():
            return act()
    if not 0 < len(key) <= _LONGEST or not key.isprintable():
        detail = f"is a text of at most {_LONGEST} printable characters"
        mistake = Mistake(parameter=HEADER, code="invalid", detail=detail)
        raise Problem(400, "invalid_parameter", "parameters are wrong; each is listed under errors", errors=[mistake])
    fingerprint = _fingerprint(request)
    known = IdempotencyKey.objects.filter(caller=caller_id, key=key, created_at__gte=timezone.now() - _KEPT).first()
    if known is not None:
        return _again(known, fingerprint)
    carry_out = prepare()

    def attempt() -> Response:
        with transaction.atomic():
            return _once(key, caller_id, fingerprint, carry_out)

    return patiently(attempt)


def _once(key: str, caller_id: str, fingerprint: str, act: Callable[[], Response]) -> Response:
    IdempotencyKey.objects.filter(created_at__lt=timezone.now() - _KEPT).delete()
    # Whoever sends the same at the same moment waits here until the first one has been answered.
    row, is_new = IdempotencyKey.objects.get_or_create(caller=caller_id, key=key, defaults={"fingerprint": fingerprint})
    if not is_new:
        return _again(row, fingerprint)
    answer = act()
    fields = {"status": answer.status_code, "answer": answer.data, "location": answer.get("Location", "")}
    IdempotencyKey.objects.filter(pk=row.pk).update(**fields)
    return answer


def _again(row: IdempotencyKey, fingerprint: str) -> Response:
    if row.fingerprint != fingerprint:
        detail = f"the {HEADER} stands for another command already; choose a new one"
        raise Problem(422, "idempotency_key_reused", detail)
    headers = {"Idempotent-Replayed": "true"} | ({"Location": row.location} if row.location else {})
    return Response(row.answer, status=row.status, headers=headers)


def _fingerprint(request: Request) -> str:
    parts: list[Any] = [request.method, request.path, sorted(request.query_params.items()), request.data]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
