"""Settings of the tests: the example as shipped, with a private metadata server.

The server's address is filled in by ``tests/conftest.py`` once a test wants it.
"""

import os
from pathlib import Path

os.environ["ELEPHAAS_SETTINGS_FILE"] = str(
    Path(__file__).parent.parent / "elephaas" / "local_settings.example.py"
)

from elephaas.settings import *  # noqa: F403

DEBUG = False
SECRET_KEY = "tests"
ALLOWED_HOSTS = ["testserver", "localhost"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
# Pages are rendered without collecting static files first.
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
WHITENOISE_AUTOREFRESH = True
# Nothing changes beside what a test does; those of the refresh switch it on.
REFRESH = {"INTERVAL": 0, "NAMES_INTERVAL": 0}
