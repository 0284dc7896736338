"""What other packages registered goes: nobody needs it, and some of it is dangerous.

The queue's admin can be made to run any function by its name, so that whoever may edit a schedule owns the host. The
pages of second factors show their secrets.
"""

from __future__ import annotations

# They register what goes here, whoever imports first.
import django_otp.plugins.otp_static.admin
import django_otp.plugins.otp_totp.admin  # noqa: F401
import django_q.admin  # noqa: F401
from django.apps import apps
from django.contrib import admin

_FOREIGN = ("django_q", "axes", "otp_totp", "otp_static")

for label in _FOREIGN:
    for model in apps.get_app_config(label).get_models():
        if admin.site.is_registered(model):
            admin.site.unregister(model)
