"""A connection test as an answer that grows: a line of HTML for each step as it begins and ends, then the verdict.

dms/steps.js puts the lines into the page. Nothing is kept on the server for it, so that any process may serve it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any

from django.http import HttpResponse, StreamingHttpResponse
from django.template.loader import render_to_string

from connectors.steps import RUNNING, Tell
from connectors.verbs import Step
from migrations_app.admin import slots
from migrations_app.verbs.connections import TestedEnd

logger = logging.getLogger(__name__)

#: A proxy that gathers what it passes on would keep the steps until the end.
#: Source: https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_buffering
_HEADERS = {"X-Accel-Buffering": "no", "Cache-Control": "no-store"}


Test = Callable[[Tell], TestedEnd]
Keep = Callable[[TestedEnd], object]


def answer_stepwise(test: Test, keep: Keep, *, is_saved: bool) -> StreamingHttpResponse:
    """Do a test while its answer is read.

    Whoever asked may leave: the test goes to its end all the same, as it clears away what it has made, and is kept.

    Args:
        test: Done in a thread of its own; must not need the control database.
        keep: Called with what was found, in the thread of the request.
        is_saved: What is tested is what is stored.
    """
    return StreamingHttpResponse(_logged(_lines(test, keep, is_saved=is_saved)), headers=_HEADERS)


def not_tested(mistakes: Sequence[tuple[str, str]]) -> HttpResponse:
    """Answer that nothing was asked, with the fields that are wrong, and how."""
    return HttpResponse(_verdict(mistakes=mistakes), headers=_HEADERS)


def _logged(lines: Iterator[str]) -> Iterator[str]:
    """The lines, of which steps.js says that they broke off where the verdict is missing.

    What nobody has foreseen goes into our log, which masks secrets. The web server's own does not.
    """
    try:
        yield from lines
    except Exception:
        logger.exception("a connection test broke off", extra={"action": "test"})


def _lines(test: Test, keep: Keep, *, is_saved: bool) -> Iterator[str]:
    began = time.monotonic()
    told = 0
    try:
        with slots.one_of_few(), ThreadPoolExecutor(1, "connection-test") as pool:
            heard: SimpleQueue[Step | None] = SimpleQueue()
            end = pool.submit(test, heard.put)
            end.add_done_callback(lambda _: heard.put(None))
            try:
                for step in iter(heard.get, None):
                    told += step.outcome != RUNNING
                    yield _line("parts/step.html", step=step)
            finally:
                # Also when the reader has left: the generator is closed then, at its last line.
                keep(end.result())
    except slots.BusyError as error:
        yield _verdict(mistakes=[("", str(error))])
        return
    tested = end.result()
    # What is wrong before the first step is found without telling.
    for step in tested.steps[told:]:
        yield _line("parts/step.html", step=step)
    yield _verdict(tested=tested, seconds=time.monotonic() - began, is_saved=is_saved)


def _verdict(**context: Any) -> str:
    return _line("parts/tested.html", **context)


def _line(template: str, **context: Any) -> str:
    """One line, whatever the texts hold."""
    return " ".join(render_to_string(template, context).split()) + "\n"
