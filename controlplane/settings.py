"""Django's settings, and with `environment.py` the only reader of environment variables.

Without SECRET_KEY this is a development installation: it makes its keys in `var/`, shows error pages and
answers on the loopback address only. With SECRET_KEY it is a real one, and everything that protects it is on.
"""

from __future__ import annotations

import socket
from datetime import timedelta
from pathlib import Path
from typing import Any

import environ
from django.core.exceptions import ImproperlyConfigured
from django.templatetags.static import static
from django.urls import reverse_lazy

from controlplane import environment, keys

BASE_DIR = Path(__file__).resolve().parent.parent

env = environ.Env()
VAR_DIR = Path(env.str("DMS_VAR_DIR", default=str(BASE_DIR / "var")))

DEBUG = env.bool("DEBUG", default="SECRET_KEY" not in env.ENVIRON)
SECRET_KEY = keys.secret_key_in(VAR_DIR / "django.key") if DEBUG else env.str("SECRET_KEY")
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])

# --- What a mapping may name, and how secrets are kept --------------------------------------------
#: Fernet keys: the first encrypts, all decrypt. Not SECRET_KEY: the two are replaced for different reasons.
DMS_SECRET_KEYS: list[str] = (
    env.list("DMS_SECRET_KEYS")
    if "DMS_SECRET_KEYS" in env.ENVIRON or not DEBUG
    else keys.fernet_keys_in(VAR_DIR / "secret.keys")
)
#: Beginnings of environment variables that `env:NAME` may name; the setting replaces the whole list.
DMS_ENV_PREFIXES: tuple[str, ...] = tuple(env.list("DMS_ENV_PREFIXES", default=environment.ALLOWED_PREFIXES))
#: The one way for the application to the environment: name in, value or None out.
DMS_ENV_READ = environment.read
DMS_ENV_IS_ALLOWED = environment.is_allowed
#: Packages from which a mapping may name functions (get_table_name, process_dict). None by default: such a
#: function runs with everything that the service can reach.
DMS_FUNCTION_PREFIXES: tuple[str, ...] = tuple(env.list("DMS_FUNCTION_PREFIXES", default=[]))

# --- Runs -----------------------------------------------------------------------------------------
#: Fields of `connectors.base.Options`; each can be set by DMS_ and its name in capitals.
DMS_OPTIONS: dict[str, Any] = {
    "clock_margin_s": env.float("DMS_CLOCK_MARGIN_S", default=60.0),
    "writers_wait_s": env.float("DMS_WRITERS_WAIT_S", default=5.0),
    "key_overlap": env.int("DMS_KEY_OVERLAP", default=10_000),
    "max_delete_fraction": env.float("DMS_MAX_DELETE_FRACTION", default=0.5),
    "delete_guard_rows": env.int("DMS_DELETE_GUARD_ROWS", default=1000),
    "connect_timeout_s": env.int("DMS_CONNECT_TIMEOUT_S", default=10),
    "statement_timeout_s": env.int("DMS_STATEMENT_TIMEOUT_S", default=0),
    "lock_timeout_s": env.int("DMS_LOCK_TIMEOUT_S", default=30),
    "chunk_bytes": env.int("DMS_CHUNK_BYTES", default=64 * 1024 * 1024),
    "commit_bytes": env.int("DMS_COMMIT_BYTES", default=256 * 1024 * 1024),
    "spool_dir": env.str("DMS_SPOOL_DIR", default=""),
}
#: How long a run may be silent before another may take its stream over, and how often it renews.
DMS_LEASE_S = env.float("DMS_LEASE_S", default=60.0)
DMS_HEARTBEAT_S = env.float("DMS_HEARTBEAT_S", default=15.0)
#: The name under which this host's worker is known. Hosts that share a control database need different ones.
DMS_HOST = env.str("DMS_HOST", default=socket.gethostname())
#: How many runs read from one source at a time, unless the source has a number of its own; 0 for any number.
DMS_SOURCE_CONCURRENCY = env.int("DMS_SOURCE_CONCURRENCY", default=8)
#: How often, in a row, a run is resumed that never comes further, and how long it waits the first time, doubled each
#: time after that; and how often it connects anew by itself.
DMS_RESUME_DELAY_S = env.float("DMS_RESUME_DELAY_S", default=10.0)
DMS_RESUME_LIMIT = env.int("DMS_RESUME_LIMIT", default=5)
DMS_RECONNECTS = env.int("DMS_RECONNECTS", default=5)
#: How long an operator's stop waits before the process is killed.
DMS_STOP_GRACE_S = env.float("DMS_STOP_GRACE_S", default=30.0)
#: Where notifications go: Slack's web API, and a webhook of the installation's own, which gets signed events.
DMS_SLACK_API_URL = env.str("DMS_SLACK_API_URL", default="https://slack.com/api/")
DMS_WEBHOOK_URL = env.str("DMS_WEBHOOK_URL", default="")
DMS_WEBHOOK_SECRET = env.str("DMS_WEBHOOK_SECRET", default="")
#: Where crash tests make a run fail; see connectors/faults.py.
DMS_FAULT = env.str("DMS_FAULT", default="")

