"""Local settings of this site. Move this file to local_settings.py and edit it.

As it stands it serves a try-out on one's own machine, as in the talk:

    createdb admin
    psql admin -c 'CREATE SCHEMA utility;'
    python manage.py migrate
    python manage.py createsuperuser
    python manage.py runserver

For a service, change DEBUG, SECRET_KEY and ALLOWED_HOSTS first; `manage.py check
--deploy` names what is still missing. Any other Django setting may be set here too.
"""

# True serves the static files from the source, explains errors in the browser,
# answers to localhost only and lets cookies travel without TLS. A service sets False.
DEBUG = True

# Signs sessions and password resets; may stay empty while DEBUG is True. Make one with
#   python -c 'import secrets; print(secrets.token_urlsafe(50))'
SECRET_KEY = ""

# The names under which browsers reach this site, such as ["elephaas.example.com"].
# With DEBUG an empty list means localhost.
ALLOWED_HOSTS = []

# A service is reached over TLS, usually through a proxy that sets this header and
# removes it from what browsers send; then pages may be sent from these origins.
# SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
# CSRF_TRUSTED_ORIGINS = ["https://elephaas.example.com"]
# Only in a closed network without TLS: browsers send cookies without it, too.
# SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = False

# The metadata: database "admin", schema "utility". What is not given here (HOST,
# PORT, USER, PASSWORD) is taken from PGHOST, PGPORT, PGUSER, ~/.pgpass and the other
# defaults of every PostgreSQL client.
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "admin",
        "OPTIONS": {"options": "-c search_path=utility"},
    }
}

# The public half of the key below, one line of text ("ssh-ed25519 AAAA... elephaas").
# It is shown when a server is added, because it has to stand in
# ~/.ssh/authorized_keys of the remote user there.
PUBLIC_KEY = ""

# How this service logs in on the database servers. Make the pair of keys with
#   ssh-keygen -t ed25519 -N '' -C elephaas -f ~/.ssh/id_ed25519
SSH = {
    "USER": "postgres",  # the owner of the PostgreSQL instances
    "PORT": 22,
    "PRIVATE_KEY_FILE": "~/.ssh/id_ed25519",
    "CONNECT_TIMEOUT": 5.0,  # seconds until a silent host counts as unreachable
    "COMMAND_TIMEOUT": 60.0,  # seconds a command may take unless its action says more
}

# The shell commands run on the database servers, as the user above. They may use
#   {COMMANDS[base]}        another of these commands
#   {pgdata}                the instance's data directory
#   {version[0]}            the parts of its version: 15 and 4 of 15.4
#   {inst.herd.base_name}   anything of the instance: inst.herd.db_port,
#                           inst.herd.vhost, inst.server.hostname, ...
# Each value is quoted for the shell where it is put; do not quote a field yourself.
# These drive Debian's postgresql-common.
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

# Anywhere else plain pg_ctl does; PostgreSQL's own packages for Red Hat's systems have
# it in /usr/pgsql-{version[0]}/bin. The log file keeps the server's output away from
# the SSH connection, which would stay open with it; its end tells why a start failed.
# COMMANDS = {
#     "base": "/usr/lib/postgresql/{version[0]}/bin/pg_ctl -D {pgdata}",
#     "start": (
#         "{COMMANDS[base]} -w -l {pgdata}/startup.log start"
#         " || ! tail -n 5 {pgdata}/startup.log >&2"
#     ),
#     "stop": "{COMMANDS[base]} -w -m fast stop",
#     "reload": "{COMMANDS[base]} reload",
#     "promote": "{COMMANDS[base]} -w promote",
#     "init": "/usr/lib/postgresql/{version[0]}/bin/initdb -D {pgdata}",
# }

# How bulk actions run; the values shown are the defaults.
# OPERATIONS = {
#     "CONCURRENCY": 32,  # herds that one operation works on at the same time
#     "WORKER_THREADS": 32,  # herds that one worker works on at the same time
#     "PLAN_LIFETIME": 900.0,  # seconds until a plan can no longer be confirmed
#     "PATIENCE": 60.0,  # seconds to wait for a state after a command came back
# }

# How workers keep the inventory fresh by themselves, beside all operations: they look
# at every instance over the connections that they keep. Switch it off for environments
# whose hosts have agents. The values shown are the defaults.
# REFRESH = {
#     "INTERVAL": 30.0,  # seconds from one look at a host to the next; 0: none
#     "JITTER": 0.1,  # by which part of the interval it varies
#     "AT_ONCE": 32,  # hosts that one worker looks at at the same time
#     "NAMES_INTERVAL": 300.0,  # seconds between looks at a virtual host; 0: none
# }

# How virtual hosts follow the primary: a CNAME, moved by signed updates of its zone.
# Empty, DNS is not managed. Make the key with tsig-keygen and let the zone's server
# know it; docs/settings.md tells the rest.
# DNS = {
#     "KEY_FILE": "/etc/elephaas/dns.key",
#     "SERVERS": [],  # addresses; empty: those that the zone names itself
#     "ZONES": {},  # zones with a key or servers of their own
#     "DOMAIN": "",  # of host names without one; empty: as this machine searches
#     "TTL": 300,  # seconds of a new record
#     "TIMEOUT": 2.0,  # seconds to wait for a name server
# }

