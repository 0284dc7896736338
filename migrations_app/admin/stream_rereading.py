"""Backfill and reset of one stream: pages that say what would happen, and the actions themselves."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils.crypto import constant_time_compare, salted_hmac
from django.utils.http import urlencode

from connectors import registry
from connectors.base import Position, Selection
from connectors.errors import ConnectorError
from connectors.mapping import EVERY_TABLE, MappingError
from connectors.mapping.specs import Spec
from connectors.wording import counted
from migrations_app import mapping_io, plans, starting
from migrations_app.admin.audit import HIDDEN
from migrations_app.admin.pages import page
from migrations_app.admin.posting import Done, Refused, posted, shown, url_of
from migrations_app.admin.refusing import asking_others, refusing
from migrations_app.admin.stream_actions import RUN, active_run, name_of
from migrations_app.models import Checkpoint, Stream
from migrations_app.plans import Plan
from migrations_app.secrets import SecretUnreadableError
from migrations_app.settings_io import schedule_settings
from migrations_app.standing.places import moment_in_words
from migrations_app.verbs import backfill, pausing, reset
from migrations_app.verbs.keys import how_to_write, read_key
from migrations_app.verbs.reset import Reset

RESET = "migrations_app.reset_checkpoint"
#: The fields of a backfill; two of them make a range.
_RANGE = ("from_key", "to_key", "since", "until")
_NO_RANGE = (
    "Fill in a range of keys (Lowest key, Highest key) or a range of times (From, To): one of the two. One end of it is"
    " enough."
)
#: What a reset may be.
WHOLE, KEY, RELEASE = "whole", "key", "release"


class StreamRereading:
    """Pages and actions of the admin class of streams."""

    @shown(RUN)
    def backfilling(self, request: HttpRequest, stream: Stream) -> HttpResponseBase:
        """Ask for the range; one that the address names is filled in."""
        given = {name: request.GET.get(name, "").strip() or None for name in _RANGE}
        return _backfill_page(request, stream, values=given)

    @posted(RUN, reaches_out=True)
    def backfill(self, request: HttpRequest, stream: Stream) -> HttpResponseBase | Done:
        """Queue a run that reads a range again; the stream's own place stays. Or only tell how much that would be."""
        given = {name: request.POST.get(name, "").strip() or None for name in _RANGE}
        try:
            with asking_others():
                plan = _plan(stream)
            with refusing():
                selection = backfill.parse_selection([plan], timezone=schedule_settings()[1], **given)
            if "look" in request.POST:
                return _backfill_page(request, stream, values=given, size=_size_of(plan, selection))
            with refusing():
                started = starting.queue_backfills([plan], selection, requested_by=name_of(request.user))
            if started.busy:
                _refuse_busy(stream)
        except Refused as refusal:
            return _backfill_page(request, stream, values=given, **_where(refusal, _RANGE))
        said = "A backfill is queued. It reads the range again, and the stream's own place stays where it is."
        # Keys are values of rows; the audit log names the kind of range alone.
        kind = "keys" if selection.is_by_key else "times"
        return Done(said, to=_page_of(stream), details={"range of": kind, "run": str(started.runs[0].pk)})

    @shown(RESET)
    def resetting(self, request: HttpRequest, stream: Stream) -> HttpResponseBase:
        """Show where the stream stands, and where it would stand; changes nothing."""
        asked = {"how": request.GET.get("how", ""), "to_key": request.GET.get("to_key", "").strip()}
        context: dict[str, Any] = {"asked": asked, "obstacle": _obstacle(stream), "has_run": bool(active_run(stream))}
        if asked["how"]:
            try:
                with asking_others():
                    context |= _described(stream, asked)
                if not request.user.has_perm("migrations_app.view_checkpoint"):
                    # Places hold keys, and who may reset need not see them.
                    context |= dict.fromkeys(("before", "after"), HIDDEN)
            except Refused as refusal:
                context |= _where(refusal, {"to_key"})
        spec = _spec_of(stream)
        context["how_to_write"] = how_to_write(spec) if spec is not None else ""
        context["why_no_key"] = reset.why_no_key(spec, _stored(stream)) if spec is not None else ""
        here = f"{url_of(stream, 'resetting')}?{urlencode(asked)}"
        return _page(request, "pages/stream_reset.html", f"Reset {stream.name}", stream, here=here, **context)

    @posted(RESET, confirm=True, reaches_out=True)
    def reset(self, request: HttpRequest, stream: Stream) -> Done:
        """Make the next run go on from an earlier place, as the page has shown it."""
        asked = {"how": request.POST.get("how", ""), "to_key": request.POST.get("to_key", "").strip()}
        reason = request.POST.get("reason", "").strip()
        if not reason:
            message = "Nothing was done: say why, for the audit log."
            raise Refused(message)
        if obstacle := _obstacle(stream):
            raise Refused(obstacle)
        if not constant_time_compare(request.POST.get("seen", ""), seen_of(stream)):
            message = "Nothing was done: the checkpoint has moved since the page was shown. Look at it again."
            raise Refused(message)
        with asking_others():
            plan = _plan(stream)
            described = _describe(plan, asked)
            reset.carry_out(plan, described)
        said = f"{stream} is reset: {described.consequence}. Resume it when it may run."
        details = {"how": asked["how"], "reason": reason[:500]}
        before, after = {"position": described.before}, {"position": described.after}
        return Done(said, to=_page_of(stream), before=before, after=after, details=details)