# --- Where connections may go ---------------------------------------------------------------------
#: Networks in CIDR. Link-local and metadata addresses are always forbidden, and loopback is outside of development:
#: `connectors/egress.py` has the list. What is allowed here is not forbidden there.
DMS_ALLOWED_NETWORKS: tuple[str, ...] = tuple(env.list("DMS_ALLOWED_NETWORKS", default=[]))
DMS_FORBIDDEN_NETWORKS: tuple[str, ...] = tuple(env.list("DMS_FORBIDDEN_NETWORKS", default=[]))
DMS_ALLOW_LOOPBACK = env.bool("DMS_ALLOW_LOOPBACK", default=DEBUG)

# --- Monitoring -----------------------------------------------------------------------------------
#: Whoever asks for /metrics has to show it as a bearer token; empty for nobody.
DMS_METRICS_TOKEN = env.str("DMS_METRICS_TOKEN", default="")
#: From which age on /readyz is red: runs that wait in the queue, news that a store has not taken. 0 for never.
DMS_READY_QUEUE_S = env.float("DMS_READY_QUEUE_S", default=900.0)
DMS_READY_MIRROR_S = env.float("DMS_READY_MIRROR_S", default=3600.0)

# --- The audit log --------------------------------------------------------------------------------
#: For how many days an entry is kept; 0 for ever.
DMS_AUDIT_DAYS = env.int("DMS_AUDIT_DAYS", default=400)
if not 0 <= DMS_AUDIT_DAYS <= 100 * 366:
    message = "DMS_AUDIT_DAYS is a number of days, at most a hundred years; 0 keeps entries for ever"
    raise ImproperlyConfigured(message)

# --- Django ---------------------------------------------------------------------------------------
INSTALLED_APPS = [
    "unfold",
    "unfold.contrib.filters",
    # urls.py imports the admin's pages; commands, which start many times an hour, do without them.
    "django.contrib.admin.apps.SimpleAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_q",
    "axes",
    "django_otp",
    # The tables of the two are empty: a Django migration of ours has moved what they held, and its way back needs them.
    "django_otp.plugins.otp_totp",
    "django_otp.plugins.otp_static",
    "migrations_app",
]
MIDDLEWARE = [
    "controlplane.monitors.Monitors",
    "django.middleware.security.SecurityMiddleware",
    "controlplane.policy.ContentPolicy",
    "controlplane.sizes.Sizes",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django_otp.middleware.OTPMiddleware",
    "migrations_app.second_step.SecondStep",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "migrations_app.zones.SettingsZone",
    "axes.middleware.AxesMiddleware",
]
ROOT_URLCONF = "controlplane.urls"
WSGI_APPLICATION = "controlplane.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.debug",
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- The control database -------------------------------------------------------------------------
DATABASE: dict[str, Any] = env.db_url("DATABASE_URL", default=f"sqlite:///{VAR_DIR / 'control.sqlite3'}")
if "ENGINE" not in DATABASE:
    message = (
        "DATABASE_URL is no address of a database; give postgresql://USER:PASSWORD@HOST:5432/NAME, or leave it out"
    )
    raise ImproperlyConfigured(message)