# Who is told of what, by mail, chat or webhook. The file lists the receivers, with the
# environments they hear of; docs/notifications.md shows how it is written.
# NOTIFICATIONS = {
#     "CONFIG_FILE": "/etc/elephaas/notifications.yml",
#     "EVENTS": ["failed", "approval", "attention"],  # "ended" tells successes too
#     "URL": "https://elephaas.example.com",  # for the links in messages
#     "HOLD": 30.0,  # seconds that something needs attention before anybody is told
#     "ATTEMPTS": 8,  # how often a message is tried, at growing intervals
# }

# From where on something needs a person, on the front page and in notifications.
# ATTENTION = {
#     "LAG": 67108864,  # bytes that a standby may be behind
#     "SLOT": 1073741824,  # bytes of WAL that a slot nobody uses may hold
#     "UNSEEN": 90.0,  # seconds an instance may go unseen
#     "UNREPORTED": 300.0,  # the same where an agent reports
# }

# Who may read /metrics; empty, nobody may. docs/monitoring.md tells what they are.
# METRICS = {
#     "TOKEN_FILE": "/etc/elephaas/metrics.token",  # or "TOKEN": the token itself
#     "ADDRESSES": [],  # such as "192.0.2.0/24": they need no token
#     "PER_INSTANCE": False,  # True: each standby has a lag of its own
# }

# Links on the pages of herds and instances, by label; each value is quoted.
# LINKS = {
#     "Grafana": {
#         "herd": "https://grafana.example.com/d/herd?var-herd={herd}",
#         "instance": "https://grafana.example.com/d/pg?var-host={host}&var-port={port}",
#     },
# }

# Log in with the company's directory (LDAP). Install what it needs first:
#   apt-get install gcc libldap-dev libsasl2-dev python3-dev
#   pip install -r requirements-ldap.txt
# Local users go on working beside it, so that somebody gets in while the directory is
# away. Without ModelBackend only the directory decides, and the menus Users and Groups
# vanish. docs/login.md explains every line.
# import ldap
# from pathlib import Path
# from django_auth_ldap.config import GroupOfNamesType, LDAPSearch
#
# AUTHENTICATION_BACKENDS = [
#     "django_auth_ldap.backend.LDAPBackend",
#     "django.contrib.auth.backends.ModelBackend",
# ]
# # ldaps:// is TLS from the first byte; for ldap:// keep START_TLS True, so that no
# # password travels in the clear.
# AUTH_LDAP_SERVER_URI = "ldap://ldap.example.com"
# AUTH_LDAP_START_TLS = True  # False with ldaps://
# AUTH_LDAP_GLOBAL_OPTIONS = {
#     ldap.OPT_X_TLS_REQUIRE_CERT: ldap.OPT_X_TLS_DEMAND,
#     ldap.OPT_X_TLS_CACERTFILE: "/etc/ssl/certs/ca-certificates.crt",
# }
# AUTH_LDAP_CONNECTION_OPTIONS = {
#     ldap.OPT_NETWORK_TIMEOUT: 3,  # seconds to connect
#     ldap.OPT_TIMEOUT: 5,  # seconds for an answer
#     ldap.OPT_REFERRALS: 0,  # or else Active Directory sends us around
# }
# # Whose rights search for people; its password in a file that only this service reads.
# AUTH_LDAP_BIND_DN = "cn=elephaas,ou=services,dc=example,dc=com"
# AUTH_LDAP_BIND_PASSWORD = Path("/etc/elephaas/ldap.password").read_text().strip()
# AUTH_LDAP_USER_SEARCH = LDAPSearch(
#     "ou=people,dc=example,dc=com", ldap.SCOPE_SUBTREE, "(uid=%(user)s)"
# )
# AUTH_LDAP_USER_ATTR_MAP = {
#     "first_name": "givenName",
#     "last_name": "sn",
#     "email": "mail",
# }
# AUTH_LDAP_GROUP_SEARCH = LDAPSearch(
#     "ou=groups,dc=example,dc=com", ldap.SCOPE_SUBTREE, "(objectClass=groupOfNames)"
# )
# AUTH_LDAP_GROUP_TYPE = GroupOfNamesType()
# # Nobody else gets in; and only these flags are taken from the directory.
# AUTH_LDAP_REQUIRE_GROUP = "cn=dba,ou=groups,dc=example,dc=com"
# AUTH_LDAP_USER_FLAGS_BY_GROUP = {
#     "is_staff": "cn=dba,ou=groups,dc=example,dc=com",
#     "is_superuser": "cn=dba-leads,ou=groups,dc=example,dc=com",
# }
# # Groups of this site that follow the directory's groups of the same name. It is a
# # list, so that all other groups stay as they are set here.
# AUTH_LDAP_MIRROR_GROUPS = ["viewer", "operator", "dba"]
