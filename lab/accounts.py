"""Looks up the machine's accounts that files and programs of the lab belong to."""

import pwd

from lab.errors import LabError


def account(name: str) -> pwd.struct_passwd:
    """Return the account called ``name``; LabError when there is none."""
    try:
        return pwd.getpwnam(name)
    except KeyError:
        raise LabError(f"The machine has no account {name}.") from None
