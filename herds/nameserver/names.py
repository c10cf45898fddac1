"""Writes names in full: a virtual host's, and the host's that it is to lead to."""

from __future__ import annotations

import dns.exception
import dns.inet
import dns.name
import dns.resolver

from herds.errors import NameserverUnreachable, PreconditionFailed


def checked(name: str) -> str:
    """Give a name in lower case and without the last dot.

    Raises:
        PreconditionFailed: DNS cannot carry it, or it is an address.
    """
    shown = name.strip().lower().removesuffix(".")
    if dns.inet.is_address(shown):
        raise PreconditionFailed(
            f"{shown} is an address; a virtual host leads to names only.",
            hint="Register the server by its name in DNS.",
        )
    try:
        if not shown or "\\" in shown:
            raise dns.name.EmptyLabel
        dns.name.from_text(shown)
    except dns.exception.DNSException as error:
        raise PreconditionFailed(f"{name!r} is no name that DNS can carry.") from error
    return shown


def in_full(name: str, domain: str) -> str:
    """Give a name in full where that takes no question, else an empty text.

    Args:
        name: with or without the last dot.
        domain: where names of one part lie; empty if the settings do not say.
    """
    shown = checked(name)
    if "." in shown or name.endswith("."):
        return shown
    return f"{shown}.{checked(domain)}" if domain else ""


def search(name: str, asked: dns.resolver.Resolver) -> str:
    """Find a name of one part in the domains this machine searches.

    Returns:
        The first full name that exists; empty if none does.

    Raises:
        NameserverUnreachable: nothing is known.
    """
    for domain in asked.search:
        full = dns.name.from_text(name, origin=domain)
        try:
            asked.resolve(full, "A", raise_on_no_answer=False)
        except dns.resolver.NXDOMAIN as missing:
            # A CNAME that leads to nothing is there all the same.
            if missing.canonical_name == full:
                continue
        except dns.exception.DNSException as error:
            servers = ", ".join(str(server) for server in asked.nameservers)
            raise NameserverUnreachable(
                servers, f"no usable answer to {full.to_text(omit_final_dot=True)}"
            ) from error
        return full.to_text(omit_final_dot=True).lower()
    return ""


def first_domain(asked: dns.resolver.Resolver) -> str:
    """Give the first domain this machine searches; empty if it searches none."""
    return asked.search[0].to_text(omit_final_dot=True).lower() if asked.search else ""
