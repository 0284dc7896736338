"""Slack: messages by chat.postMessage, the trace of a failure as a reply in its thread.

Slack offers no key that makes a second post of one message harmless. Both posts carry `client_msg_id` and `metadata`
made of the run's id, by which a message that was posted twice can be told. When that can happen: docs/operations.md.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping
from http.client import HTTPException
from typing import Any

from pydantic import SecretStr
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError, SlackClientError

from migrations_app.models import OutboxEntry
from migrations_app.notify import wording
from migrations_app.notify.channels import SLACK, UndeliveredError, parse_retry_after, slack_channel

_TIMEOUT_S = 5
_NAMESPACE = uuid.UUID("5d1c8f1e-3a55-4f0e-9f4c-6a1f0a6d4b52")
_LONGEST_CODE = 60
_TOO_MANY = 429
_SERVER_ERRORS = 500

#: Errors that are one channel's, and what to do.
#: Source: docs.slack.dev/reference/methods/chat.postMessage
_CHANNEL_ERRORS = {
    "channel_not_found": "check `slack_notif.channel` or the spec's `slack_channel`, and invite the app to the channel",
    "not_in_channel": "invite the app to the channel",
    "is_archived": "the channel is archived; name another one",
    "restricted_action": "the workspace does not let the app post there; ask its admins, or name another channel",
    "restricted_action_read_only_channel": "only some may post there; ask its admins, or name another channel",
    "restricted_action_thread_only_channel": "only replies are allowed there; name another channel",
    "messages_tab_disabled": "the app may not send direct messages; name a channel",
}
_AUTH_REMEDY = "replace `slack_notif.slack_token` by a token that is valid and has the scope chat:write"
_AUTH_ERRORS = frozenset(
    {
        "invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired", "missing_scope",
        "no_permission", "not_allowed_token_type", "ekm_access_denied", "org_login_required", "access_denied",
        "enterprise_is_restricted", "team_access_not_granted", "two_factor_setup_required", "missing_post_type",
    }
)  # fmt: skip
#: Errors of one message, which another attempt cannot mend.
_MESSAGE_ERRORS = frozenset(
    {
        "msg_too_long", "no_text", "invalid_arguments", "invalid_arg_name", "invalid_metadata_format",
        "invalid_metadata_schema", "metadata_too_large", "metadata_must_be_sent_from_app", "invalid_charset",
        "duplicate_message_not_found", "as_user_not_supported",
    }
)  # fmt: skip
_THREAD_ERRORS = frozenset({"thread_not_found", "message_not_found", "cannot_reply_to_message", "thread_locked"})
#: The library logs what it raises; the drain says it once, with the remedy.
_quiet = logging.getLogger(f"{__name__}.sdk")
_quiet.setLevel(logging.CRITICAL)


def client_of(token: SecretStr, base_url: str) -> WebClient:
    """A client that tries once: a second attempt at once would neither keep the pace nor be on record."""
    return WebClient(token.get_secret_value(), base_url=base_url, timeout=_TIMEOUT_S, retry_handlers=[], logger=_quiet)


class Slack:
    """Posts events.

    Args:
        token: Of the app.
        channel: For specs that name none.
        base_url: Of Slack's web API.
    """

    def __init__(self, token: SecretStr, channel: str, *, base_url: str) -> None:
        self._channel = channel
        self._client = client_of(token, base_url)

    def send(self, entry: OutboxEntry) -> dict[str, Any] | None:
        """Post the next part of the entry: the message, or the reply when the message is there.

        Returns:
            The payload to go on with; None when nothing is left to post.

        Raises:
            UndeliveredError: As it says.
        """
        content: dict[str, Any] = entry.payload
        posted = content.get("posted")
        if posted is None:
            answer = self._post(content, entry.key, "message", text=wording.message_of(content))
            if not wording.trace_of(content):
                return None
            return {**content, "posted": {"channel": answer["channel"], "ts": answer["ts"]}}
        try:
            self._post(content, entry.key, "trace", text=wording.trace_of(content), posted=posted)
        except ThreadGoneError:
            # Somebody has deleted the message; nobody misses the reply.
            return None
        return None

    def _post(
        self, content: Mapping[str, Any], key: str, part: str, *, text: str, posted: Mapping[str, str] | None = None
    ) -> Mapping[str, Any]:
        wanted = content["channel"] or self._channel
        try:
            answer = self._client.chat_postMessage(
                channel=posted["channel"] if posted else wanted,
                thread_ts=posted["ts"] if posted else None,
                text=text,
                unfurl_links=False,
                unfurl_media=False,
                metadata={
                    "event_type": "dms_run",
                    "event_payload": {"run": content["run"], "event": content["event"], "part": part},
                },
                client_msg_id=str(uuid.uuid5(_NAMESPACE, f"{key}:{part}")),
            )
        except SlackApiError as error:
            raise refused(error, wanted) from None
        except UNREACHED as error:
            raise unreached(error) from None
        return {"channel": answer.get("channel") or wanted, "ts": answer.get("ts") or ""}


class ThreadGoneError(Exception):
    """The message that was to be replied to is not there."""


#: What the client raises when there is no answer, or none of Slack's.
UNREACHED = (OSError, HTTPException, SlackClientError, ValueError)


def unreached(error: Exception) -> UndeliveredError:
    """The problem of a request that got no answer."""
    problem = f"Slack could not be reached ({type(error).__name__}); see that the host gets to its API"
    return UndeliveredError(problem, channel=SLACK)


def refused(error: SlackApiError, channel: str) -> Exception:
    """What Slack's answer means. Its text is left out unless it is one of the known words."""
    status = error.response.status_code
    code = str(error.response.get("error") or "")
    if status == _TOO_MANY or code in {"ratelimited", "rate_limited", "message_limit_exceeded"}:
        wait_s = _retry_after(error.response.headers)
        return UndeliveredError("Slack asks for fewer messages", channel=SLACK, retry_after_s=wait_s)
    if code in _THREAD_ERRORS:
        return ThreadGoneError(code)
    if code in _CHANNEL_ERRORS:
        problem = f"Slack refused channel {channel} ({code}); {_CHANNEL_ERRORS[code]}"
        return UndeliveredError(problem, channel=slack_channel(channel))
    if code in _AUTH_ERRORS:
        return UndeliveredError(f"Slack refused the token ({code}); {_AUTH_REMEDY}", channel=SLACK)
    if code in _MESSAGE_ERRORS:
        return UndeliveredError(f"Slack refused the message ({code})", channel=None)
    if status >= _SERVER_ERRORS:
        return UndeliveredError(f"Slack answered {status}; it is tried again by itself", channel=SLACK)
    known = code if code.replace("_", "").isalnum() and len(code) <= _LONGEST_CODE else "no code"
    problem = f"Slack answered {status} ({known}); look it up in Slack's documentation of chat.postMessage"
    return UndeliveredError(problem, channel=SLACK)


def _retry_after(headers: Mapping[str, Any]) -> float:
    lowered = {str(name).lower(): value for name, value in headers.items()}
    value = lowered.get("retry-after")
    return parse_retry_after(value[0] if isinstance(value, list) else value)
