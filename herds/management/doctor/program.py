"""Examines the program itself: Python, libraries, settings, static files, disk."""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from django.conf import settings
from django.contrib.staticfiles.storage import staticfiles_storage
from django.core import checks

from .finding import Finding, attention, broken, fine

OLDEST_PYTHON = (3, 11)
ENOUGH_DISK = 200_000_000  # bytes; logs and temporary files take less in a week
SAMPLE_OF_STATIC = "herds/herds.css"

_REQUIREMENT = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^\s;#]+)", re.M)


def python() -> Iterator[Finding]:
    """Examine the version of Python."""
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info >= OLDEST_PYTHON:
        yield fine("python", f"Python {version} at {sys.executable}.")
    else:
        yield broken(
            "python",
            f"Python {version} is too old.",
            "Make the environment anew with Python 3.11 or newer.",
        )


def libraries() -> Iterator[Finding]:
    """Compare the libraries with those that ElepHaaS was tested with."""
    listed = Path(settings.BASE_DIR) / "requirements.txt"
    try:
        wanted = dict(_REQUIREMENT.findall(listed.read_text(encoding="utf-8")))
    except OSError as error:
        yield attention(
            "libraries",
            f"{listed} cannot be read ({error.strerror}), so nothing was compared.",
            "Install the release again.",
        )
        return
    mend = f"Install what was tested: pip install -r {listed}"
    other = []
    for name, version in wanted.items():
        try:
            found = metadata.version(name)
        except metadata.PackageNotFoundError:
            yield broken("libraries", f"{name} is not installed.", mend)
            continue
        if found != version:
            other.append(f"{name} {found} instead of {version}")
    if other:
        yield attention("libraries", f"Others than tested: {', '.join(other)}.", mend)
    else:
        yield fine("libraries", f"{len(wanted)} libraries are as tested.")


def local_settings() -> Iterator[Finding]:
    """Run the checks of the settings, for a service also those of a deployment."""
    found = checks.run_checks(include_deployment_checks=not settings.DEBUG)
    said = [each for each in found if not each.is_silenced()]
    for each in said:
        health = broken if each.level >= checks.ERROR else attention
        identity = f" ({each.id})" if each.id else ""
        yield health("settings", f"{each.msg}{identity}", str(each.hint or ""))
    if settings.DEBUG:
        yield attention(
            "settings",
            "DEBUG is on: errors are explained to everybody, cookies travel bare.",
            "Set DEBUG to False in the local settings of a service.",
        )
    elif not said:
        yield fine("settings", "Nothing is wrong with them.")


def static_files() -> Iterator[Finding]:
    """Ask for a style sheet as the pages do."""
    if settings.DEBUG:
        yield fine("static files", "They are served from the source while debugging.")
        return
    try:
        address = staticfiles_storage.url(SAMPLE_OF_STATIC)
        name = address.removeprefix(
            getattr(staticfiles_storage, "base_url", None) or ""
        )
        is_there = staticfiles_storage.exists(name)
    except (ValueError, OSError) as error:
        address, is_there = str(error).partition("\n")[0], False
    if is_there:
        yield fine("static files", f"Collected in {settings.STATIC_ROOT}.")
    else:
        yield broken(
            "static files",
            f"They are not in {settings.STATIC_ROOT}: pages fail ({address}).",
            "Run: manage.py collectstatic --noinput, then restart the web service.",
        )


def disk() -> Iterator[Finding]:
    """Look for room where this service writes."""
    places = {Path(tempfile.gettempdir()), Path.home()}
    for place in sorted(places):
        try:
            free = shutil.disk_usage(place).free
        except OSError as error:
            yield attention(
                "disk",
                f"{place} cannot be looked at ({error.strerror}).",
                "Give the user of this service a home and a place for files.",
            )
            continue
        if free < ENOUGH_DISK:
            yield attention(
                "disk",
                f"{free / 1e6:,.0f} MB are free at {place}.",
                f"Make room: {ENOUGH_DISK / 1e6:,.0f} MB are enough.",
            )
        else:
            yield fine("disk", f"{free / 1e9:,.1f} GB are free at {place}.")
