"""Slows down who guesses passwords, and nobody else."""

from __future__ import annotations

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

pytestmark = pytest.mark.django_db

PASSWORD = "correct horse"


@pytest.fixture(autouse=True)
def ada() -> User:
    return User.objects.create_superuser("ada", password=PASSWORD)


def attempt(password: str, address: str, username: str = "ada") -> HttpResponse:
    client = Client(REMOTE_ADDR=address)
    answer = client.post(
        reverse("admin:login"), {"username": username, "password": password}
    )
    assert isinstance(answer, HttpResponse)
    return answer


def guess(address: str) -> HttpResponse:
    for number in range(settings.AXES_FAILURE_LIMIT):
        answer = attempt(f"guess {number}", address)
    return answer


def test_who_guesses_waits_even_with_the_right_password() -> None:
    answer = guess("192.0.2.66")

    assert answer.status_code == 429
    page = answer.content.decode()
    assert "failed 5 times" in page
    assert "5 min" in page
    assert attempt(PASSWORD, "192.0.2.66").status_code == 429


def test_the_same_name_from_elsewhere_and_others_from_there_do_not_wait() -> None:
    User.objects.create_superuser("bob", password=PASSWORD)
    guess("192.0.2.66")

    assert attempt(PASSWORD, "192.0.2.1").status_code == 302
    assert attempt(PASSWORD, "192.0.2.66", "bob").status_code == 302


def test_a_login_forgives_the_failures_before_it() -> None:
    for _ in range(settings.AXES_FAILURE_LIMIT - 1):
        attempt("wrong", "192.0.2.7")
    assert attempt(PASSWORD, "192.0.2.7").status_code == 302

    assert attempt("wrong", "192.0.2.7").status_code == 200


def test_a_hostile_name_is_shown_as_text() -> None:
    for _ in range(settings.AXES_FAILURE_LIMIT):
        answer = attempt("x", "192.0.2.8", "<script>alert(1)</script>")

    assert answer.status_code == 429
    assert b"<script>alert" not in answer.content
