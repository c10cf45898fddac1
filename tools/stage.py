"""Lays the installed tree of ElepHaaS out, for the packages of every distribution.

    python3 -m tools.stage DESTDIR [--python /usr/bin/python3]

The application gets an environment of its own, ``/usr/lib/elephaas/venv``, with the
libraries of ``requirements-ldap.txt`` and the distribution's Python; its code lies
beside it, with the static files collected. Packages bring the rest: units, settings,
the user.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
HOME = Path("usr/lib/elephaas")
CODE = ("elephaas", "herds", "templates", "static", "manage.py", "requirements.txt")
LIBRARIES = "requirements-ldap.txt"
CACHE = Path(os.environ.get("ELEPHAAS_BUILD_CACHE", "/var/cache/elephaas-build"))

# Tests of libraries, and what only a compiler needs.
_NOT_SHIPPED = ("__pycache__", "tests", "*.pyc", "*.pyx", "*.pxd", "*.c", "*.h")


def main(arguments: Sequence[str] | None = None) -> int:
    """Lay the tree out below the directory that is named."""
    parser = argparse.ArgumentParser(prog="python3 -m tools.stage")
    parser.add_argument("destination", type=Path)
    parser.add_argument("--python", default="/usr/bin/python3")
    parser.add_argument(
        "--pip",
        default=os.environ.get("ELEPHAAS_BUILD_PIP", sys.executable),
        help="a Python that has pip",
    )
    chosen = parser.parse_args(arguments)
    stage(chosen.destination.resolve(), chosen.python, chosen.pip)
    return 0


def stage(destination: Path, python: str, pip: str) -> None:
    """Lay the tree out.

    Args:
        destination: stands for the root of the machine that it is installed on.
        python: the Python that will run it, on this machine at the same path.
        pip: a Python with pip, which may be another one.

    Raises:
        CalledProcessError: when pip fails.
    """
    home = destination / HOME
    version = _version(python)
    site = home / "venv" / "lib" / f"python{version}" / "site-packages"
    site.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(
        libraries(python, pip), site, ignore=shutil.ignore_patterns(*_NOT_SHIPPED)
    )
    _make_environment(home / "venv", python)
    app = home / "app"
    app.mkdir()
    for name in CODE:
        source = PROJECT / name
        if source.is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "local_settings.py")
            shutil.copytree(source, app / name, ignore=ignored)
        else:
            shutil.copy(source, app / name)
    _collect_static(app, home / "venv" / "bin" / "python")


def libraries(python: str, pip: str) -> Path:
    """Install the libraries for a Python, or find them as they were installed before.

    Returns:
        The directory that holds them, not to be changed.

    Raises:
        CalledProcessError: when pip fails.
    """
    wanted = b"".join(
        (PROJECT / name).read_bytes() for name in ("requirements.txt", LIBRARIES)
    )
    digest = hashlib.sha256(wanted + _version(python).encode()).hexdigest()[:16]
    kept = CACHE / f"libraries-{digest}"
    if kept.is_dir():
        return kept
    CACHE.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix="libraries-", dir=CACHE))
    install = [
        *(pip, "-m", "pip", "--python", python, "install", "-qq", "--no-compile"),
        *("--disable-pip-version-check", "--target", str(made)),
    ]
    subprocess.run([*install, "--requirement", LIBRARIES], cwd=PROJECT, check=True)
    # What is built here is built for that Python: one that was kept from before may
    # look for its libraries where another Python lies.
    subprocess.run(
        [*install, "--upgrade", "--no-deps", "--no-cache-dir", *_built_here()],
        cwd=PROJECT,
        check=True,
    )
    # Programs of libraries begin with a path of this machine; none is needed.
    shutil.rmtree(made / "bin", ignore_errors=True)
    made.chmod(0o755)
    made.rename(kept)
    return kept


def _built_here() -> list[str]:
    """Give the requirements that come as sources."""
    lines = (PROJECT / LIBRARIES).read_text(encoding="utf-8").splitlines()
    return [line.split()[0] for line in lines if line.startswith("python-ldap==")]


def _version(python: str) -> str:
    script = "import sys; print('%d.%d' % sys.version_info[:2])"
    return subprocess.run(
        [python, "-c", script], check=True, capture_output=True, text=True
    ).stdout.strip()


def _make_environment(environment: Path, python: str) -> None:
    """Make what PEP 405 says of an environment: a link to Python, and a file."""
    (environment / "bin").mkdir(parents=True)
    (environment / "bin" / "python").symlink_to(python)
    home = os.path.dirname(python)
    (environment / "pyvenv.cfg").write_text(
        f"home = {home}\ninclude-system-site-packages = false\n"
        f"version = {_version(python)}\n",
        encoding="utf-8",
    )


def _collect_static(app: Path, python: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        settings = Path(folder) / "settings.py"
        settings.write_text("SECRET_KEY = 'of the build'\n", encoding="utf-8")
        subprocess.run(
            [str(python), "manage.py", "collectstatic", "--no-input", "--skip-checks"],
            cwd=app,
            env={
                "PATH": os.environ.get("PATH", os.defpath),
                "PYTHONDONTWRITEBYTECODE": "1",
                "ELEPHAAS_SETTINGS_FILE": str(settings),
            },
            check=True,
            stdout=subprocess.DEVNULL,
        )


if __name__ == "__main__":
    sys.exit(main())
