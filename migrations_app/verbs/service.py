"""Test what the service settings name, which need not be stored: both stores, Slack, and the webhook beside it."""

from __future__ import annotations

from django.conf import settings

from connectors import mapping as contract
from connectors.steps import FAILED, Tell
from connectors.store_probe import probe_store
from connectors.verbs import Step
from migrations_app import secrets
from migrations_app.mapping_io import check_references
from migrations_app.notify import testing
from migrations_app.verbs.connections import TestedEnd

ENCRYPTION_STORE = "encryption_store"
DASHBOARD_STORE = "dashboard_store"
STORES = (ENCRYPTION_STORE, DASHBOARD_STORE)
SLACK = "slack_notif"
WEBHOOK = "webhook"
#: What can be tested.
PARTS = (*STORES, SLACK, WEBHOOK)
#: A store that is there in place of one that is not looked at.
_NO_STORE = {"url": "mongodb://localhost", "db_name": "none", "collection_name": "none"}


def test_part(part: str, raw: dict[str, object], asked_by: str, tell: Tell) -> TestedEnd:
    """Test one part of a settings document; the others may be missing or wrong.

    Args:
        part: One of PARTS.
        raw: The part's own document, secrets in the clear; nothing for the webhook, which the environment names.
        asked_by: The user's name.
        tell: Told of the steps while they are taken.
    """
    if part == WEBHOOK:
        if not settings.DMS_WEBHOOK_URL:
            return TestedEnd(
                part, (_failed("DMS_WEBHOOK_URL is not set; set it, and DMS_WEBHOOK_SECRET, and restart"),)
            )
        return TestedEnd(part, tuple(testing.test_webhook(asked_by, tell)))
    try:
        resolved = _resolved(part, raw)
    except contract.MappingError as error:
        return TestedEnd(part, tuple(_failed(str(issue)) for issue in error.issues))
    if part == SLACK:
        assert resolved.slack_notif is not None  # noqa: S101 - for mypy: it was parsed
        return TestedEnd(part, tuple(testing.test_slack(resolved.slack_notif, asked_by, tell)))
    return TestedEnd(part, tuple(probe_store(part, getattr(resolved, part), tell)))


def _resolved(part: str, raw: dict[str, object]) -> contract.ServiceSettings:
    """Settings in which that part is real.

    Raises:
        MappingError: It breaks the contract, or a reference leads nowhere.
    """
    if not raw:
        raise contract.MappingError([contract.Issue((part,), "is not filled in; enter it first")])
    document = dict.fromkeys(STORES, _NO_STORE) | {part: raw}
    parsed = contract.parse_settings(document)
    check_references(parsed)
    return contract.resolve(parsed, secrets.lookup)


def _failed(detail: str) -> Step:
    return Step("settings", FAILED, detail)
