"""Logins: local ones, the directory's, and what slows down guessing."""
