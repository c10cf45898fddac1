"""Keys are read as BIND writes them, and are shown nowhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from herds.errors import PreconditionFailed
from herds.nameserver.key import TsigKey, load_key
from herds.nameserver.zone import read_server

SECRET = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
PRINTED = f'key "elephaas" {{\n\talgorithm hmac-sha512;\n\tsecret "{SECRET}";\n}};\n'


@pytest.mark.parametrize(
    "text",
    [
        PRINTED,
        PRINTED.replace('"', ""),
        f"# ours\n{PRINTED}// end\n",
        f'/* key "old" {{ secret "x"; }}; */ {PRINTED}',
        PRINTED.replace("\n", " "),
        PRINTED.replace("hmac-sha512", "HMAC-SHA512"),
    ],
)
def test_a_key_is_read_as_bind_reads_it(text: str) -> None:
    key = TsigKey.parse(text)

    assert (key.name, key.algorithm, key.secret) == ("elephaas", "hmac-sha512", SECRET)
    assert key.for_messages().secret == b"01234567890123456789012345678901"


def test_a_key_does_not_show_its_secret() -> None:
    key = TsigKey.parse(PRINTED)

    assert SECRET not in f"{key!r} {key}"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no key"),
        (PRINTED * 2, "more than one"),
        (PRINTED.replace("secret", "sekret"), "lacks"),
        (PRINTED.replace("sha512", "sha3"), "algorithm is none of"),
        (PRINTED.replace(SECRET, SECRET[:-2]), "base64"),
        (PRINTED.replace(SECRET, ""), "empty"),
        (PRINTED.replace('"elephaas"', '"a..b"'), "no DNS name"),
    ],
)
def test_what_is_no_key_is_refused_without_its_secret(
    tmp_path: Path, text: str, why: str
) -> None:
    path = tmp_path / "dns.key"
    path.write_text(text)

    with pytest.raises(PreconditionFailed, match=why) as refused:
        load_key(path)

    assert SECRET[:-2] not in refused.value.sentence()


def test_a_key_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(PreconditionFailed, match="no such file"):
        load_key(tmp_path / "dns.key")


def test_a_key_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "dns.key").write_bytes(b"\xff\xfe\x00")

    with pytest.raises(PreconditionFailed, match="no text"):
        load_key(tmp_path / "dns.key")


@pytest.mark.parametrize(
    ("text", "address", "port"),
    [
        ("192.0.2.53", "192.0.2.53", 53),
        ("192.0.2.53#5353", "192.0.2.53", 5353),
        ("2001:db8::53#5353", "2001:db8::53", 5353),
    ],
)
def test_servers_are_read_with_their_port(text: str, address: str, port: int) -> None:
    server = read_server(text)

    assert (server.address, server.port) == (address, port)


@pytest.mark.parametrize("text", ["ns1", "192.0.2.53:53", "192.0.2.53#0", "::1#x", ""])
def test_what_is_no_address_is_no_server(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no IP address|no port"):
        read_server(text)


def test_a_secret_that_looks_like_a_comment_is_read_whole() -> None:
    secret = "ab//cd//" + "A" * 36
    text = (
        f'key "k" {{ // a comment\n algorithm hmac-sha256;\n secret "{secret}";\n}};\n'
    )

    assert TsigKey.parse(text).secret == secret
