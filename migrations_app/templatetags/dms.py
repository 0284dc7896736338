"""What templates need to show the service: times, sizes, states, and buttons that post."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django import template
from django.apps import apps
from django.contrib import admin
from django.template import RequestContext
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from migrations_app import formats, live
from migrations_app.zones import zone_name

if TYPE_CHECKING:
    from migrations_app.admin.posting import Address

register = template.Library()

_NOTHING = "-"
#: What a word says by its colour and sign; a word that is not here is neutral.
_TONES: dict[str, tuple[str, str]] = {
    "succeeded": ("good", "check_circle"),
    "on time": ("good", "check_circle"),
    "ok": ("good", "check_circle"),
    "equal": ("good", "check_circle"),
    "running": ("busy", "progress_activity"),
    "queued": ("busy", "hourglass_top"),
    "late": ("warning", "schedule"),
    "warning": ("warning", "warning"),
    "stopped": ("warning", "stop_circle"),
    "cancelled": ("warning", "stop_circle"),
    "failed": ("bad", "error"),
    "failing": ("bad", "error"),
    "different": ("bad", "error"),
    "lost": ("bad", "help"),
    "up": ("good", "check_circle"),
    "silent": ("bad", "error"),
    "draining": ("warning", "hourglass_top"),
    "drained": ("still", "pause_circle"),
    "paused": ("still", "pause_circle"),
    "disabled": ("still", "block"),
    "never run": ("still", "radio_button_unchecked"),
}


@register.filter
def when(moment: datetime | None) -> SafeString | str:
    """A time in the settings' time zone, with the zone."""
    if moment is None:
        return _NOTHING
    return format_html('<time datetime="{}">{}</time>', moment.isoformat(), stamp(moment))


def stamp(moment: datetime) -> str:
    """A time in the settings' time zone, with the zone, as plain text."""
    local = timezone.localtime(moment)
    return f"{local:%Y-%m-%d %H:%M:%S} {zone_name(local)}"


@register.filter
def ago(moment: datetime | None) -> SafeString | str:
    """How long ago, or in how long, with the whole time where one points at it."""
    if moment is None:
        return _NOTHING
    seconds = (timezone.now() - moment).total_seconds()
    words = f"{formats.human_age(seconds)} ago" if seconds >= 0 else f"in {formats.human_age(-seconds)}"
    return format_html('<time datetime="{}" title="{}">{}</time>', moment.isoformat(), stamp(moment), words)


@register.filter
def count(number: int | None) -> str:
    """A number with its thousands apart."""
    return _NOTHING if number is None else formats.human_count(number)


@register.filter
def counted(number: int | None, noun: str) -> str:
    """A number with its noun, such as 1,234 rows; the noun for many behind a comma where it is not one with an s."""
    if number is None:
        return _NOTHING
    one, _, many = noun.partition(",")
    return formats.counted(number, one, many or None)


@register.filter
def size(byte_count: float | None) -> str:
    """Such as 12.3 MB."""
    return _NOTHING if byte_count is None else formats.human_bytes(byte_count)


@register.filter
def duration(seconds: float | None) -> str:
    """Such as 3 min 5 s."""
    return _NOTHING if seconds is None else formats.human_seconds(seconds)


register.filter(live.doing)


@register.filter
def rate(rows_a_second: float | None) -> str:
    """Such as 12,345 rows/s."""
    return _NOTHING if rows_a_second is None else formats.human_rate(rows_a_second)


@register.simple_tag
def status(word: str, title: str = "") -> SafeString:
    """A word for how something stands, with a sign and a colour that say the same."""
    tone, sign = _TONES.get(word.lower(), ("still", "radio_button_unchecked"))
    return format_html(
        '<span class="dms-status dms-{}"{}><span class="material-symbols-outlined" aria-hidden="true">{}</span>{}'
        "</span>",
        tone,
        format_html(' title="{}"', title) if title else "",
        sign,
        word,
    )


@register.simple_tag(takes_context=True)
def do(context: RequestContext, row: Any, name: str, label: str, **options: str) -> str:
    """A button that posts an action of a row, for who may; nothing for others.

    Args:
        context: Of the template.
        row: What it is about; ``app.Model`` for an action of the whole list.
        name: The method of the admin class.
        label: What the button says.
        options: ``icon`` (of Material Symbols), ``style`` (primary, danger), ``next`` (where to go then), ``kept``
            (gives it an id, by which it keeps the focus when a piece takes its place), and fields to post along.
    """
    wanted, url = _address(row, name)
    if not _may(context, wanted):
        return ""
    known = {key: options.pop(key, "") for key in ("icon", "style", "next")}
    known["id"] = f"do-{row._meta.model_name}-{row.pk}-{name}" if options.pop("kept", "") else ""
    given = {"url": url, "label": label, "fields": options.items(), "name": name} | known
    return render_to_string("parts/do.html", given, request=context.request)


@register.simple_block_tag(takes_context=True)
def confirm(context: RequestContext, content: str, row: Any, name: str, label: str, **options: str) -> str:
    """A button that opens a dialog with the block's content and, if the action asks for it, a field for the name."""
    wanted, url = _address(row, name)
    if not _may(context, wanted):
        return ""
    known = {key: options.get(key, "") for key in ("icon", "style", "next", "submit")}
    typed = str(row) if wanted.confirm else ""
    given = {"url": url, "label": label, "content": content, "typed": typed, "field": "confirm", "name": name}
    given |= known | {"dialog_id": f"dialog-{name}-{uuid.uuid4().hex[:8]}"}
    return render_to_string("parts/confirm.html", given, request=context.request)


@register.simple_tag
def address(row: Any, name: str) -> str:
    """The address of an action or page of a row."""
    return _address(row, name)[1]


@register.simple_tag(takes_context=True)
def may(context: RequestContext, permission: str) -> bool:
    """True when the person has the permission of this application."""
    return bool(context.request.user.has_perm(f"migrations_app.{permission}"))


def _address(row: Any, name: str) -> tuple[Address, str]:
    # The classes of the admin are not made yet when Django reads the tags.
    from migrations_app.admin.posting import addresses_of, url_of

    target = apps.get_model(row) if isinstance(row, str) else row
    model = target if isinstance(target, type) else type(target)
    return addresses_of(type(admin.site.get_model_admin(model)))[name], url_of(target, name)


def _may(context: RequestContext, wanted: Address) -> bool:
    return bool(context.request.user.has_perm(wanted.permission))