DATABASE.update(ATOMIC_REQUESTS=False, CONN_MAX_AGE=0, CONN_HEALTH_CHECKS=True)
if DATABASE["ENGINE"].endswith("sqlite3"):
    # IMMEDIATE takes the write lock at BEGIN, where SQLite waits for it. Django's default takes it at the
    # first write and fails at once when another process wrote in between: 3% of commits with 8 processes.
    DATABASE["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    }
    VAR_DIR.mkdir(parents=True, exist_ok=True)
else:
    # A server that is not there is noticed before whoever asked has gone.
    DATABASE.setdefault("OPTIONS", {}).setdefault("connect_timeout", 10)
DATABASES = {"default": DATABASE}

# --- Language, time, files ------------------------------------------------------------------------
LANGUAGE_CODE = "en"
USE_I18N = False
TIME_ZONE = "UTC"
USE_TZ = True
FORMAT_MODULE_PATH = "controlplane.formats"
STATIC_URL = "static/"
STATIC_ROOT = Path(env.str("DMS_STATIC_DIR", default=str(VAR_DIR / "static")))
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    },
}
# In development the files come from the packages; STATIC_ROOT exists after `collectstatic` only.
WHITENOISE_USE_FINDERS = DEBUG
WHITENOISE_AUTOREFRESH = DEBUG

LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "admin:index"

# --- Safety ---------------------------------------------------------------------------------------
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
SESSION_COOKIE_HTTPONLY = True
#: From signing in on, whatever is done meanwhile.
SESSION_COOKIE_AGE = int(env.float("DMS_SESSION_HOURS", default=12.0) * 60 * 60)
X_FRAME_OPTIONS = "DENY"
#: The page of a mapping has thirty fields a spec, and up to 200 specs come from discovery.
DATA_UPLOAD_MAX_NUMBER_FIELDS = 20_000
if not DEBUG:
    SECURE_SSL_REDIRECT = env.bool("SECURE_SSL_REDIRECT", default=True)
    SECURE_HSTS_SECONDS = env.int("SECURE_HSTS_SECONDS", default=365 * 24 * 60 * 60)
    SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    SECURE_HSTS_PRELOAD = True
    SESSION_COOKIE_SECURE = True
    CSRF_COOKIE_SECURE = True
    if env.bool("BEHIND_TLS_PROXY", default=False):
        SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

# --- Signing in -----------------------------------------------------------------------------------
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
#: So many wrong passwords for one name from one address lock the two for so long. Tokens of the API are not concerned.
AXES_FAILURE_LIMIT = env.int("DMS_SIGN_IN_FAILURES", default=5)
AXES_COOLOFF_TIME = timedelta(minutes=env.float("DMS_SIGN_IN_LOCK_MINUTES", default=15.0))
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_ON_SUCCESS = True
# Else whoever is locked out and tries again waits anew, and what the page says of the time is wrong.
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_USERNAME_CALLABLE = "migrations_app.admin.signing_in.name_of"
AXES_CLIENT_IP_CALLABLE = "migrations_app.admin.signing_in.address_of"
AXES_LOCKOUT_CALLABLE = "migrations_app.admin.signing_in.locked_out"
AXES_ENABLE_ADMIN = False
AXES_DISABLE_ACCESS_LOG = True
AXES_VERBOSE = False
#: Who has to have a second factor: none, admins or all.
DMS_REQUIRE_TWO_FACTOR = env.str("DMS_REQUIRE_TWO_FACTOR", default="none")
if DMS_REQUIRE_TWO_FACTOR not in {"none", "admins", "all"}:
    message = "DMS_REQUIRE_TWO_FACTOR is none, admins or all"
    raise ImproperlyConfigured(message)
OTP_TOTP_ISSUER = env.str("DMS_TWO_FACTOR_ISSUER", default="Data migration")

