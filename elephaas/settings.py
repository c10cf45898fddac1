"""Safe defaults of the site, completed by the site's own local settings.

The local settings are ``elephaas/local_settings.py``, made by moving
``local_settings.example.py``, or the file named by the environment variable
``ELEPHAAS_SETTINGS_FILE``. Every capital name in them replaces the default here.
"""

from __future__ import annotations

import os
import runpy
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured

BASE_DIR = Path(__file__).resolve().parent.parent


def _local_settings() -> dict[str, Any]:
    """Return the capital names of the site's own settings file.

    Raises:
        ImproperlyConfigured: when there is no such file, with what to do.
    """
    default = BASE_DIR / "elephaas" / "local_settings.py"
    path = Path(os.environ.get("ELEPHAAS_SETTINGS_FILE") or default)
    if not path.is_file():
        raise ImproperlyConfigured(
            f"There are no local settings at {path}. "
            "Move elephaas/local_settings.example.py to "
            "elephaas/local_settings.py and edit it, or name your settings file in "
            "the environment variable ELEPHAAS_SETTINGS_FILE."
        )
    return {
        name: value
        for name, value in runpy.run_path(str(path)).items()
        if name.isupper()
    }


# What the local settings usually decide ----------------------------------------

DEBUG = False

SECRET_KEY = ""

ALLOWED_HOSTS: list[str] = []

DATABASES: dict[str, dict[str, Any]] = {}

PUBLIC_KEY = ""

# Shell templates, filled in for one instance; every value is quoted where it is put.
# Stopping is always fast: a smart stop waits for the last client, perhaps for ever.
COMMANDS = {
    "base": "pg_ctlcluster {version[0]} {inst.herd.base_name}",
    "start": "{COMMANDS[base]} start",
    "stop": "{COMMANDS[base]} stop -m fast",
    "reload": "{COMMANDS[base]} reload",
    "promote": "{COMMANDS[base]} promote",
    "init": (
        "pg_createcluster -d {pgdata} -p {inst.herd.db_port} "
        "{version[0]} {inst.herd.base_name}"
    ),
}

SSH: dict[str, Any] = {}

OPERATIONS: dict[str, Any] = {}

DNS: dict[str, Any] = {}

NOTIFICATIONS: dict[str, Any] = {}

RETENTION: dict[str, Any] = {}

ATTENTION: dict[str, Any] = {}

METRICS: dict[str, Any] = {}

LINKS: dict[str, Any] = {}

# The application ---------------------------------------------------------------

INSTALLED_APPS = [
    # First, so that its runserver is the one that is run.
    "herds",
    "elephaas.apps.ElephaasAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "axes",
    "django_htmx",
    "procrastinate.contrib.django",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "csp.middleware.CSPMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    # Last: it turns the refusal of a login into its page.
    "axes.middleware.AxesMiddleware",
]

ROOT_URLCONF = "elephaas.urls"

WSGI_APPLICATION = "elephaas.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{validator}"}
    for validator in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]

AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.ModelBackend"]

# Whoever fails five times to log in under one name from one address waits; others, and
# the same name from elsewhere, do not, so that nobody can lock a colleague out.
AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = timedelta(minutes=5)
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_ON_SUCCESS = True
AXES_LOCKOUT_TEMPLATE = "admin/herds/locked_out.html"
AXES_HTTP_RESPONSE_CODE = 429
AXES_ENABLE_ADMIN = False
AXES_DISABLE_ACCESS_LOG = True
AXES_VERBOSE = False

# A working day: who has lost the right to log in loses the session with it.
SESSION_COOKIE_AGE = 12 * 60 * 60

# What pages may load: our own files, and nothing written into a page.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "font-src": ["'self'"],
        "connect-src": ["'self'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'none'"],
        "base-uri": ["'none'"],
    }
}
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"

LANGUAGE_CODE = "en-us"
USE_I18N = False
TIME_ZONE = "UTC"
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
STATICFILES_DIRS = [BASE_DIR / "static"]

# The worker knows its one task by itself; modules named tasks are not looked for.
PROCRASTINATE_AUTODISCOVER_MODULE_NAME = ""

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"},
    },
    "handlers": {
        "console": {"class": "logging.StreamHandler", "formatter": "line"},
    },
    "root": {"handlers": ["console"], "level": "WARNING"},
    "loggers": {
        "herds": {"level": "INFO"},
        # Django's own logger mails to ADMINS, or writes only while debugging.
        "django": {"handlers": [], "level": "INFO", "propagate": True},
        "django.server": {"propagate": False},
    },
}

# The site's own settings, and what follows from them ---------------------------

globals().update(_local_settings())

# Browsers send cookies over TLS only, except to a development server.
SESSION_COOKIE_SECURE = globals().get("SESSION_COOKIE_SECURE", not DEBUG)
CSRF_COOKIE_SECURE = globals().get("CSRF_COOKIE_SECURE", not DEBUG)

# Nor do they ask without TLS again, once they have been here; the first page that is
# asked for without it leads to itself. A site that gives cookies without TLS, in a
# closed network, goes without both.
SECURE_SSL_REDIRECT = globals().get("SECURE_SSL_REDIRECT", SESSION_COOKIE_SECURE)
SECURE_HSTS_SECONDS = globals().get(
    "SECURE_HSTS_SECONDS", 365 * 24 * 60 * 60 if SESSION_COOKIE_SECURE else 0
)
# Whatever balances load asks on the machine itself, and is told nothing secret.
SECURE_REDIRECT_EXEMPT = [
    *globals().get("SECURE_REDIRECT_EXEMPT", ()),
    "^(healthz|readyz)$",
]
SECURE_HSTS_INCLUDE_SUBDOMAINS = globals().get("SECURE_HSTS_INCLUDE_SUBDOMAINS", True)
# Whether browsers ship with that knowledge is up to the owner of the whole domain.
SILENCED_SYSTEM_CHECKS = [
    *globals().get("SILENCED_SYSTEM_CHECKS", ()),
    "security.W021",
]

STORAGES = globals().get("STORAGES") or {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        # Names with a digest of the content can be cached for ever, but have to be
        # collected first (manage.py collectstatic); debugging goes without.
        "BACKEND": (
            "django.contrib.staticfiles.storage.StaticFilesStorage"
            if DEBUG
            else "whitenoise.storage.CompressedManifestStaticFilesStorage"
        )
    },
}

# While debugging on one's own machine, sessions need some key that stays the same
# over restarts. Everywhere else this one is refused (see herds/checks.py).
DEBUGGING_KEY = "only-for-debugging-on-ones-own-machine-never-for-a-service"
if DEBUG and not SECRET_KEY:
    SECRET_KEY = DEBUGGING_KEY

# It refuses who guesses passwords before any other looks at them.
_GUESSING = "axes.backends.AxesStandaloneBackend"
AUTHENTICATION_BACKENDS = [
    _GUESSING,
    *(name for name in AUTHENTICATION_BACKENDS if name != _GUESSING),
]

for _database in DATABASES.values():
    _database.setdefault("CONN_MAX_AGE", 600)
    _database.setdefault("CONN_HEALTH_CHECKS", True)
