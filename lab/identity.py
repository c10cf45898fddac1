"""Gives a copied cluster a system identifier of its own.

initdb takes 0.4 s of a processor and a lab has fifty herds, so one cluster is made and
copied. The copies of different herds must not be taken for one another, and PostgreSQL
tells clusters apart by their system identifier. It stands in the control file
(src/include/catalog/pg_control.h) and in the first page of every WAL segment
(XLogLongPageHeaderData in src/include/access/xlog_internal.h). pg_createsubscriber of
PostgreSQL 17 changes it too, and throws the WAL away by pg_resetwal; here the WAL is
kept, because pg_resetwal leaves one in which no standby can begin.
"""

import struct
from pathlib import Path

from lab.errors import LabError

_WAL_OFFSET = 24


def identifier_of(control: bytes) -> int:
    """Return the system identifier in the contents of a pg_control file."""
    (identifier,) = struct.unpack_from("<Q", control)
    return int(identifier)


def with_identifier(control: bytes, identifier: int) -> bytes:
    """Return the contents of a pg_control file with another system identifier.

    The structure ends with a CRC-32C of what is before it, at a place that differs by
    version. Raises LabError when no such checksum is found.
    """
    for end in range(200, 512, 4):
        if crc32c(control[:end]) == int.from_bytes(control[end : end + 4], "little"):
            body = struct.pack("<Q", identifier) + control[8:end]
            return body + struct.pack("<I", crc32c(body)) + control[end + 4 :]
    raise LabError("The template's pg_control has no checksum where one was expected.")


def stamp(data: Path, identifier: int) -> None:
    """Give a cleanly stopped cluster, in directory ``data``, another identifier."""
    control = data / "global/pg_control"
    original = control.read_bytes()
    control.write_bytes(with_identifier(original, identifier))
    for segment in (data / "pg_wal").iterdir():
        if segment.is_file():
            _stamp_segment(segment, identifier_of(original), identifier)


def _stamp_segment(segment: Path, old: int, new: int) -> None:
    with segment.open("r+b") as stream:
        stream.seek(_WAL_OFFSET)
        if stream.read(8) != struct.pack("<Q", old):
            raise LabError(f"{segment} does not begin as a WAL segment does.")
        stream.seek(_WAL_OFFSET)
        stream.write(struct.pack("<Q", new))


def _crc_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return tuple(table)


_TABLE = _crc_table()


def crc32c(data: bytes) -> int:
    """Return the CRC-32C (Castagnoli, RFC 3720 appendix B.4) of ``data``."""
    value = 0xFFFFFFFF
    for byte in data:
        value = value >> 8 ^ _TABLE[(value ^ byte) & 0xFF]
    return value ^ 0xFFFFFFFF
