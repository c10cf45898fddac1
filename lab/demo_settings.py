"""Writes the local settings with which ElepHaaS runs in the demonstration."""

from pathlib import Path

_TEMPLATE = '''\
"""Local settings of the demonstration, made by the lab; they go when it goes."""

DEBUG = False
SECRET_KEY = {secret_key!r}
ALLOWED_HOSTS = ["localhost", "127.0.0.1"]

DATABASES = {{
    "default": {{
        "ENGINE": "django.db.backends.postgresql",
        "NAME": {database!r},
        "HOST": {socket_directory!r},
        "USER": "postgres",
        "OPTIONS": {{"options": "-c search_path=utility"}},
    }}
}}

PUBLIC_KEY = {public_key!r}
SSH = {{"PRIVATE_KEY_FILE": {private_key_file!r}}}
DNS = {{"KEY_FILE": {dns_key_file!r}}}

STATIC_ROOT = {static_root!r}

# The page is read on this machine only, over plain HTTP.
SESSION_COOKIE_SECURE = False
CSRF_COOKIE_SECURE = False
'''

DATABASE = "admin"


def text(
    *,
    secret_key: str,
    metadata: Path,
    private_key_file: Path,
    dns_key_file: Path,
    static_root: Path,
) -> str:
    """Return the settings file.

    ``metadata`` is the directory of the private metadata server, where its socket is;
    the public key is read beside the private one.
    """
    return _TEMPLATE.format(
        secret_key=secret_key,
        database=DATABASE,
        socket_directory=str(metadata),
        public_key=private_key_file.with_suffix(".pub").read_text().strip(),
        private_key_file=str(private_key_file),
        dns_key_file=str(dns_key_file),
        static_root=str(static_root),
    )