def seen_of(stream: Stream) -> str:
    """What a person has seen of the stream's place; it changes with every commit and reset."""
    checkpoint = Checkpoint.objects.filter(stream=stream).first()
    stored = (checkpoint.position, checkpoint.epoch) if checkpoint is not None else None
    epoch = Stream.objects.values_list("epoch", flat=True).get(pk=stream.pk)
    return salted_hmac("migrations_app.reset", repr((stored, epoch)), algorithm="sha256").hexdigest()[:32]


def _described(stream: Stream, asked: dict[str, str]) -> dict[str, Any]:
    plan = _plan(stream)
    described = _describe(plan, asked)
    source_type = plan.source_config.source_type.value
    rows, unknown = None, ""
    if not described.releases:
        try:
            rows = reset.estimate_rows(plan, described)
        except ConnectorError as error:
            unknown = str(error)
    return {
        "reset": described,
        "before": _words(source_type, described.stored) if described.stored else described.before,
        "after": _words(source_type, described.position) if described.position else described.after,
        "rows": rows,
        "unknown": unknown,
        "seen": seen_of(stream),
    }


def _describe(plan: Plan, asked: dict[str, str]) -> Reset:
    how, key = asked["how"], asked["to_key"]
    if how == KEY:
        if not key:
            message = "Give the key above which rows are read again."
            raise Refused(message)
        return reset.describe(plan, to_key=read_key("to_key", key, [plan]))
    if how not in {WHOLE, RELEASE}:
        message = "Choose what the reset is to do."
        raise Refused(message)
    return reset.describe(plan, release=how == RELEASE)


def _words(source_type: str, position: Position) -> str:
    zone = schedule_settings()[1]
    return registry.place_in_words(source_type, position, lambda text: moment_in_words(text, zone))


def _obstacle(stream: Stream) -> str:
    """Why the stream cannot be reset now; empty when it can."""
    if not stream.active:
        return f"{stream} is no longer part of its mapping; put it back first."
    if not pausing.is_paused(stream):
        return f"{stream} is not paused; pause it first, and resume it afterwards."
    active = active_run(stream)
    if active is not None:
        return f"{stream} has a run that is {active.state}; stop it, or wait for its end."
    return ""


def _plan(stream: Stream) -> Plan:
    """Asks the source where the mapping has a `*`."""
    (plan,) = plans.build(stream.mapping_id, table=stream.name, destination=stream.destination_name)
    return plan


def _where(refusal: Refused, fields: Iterable[str]) -> dict[str, Any]:
    """What is wrong as the page shows it: at the fields that it is about, else above them."""
    cause = refusal.__cause__
    if not isinstance(cause, MappingError):
        return {"error": str(refusal)}
    found = {issue.path: f"{issue.message[:1].upper()}{issue.message[1:]}." for issue in cause.issues}
    if "backfill" in found:
        return {"error": _NO_RANGE}
    return {"mistakes": found} if found.keys() <= set(fields) else {"error": str(refusal)}


def _spec_of(stream: Stream) -> Spec | None:
    """How the stream is copied, without asking the source; None while its mapping cannot be read."""
    try:
        specs = {spec.name: spec for spec in mapping_io.load_contract(stream.mapping).specs}
    except (MappingError, SecretUnreadableError):
        return None
    return specs.get(stream.name) or specs.get(EVERY_TABLE)


def _stored(stream: Stream) -> Position | None:
    position: Position | None = Checkpoint.objects.filter(stream=stream).values_list("position", flat=True).first()
    return position


def _size_of(plan: Plan, selection: Selection) -> str:
    """How much a backfill would read, in a sentence."""
    with asking_others():
        rows = backfill.estimate_rows(plan, selection)
    if rows is None:
        return "The source has no estimate of how many rows that is."
    return f"It reads about {counted(rows, 'row')}, by the source's own estimate."


def _refuse_busy(stream: Stream) -> None:
    message = f"{stream} has a run already; wait for its end, or stop it, then ask for the backfill again."
    raise Refused(message)


def _backfill_page(
    request: HttpRequest, stream: Stream, *, values: dict[str, str | None], size: str = "", **mistakes: Any
) -> HttpResponseBase:
    spec = _spec_of(stream)
    given = {
        "values": values,
        "size": size,
        "how_to_write": how_to_write(spec) if spec is not None else "",
        "why_no_range": backfill.why_no_range(spec) if spec is not None else "",
        "why_no_times": backfill.why_no_times(spec) if spec is not None else "",
        "is_copied": Checkpoint.objects.filter(stream=stream).exists(),
        "zone": schedule_settings()[1],
        "status": 422 if mistakes else 200,
    }
    return _page(request, "pages/stream_backfill.html", f"Backfill {stream.name}", stream, **given, **mistakes)


def _page(request: HttpRequest, template: str, title: str, stream: Stream, **context: Any) -> HttpResponseBase:
    crumbs = (
        ("Mappings", reverse("admin:migrations_app_mapping_changelist")),
        (stream.mapping_id, url_of(stream.mapping, "overview")),
        (f"Stream {stream.name} to {stream.destination_name}", _page_of(stream)),
    )
    return page(request, template, title, crumbs=crumbs, stream=stream, **context)


def _page_of(stream: Stream) -> str:
    return reverse("admin:migrations_app_stream_change", args=(stream.pk,))
