"""The tests of both channels: is the token valid, is the channel there, does a test message arrive?"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from typing import Any

from django.conf import settings
from django.utils import timezone
from slack_sdk.errors import SlackApiError

from connectors.mapping import SlackNotif
from connectors.steps import FAILED, OK, WARNING, Finding, Tell, take_steps
from connectors.verbs import Step
from migrations_app.enums import OutboxKind
from migrations_app.models import OutboxEntry
from migrations_app.notify.channels import UndeliveredError
from migrations_app.notify.slack import UNREACHED, client_of, refused, unreached
from migrations_app.notify.webhook import Webhook

_SCOPE = "chat:write"
#: How the ids of channels, groups and direct messages begin; everything else is a name, which nobody can look up.
_ID_BEGINNINGS = ("C", "G", "D")
_MAY_NOT_LOOK = frozenset({"missing_scope", "unknown_method", "method_not_supported_for_channel_type"})


def test_slack(config: SlackNotif, asked_by: str, tell: Tell) -> list[Step]:
    """Test token and channel, and post a message that says that it is a test.

    Args:
        config: Resolved: without references.
        asked_by: The user's name, for the message.
        tell: Told of the steps while they are taken.
    """
    slack = _Slack(config, asked_by)
    checks = {"token": slack.token, "scope": slack.scope, "channel": slack.channel, "message": slack.message}
    return take_steps(_told(checks), [], tell=tell)


def test_webhook(asked_by: str, tell: Tell) -> list[Step]:
    """Post an event `test`, signed as all are, to the webhook that the environment names."""

    def post() -> Finding:
        now = timezone.now()
        payload = {"event": "test", "at": now.isoformat(), "requested_by": asked_by}
        entry = OutboxEntry(kind=OutboxKind.WEBHOOK, key=f"test:{uuid.uuid4()}", payload=payload)
        Webhook(settings.DMS_WEBHOOK_URL, settings.DMS_WEBHOOK_SECRET).send(entry, now)
        return OK, "an event `test` was taken"

    return take_steps(_told({"signed event": post}), [], tell=tell)


def _told(checks: Mapping[str, Callable[[], Finding]]) -> dict[str, Callable[[], Finding]]:
    """The checks with what a channel refuses as their finding."""

    def telling(check: Callable[[], Finding]) -> Callable[[], Finding]:
        def run() -> Finding:
            try:
                return check()
            except UndeliveredError as error:
                if error.retry_after_s is not None:
                    return WARNING, f"{error.problem}; test again in {error.retry_after_s:.0f} s"
                return FAILED, error.problem

        return run

    return {name: telling(check) for name, check in checks.items()}


class _Slack:
    """One test under way."""

    def __init__(self, config: SlackNotif, asked_by: str) -> None:
        self._channel = config.channel
        self._asked_by = asked_by
        self._client = client_of(config.slack_token, settings.DMS_SLACK_API_URL)
        self._scopes: set[str] | None = None

    def token(self) -> Finding:
        answer = self._ask("auth.test")
        scopes = next((text for name, text in answer.headers.items() if name.lower() == "x-oauth-scopes"), None)
        self._scopes = None if scopes is None else {scope.strip() for scope in str(scopes).split(",")}
        return OK, f"valid: {answer.get('user') or 'an app'} in {answer.get('team') or 'a workspace without a name'}"

    def scope(self) -> Finding:
        if self._scopes is None:
            return OK, "Slack does not say which scopes the token has; the message tells"
        if _SCOPE not in self._scopes:
            return FAILED, f"the token lacks {_SCOPE}; give the app that scope and install it again"
        return OK, f"the token has {_SCOPE}"

    def channel(self) -> Finding:
        if not self._channel.startswith(_ID_BEGINNINGS):
            return OK, f"{self._channel} is a name; the message tells whether it is there"
        try:
            found = self._client.api_call("conversations.info", params={"channel": self._channel}).get("channel") or {}
        except SlackApiError as error:
            if error.response.get("error") in _MAY_NOT_LOOK:
                return OK, "the app may not look at channels; the message tells whether it is there"
            return self._refusal(error)
        except UNREACHED as error:
            raise unreached(error) from None
        if found.get("is_archived"):
            return FAILED, "the channel is archived; name another one"
        if found.get("is_member") is False:
            return (
                WARNING,
                f"the app is no member of #{found.get('name')}; invite it, unless it may post to any channel",
            )
        return OK, f"#{found.get('name')}"

    def message(self) -> Finding:
        text = f"This is a test of the data migration service, asked for by {self._asked_by}. Nothing is to be done."
        self._ask("chat.postMessage", channel=self._channel, text=text, unfurl_links=False)
        return OK, f"a test message was posted to {self._channel}; see that it is there"

    def _ask(self, method: str, **parameters: Any) -> Any:
        try:
            return self._client.api_call(method, json=parameters)
        except SlackApiError as error:
            raise self._problem(error) from None
        except UNREACHED as error:
            raise unreached(error) from None

    def _refusal(self, error: SlackApiError) -> Finding:
        return FAILED, self._problem(error).problem

    def _problem(self, error: SlackApiError) -> UndeliveredError:
        problem = refused(error, self._channel)
        # There is no thread here that could be gone.
        return problem if isinstance(problem, UndeliveredError) else UndeliveredError(str(problem), channel=None)
