"""Second factors of people: apps that show codes, whose keys are sealed, and recovery codes, kept as digests."""

from __future__ import annotations

import secrets as randomness
from base64 import b32encode
from binascii import hexlify, unhexlify
from collections.abc import Iterable
from time import time
from urllib.parse import quote, urlencode

from django.conf import settings
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.db import models
from django.utils.crypto import constant_time_compare, get_random_string
from django_otp.models import Device, ThrottlingMixin, TimestampMixin
from django_otp.oath import TOTP

from migrations_app import secrets
from migrations_app.models.fields import SealedField

#: What apps take unless they are told otherwise, and some whatever they are told: six digits, each 30 seconds.
STEP_S = 30
DIGITS = 6
#: How many steps the app's clock may be off beyond what is known of it.
_TOLERANCE = 1
_KEY_BYTES = 20
_KEY = "key"
#: 80 bits: nobody guesses such a code from its digest, whatever that costs a guess.
_CODE_BYTES = 10
#: For the codes of 40 bits that were made before. Of Django's own number, ten codes would take seconds.
_ITERATIONS = 100_000


class _SlowedDevice(TimestampMixin, ThrottlingMixin, Device):  # type: ignore[misc]
    """A device of which codes cannot be guessed one after the other."""

    class Meta:
        abstract = True

    def get_throttle_factor(self) -> int:
        """Wrong codes are followed by a pause of 1, 2, 4 ... seconds."""
        return 1

    def _take(self) -> None:
        """Keep that a code was right, with what else has changed of the device."""
        self.throttle_reset(commit=False)
        self.set_last_used_timestamp(commit=False)
        self.save()


class AppDevice(_SlowedDevice):
    """An app that shows a code every half minute.

    Attributes:
        secrets: The key of the codes, sealed.
        drift: By how many steps the app's clock is known to be off.
        last_t: The step of the last code that was taken; earlier ones are taken no more.
    """

    secrets = SealedField()
    drift = models.SmallIntegerField(default=0)
    last_t = models.BigIntegerField(default=-1)

    class Meta:
        verbose_name = "second factor"
        default_permissions = ()

    @property
    def bin_key(self) -> bytes:
        """The key.

        Raises:
            SecretUnreadableError: It was sealed with a key that is gone.
        """
        return unhexlify(secrets.unseal(self.secrets[_KEY]))

    def verify_token(self, token: str) -> bool:
        """Whether this is a code of now that was not taken yet; afterwards it was.

        Raises:
            SecretUnreadableError: The key of the codes was sealed with a key that is gone.
        """
        is_allowed, _ = self.verify_is_allowed()
        if not is_allowed:
            return False
        clock = TOTP(self.bin_key, STEP_S, digits=DIGITS, drift=self.drift)
        # One moment for all that is asked of it.
        clock.time = time()
        if not token.isdecimal() or not clock.verify(int(token), _TOLERANCE, self.last_t + 1):
            self.throttle_increment()
            return False
        self.last_t, self.drift = clock.t(), clock.drift
        self._take()
        return True

    @property
    def shown_key(self) -> str:
        """The key as people type it into an app."""
        return b32encode(self.bin_key).decode()

    @property
    def address(self) -> str:
        """The key as apps read it from a picture.

        Source: https://github.com/google/google-authenticator/wiki/Key-Uri-Format
        """
        label = str(self.user.get_username())
        about = {"secret": self.shown_key, "algorithm": "SHA1", "digits": DIGITS, "period": STEP_S}
        if issuer := settings.OTP_TOTP_ISSUER.replace(":", ""):
            label = f"{issuer}:{label}"
            about["issuer"] = issuer
        return f"otpauth://totp/{quote(label)}?{urlencode(about, quote_via=quote)}"


def new_app_secrets() -> dict[str, str]:
    """What an `AppDevice` keeps of a new key."""
    return secrets.seal_all({_KEY: hexlify(randomness.token_bytes(_KEY_BYTES)).decode()})


class RecoveryDevice(_SlowedDevice):
    """The recovery codes of somebody that have not been used."""

    codes: models.Manager[RecoveryCode]

    class Meta:
        verbose_name = "set of recovery codes"
        verbose_name_plural = "sets of recovery codes"
        default_permissions = ()

    def verify_token(self, token: str) -> bool:
        """Whether this is one of the codes; afterwards it is one no more."""
        is_allowed, _ = self.verify_is_allowed()
        if not is_allowed:
            return False
        codes = list(self.codes.all())
        # The codes of a set have one salt, so that a guess costs one digest and not ten.
        digests = {salt: _digest(token, *salt) for salt in {_salt_of(code.digest) for code in codes}}
        found = [code for code in codes if constant_time_compare(code.digest, digests[_salt_of(code.digest)])]
        if not found:
            self.throttle_increment()
            return False
        found[0].delete()
        self._take()
        return True


class RecoveryCode(models.Model):
    """A recovery code, of which nothing but the digest is known.

    Attributes:
        digest: In the form of Django's password hashers, which says how it was made.
    """

    device = models.ForeignKey(RecoveryDevice, on_delete=models.CASCADE, related_name="codes")
    digest = models.CharField(max_length=128)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return "recovery code"


def new_recovery_code() -> str:
    """A code that nobody has had, in groups of four, as people copy it."""
    text = b32encode(randomness.token_bytes(_CODE_BYTES)).decode().lower()
    return "-".join(text[start : start + 4] for start in range(0, len(text), 4))


def digests_of(codes: Iterable[str]) -> list[str]:
    """What is kept of the codes of one set. Call it with codes as `bare` returns them."""
    salt = get_random_string(22)
    return [_digest(code, _ITERATIONS, salt) for code in codes]


def bare(typed: str) -> str:
    """A code without what people type between its letters and digits."""
    return "".join(typed.split()).replace("-", "").lower()


def _digest(code: str, iterations: int, salt: str) -> str:
    return str(PBKDF2PasswordHasher().encode(code, salt, iterations))


def _salt_of(digest: str) -> tuple[int, str]:
    _, iterations, salt, _ = digest.split("$", 3)
    return int(iterations), salt
