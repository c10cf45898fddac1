"""Local settings of this ElepHaaS, read by its pages, its workers and elephaas-manage.

As installed it is a safe service: pages over TLS only, behind a web server; metadata in
database "admin" of this machine's own PostgreSQL, as user "elephaas" and without a
password. What may stand here is explained in
/usr/share/doc/elephaas/settings.md. After a change:

    elephaas-manage doctor
    systemctl restart elephaas-web elephaas-worker
"""

import socket
from pathlib import Path

DEBUG = False

# Made when the package was installed; it signs sessions.
SECRET_KEY = Path("/etc/elephaas/secret_key").read_text().strip()

# The names under which browsers reach this site.
ALLOWED_HOSTS = [socket.getfqdn()]

# The web server in front says in this header that a page was asked for over TLS, and
# removes it from what browsers send (see examples/nginx.conf of the documentation).
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

# The metadata. Passwords belong in /var/lib/elephaas/.pgpass, not here.
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "admin",
        "USER": "elephaas",
        "HOST": "/run/postgresql",
        "OPTIONS": {"options": "-c search_path=utility"},
    }
}

# How this service logs in on the database servers; the key was made when the package
# was installed. Its public half belongs in ~postgres/.ssh/authorized_keys there.
SSH = {
    "USER": "postgres",
    "PORT": 22,
    "PRIVATE_KEY_FILE": "/var/lib/elephaas/.ssh/id_ed25519",
}
PUBLIC_KEY = Path("/var/lib/elephaas/.ssh/id_ed25519.pub").read_text().strip()

# COMMANDS, OPERATIONS, DNS, LDAP and the rest: see local_settings.example.py beside
# settings.md.
