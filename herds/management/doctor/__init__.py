"""What an installation needs, examined one by one for ``manage.py doctor``."""
