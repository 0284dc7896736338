"""The addresses of the control plane."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

admin.autodiscover()

# These register the admin's own pages, and so come after what others register.
from migrations_app.admin import account, signing_in  # noqa: E402

handler403 = "migrations_app.admin.errors.forbidden"

urlpatterns = [
    path("admin/login/", signing_in.sign_in),
    path("admin/signed-in/", signing_in.still_signed_in, name="signed_in"),
    path("admin/account/two-factor/", account.two_factor, name="two_factor"),
    path("admin/", admin.site.urls),
    path("api/v1/", include("migrations_app.api.urls")),
    path("", RedirectView.as_view(pattern_name="admin:index"), name="home"),
]