# --- REST, queue, admin ---------------------------------------------------------------------------
#: The views name their own classes; see migrations_app/api/view.py. Whatever forgets to is closed to everybody.
REST_FRAMEWORK = {
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAdminUser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "migrations_app.api.problems.handle",
    "UNAUTHENTICATED_USER": None,
}
#: Requests of one caller in each web process, as 1200/minute; empty for any number.
DMS_API_RATE = env.str("DMS_API_RATE", default="1200/minute")
#: Bytes that a request may hold.
DMS_API_BODY_BYTES = env.int("DMS_API_BODY_BYTES", default=4 * 1024 * 1024)
DMS_BEHIND_PROXY = not DEBUG and env.bool("BEHIND_TLS_PROXY", default=False)
SPECTACULAR_SETTINGS = {
    "TITLE": "Data migration service",
    "DESCRIPTION": "Register, check, run and watch mappings. How to use it is in docs/api.md.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "POSTPROCESSING_HOOKS": ["migrations_app.api.openapi.finish"],
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
}
#: The queue carries run ids only, and the database is the authority. One task at a time waits in a worker's
#: hands (`queue_limit`, `bulk`): django-q2 counts `retry` from the moment a task is fetched. `guard_cycle`
#: stays 0.5, since a hung worker is ended only when its countdown hits zero exactly.
DMS_RUN_WORKERS = env.int("DMS_RUN_WORKERS", default=4)
#: Redis carries the tasks when it is named, else the control database does. What Redis loses is sent again.
DMS_BROKER_URL = env.str("DMS_BROKER_URL", default="")
Q_CLUSTER: dict[str, Any] = {
    "name": "control",
    **({"broker_class": "controlplane.broker.RedisBroker"} if DMS_BROKER_URL else {"orm": "default"}),
    "poll": 0.5,
    # A tick, the one that takes over from it, and what the two hand on.
    "workers": 3,
    "queue_limit": 1,
    "bulk": 1,
    "timeout": 300,
    "retry": 1500,
    "max_attempts": 3,
    "ack_failures": True,
    "catch_up": False,
    "guard_cycle": 0.5,
    "recycle": 200,
    "save_limit": 2000,
    "save_limit_per": "func",
    "time_zone": "UTC",
    "ALT_CLUSTERS": {
        # A task is one worker's turn of service, as long as there is something to run: no limit of time is right
        # for it (-1), and a new process each time forks its runs without another thread beside it.
        "runs": {
            "workers": DMS_RUN_WORKERS,
            "poll": 0.2,
            "queue_limit": 1,
            "bulk": 1,
            "timeout": -1,
            "retry": 7 * 24 * 60 * 60,
            "max_attempts": 1,
            "ack_failures": True,
            "recycle": 1,
        }
    },
}
UNFOLD = {
    "SITE_TITLE": "Data migration",
    "SITE_HEADER": "Data migration",
    "SITE_SYMBOL": "sync_alt",
    # There is no other site to go back to.
    "SITE_URL": None,
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": lambda _request: static("dms/favicon.svg")}],
    "SHOW_VIEW_ON_SITE": False,
    "ACCOUNT": {"navigation": [{"title": "Second factor", "link": reverse_lazy("two_factor")}]},
    "STYLES": [lambda _request: static("dms/unfold_fixes.css"), lambda _request: static("dms/dms.css")],
    "SCRIPTS": [lambda _request: static("dms/unfold_fixes.js"), lambda _request: static("dms/dms.js")],
    "DASHBOARD_CALLBACK": "migrations_app.admin.home.dashboard",
    "SIDEBAR": {"show_search": False, "navigation": "migrations_app.admin.sidebar.navigation"},
}

# --- Logs -----------------------------------------------------------------------------------------
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "text": {
            "()": "controlplane.logs.TextFormatter",
            "format": "%(asctime)s %(levelname)s %(name)s %(message)s",
        },
        "json": {"()": "controlplane.logs.JsonFormatter"},
    },
    "handlers": {
        "stderr": {
            "class": "logging.StreamHandler",
            "formatter": "json" if env.str("DMS_LOG_FORMAT", default="text") == "json" else "text",
        }
    },
    "root": {"handlers": ["stderr"], "level": env.str("DMS_LOG_LEVEL", default="WARNING").upper()},
}
