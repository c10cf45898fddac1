"""How the pages of ElepHaaS are served; see https://docs.gunicorn.org/ for the rest."""

# Only the web server on this machine, which speaks TLS, asks here.
bind = "127.0.0.1:8000"
worker_class = "gthread"
workers = 2
threads = 8
timeout = 60
graceful_timeout = 20
# The web server writes down who asked for what.
accesslog = None
errorlog = "-"
