"""Redis as the carrier of tasks: django-q2's broker, which waits no longer than it has to and outlives an outage.

django-q2's own lets the client try again for up to a minute with whoever asks, ends the process that fetches tasks at
each error, and has it wait ten seconds before.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any, TypeVar

from django.conf import settings
from django_q.brokers.redis_broker import Redis as DjangoQBroker
from redis import Redis, RedisError
from redis.backoff import NoBackoff
from redis.retry import Retry

from migrations_app.attempting import QueueAwayError

logger = logging.getLogger(__name__)

T = TypeVar("T")

#: More than the second for which a fetch waits for a task.
_TIMEOUT_S = 3.0
_LOOK_AGAIN_S = 0.5


class RedisBroker(DjangoQBroker):  # type: ignore[misc]
    """What carries tasks when DMS_BROKER_URL is set. Whoever sends and cannot is told, and tries again itself."""

    _is_away = False

    @staticmethod
    def get_connection(list_key: str | None = None) -> Redis:  # noqa: ARG004 - one server holds all lists
        # Tries are the caller's business: a tick, for one, has more to do.
        return Redis.from_url(
            settings.DMS_BROKER_URL,
            socket_timeout=_TIMEOUT_S,
            socket_connect_timeout=_TIMEOUT_S,
            retry=Retry(NoBackoff(), 0),
        )

    def enqueue(self, task: str) -> Any:
        return _asked(lambda: super(RedisBroker, self).enqueue(task))

    def queue_size(self) -> int:
        return int(_asked(super().queue_size))

    def ping(self) -> bool:
        """Whether tasks can be sent. One that is out of memory or a replica answers, and takes nothing."""
        return bool(_asked(self._takes_tasks))

    def _takes_tasks(self) -> bool:
        key = f"{self.list_key}:probe"
        with self.connection.pipeline() as transaction:
            transaction.rpush(key, "")
            transaction.delete(key)
            return all(transaction.execute())

    def dequeue(self) -> Any:
        try:
            found = _asked(super().dequeue)
        except QueueAwayError as error:
            if not self._is_away:
                logger.warning("%s", error, extra={"action": "broker"})
            self._is_away = True
            time.sleep(_LOOK_AGAIN_S)
            return None
        self._is_away = False
        return found

    def set_stat(self, key: str, value: str, timeout: int) -> None:
        """Say how the cluster is, for `qmonitor` alone; whoever fetches tasks tells of an outage."""
        try:
            _asked(lambda: super(RedisBroker, self).set_stat(key, value, timeout))
        except QueueAwayError:
            logger.debug("no statistics", extra={"action": "broker"})


def _asked(ask: Callable[[], T]) -> T:
    try:
        return ask()
    except RedisError as error:
        msg = (
            f"Redis, which DMS_BROKER_URL names, does not take or give tasks ({type(error).__name__})."
            " Runs wait in the control database until it does."
        )
        raise QueueAwayError(msg) from error
