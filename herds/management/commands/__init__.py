"""The command line: manage.py worker, operate."""
