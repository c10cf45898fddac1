"""The agent: tells ElepHaaS which PostgreSQL instances a host carries.

It runs on the database hosts themselves, with their own Python (3.9 or newer) and the
psycopg2 of their distribution. It needs nothing else, and nothing of the service.
"""
