"""An OpenLDAP server on this machine's loopback: people, groups, TLS of its own."""

import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from lab.errors import LabError

BASE = "dc=example,dc=com"
PEOPLE = f"ou=people,{BASE}"
GROUPS = f"ou=groups,{BASE}"
SERVICE = f"cn=elephaas,ou=services,{BASE}"
"""Who searches for people; it can read, and nothing else."""

MANAGER = f"cn=manager,{BASE}"
NAME = "127.0.0.1"
"""What the certificate is for; ``localhost`` is the same server under another name."""

_MODULES = ("/usr/lib/ldap", "/usr/lib64/openldap")
_READY_SECONDS = 15.0


class Directory:
    """One slapd with a certificate that its own authority signed.

    Simple binds are refused without TLS (slapd.conf(5), security), so whoever logs in
    has proved that no password travelled in the clear.

    Args:
        folder: an empty directory; configuration, data and keys lie in it.
        people: passwords by uid.
        groups: members' uids by group.
    """

    def __init__(
        self,
        folder: Path,
        people: Mapping[str, str],
        groups: Mapping[str, Sequence[str]],
    ) -> None:
        self.folder = folder
        self.people = dict(people)
        self.groups = {name: list(members) for name, members in groups.items()}
        self.port, self.tls_port = _free_port(), _free_port()
        self.service_password = secrets.token_urlsafe()
        self.manager_password = secrets.token_urlsafe()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def authority(self) -> Path:
        """The certificate that clients have to trust."""
        return self.folder / "authority.pem"

    def start(self) -> None:
        """Make what is missing, and wait until it answers.

        Raises:
            LabError: when it does not answer in time, with its own last words.
        """
        if not self.authority.exists():
            self._make()
        log = self.folder / "slapd.log"
        with log.open("ab") as written:
            self._process = subprocess.Popen(
                [
                    *(_program("slapd"), "-f", str(self.folder / "slapd.conf")),
                    *("-h", self._addresses, "-d", "0"),
                ],
                stdout=written,
                stderr=written,
            )
        deadline = time.monotonic() + _READY_SECONDS
        while not (_answers(self.port) and _answers(self.tls_port)):
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise LabError(f"slapd does not answer: {log.read_text()[-500:]}")
            time.sleep(0.02)

    def stop(self) -> None:
        """End it, and wait until it has ended."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(_READY_SECONDS)
            self._process = None

    @property
    def _addresses(self) -> str:
        return f"ldap://127.0.0.1:{self.port} ldaps://127.0.0.1:{self.tls_port}"

    def _make(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "data").mkdir()
        _make_certificates(self.folder)
        (self.folder / "slapd.conf").write_text(self._configuration())
        (self.folder / "slapd.conf").chmod(0o600)
        subprocess.run(
            [_program("slapadd"), "-f", str(self.folder / "slapd.conf")],
            input=self._entries(),
            text=True,
            check=True,
            capture_output=True,
        )

    def _configuration(self) -> str:
        modules = next(path for path in _MODULES if Path(path).is_dir())
        schemas = "\n".join(
            f"include /etc/ldap/schema/{name}.schema"
            for name in ("core", "cosine", "inetorgperson")
        )
        return f"""\
{schemas}
modulepath {modules}
moduleload back_mdb
pidfile {self.folder}/slapd.pid
TLSCACertificateFile {self.authority}
TLSCertificateFile {self.folder}/server.pem
TLSCertificateKeyFile {self.folder}/server.key
security simple_bind=112
database mdb
maxsize 16777216
suffix "{BASE}"
rootdn "{MANAGER}"
rootpw {self.manager_password}
directory {self.folder}/data
access to attrs=userPassword by anonymous auth by * none
access to * by dn.exact="{SERVICE}" read by self read by anonymous auth by * none
"""

    def _entries(self) -> str:
        units = [
            f"dn: ou={name},{BASE}\nobjectClass: organizationalUnit\nou: {name}\n"
            for name in ("people", "groups", "services")
        ]
        people = [
            f"dn: uid={uid},{PEOPLE}\nobjectClass: inetOrgPerson\nuid: {uid}\n"
            f"cn: {uid.title()} Example\ngivenName: {uid.title()}\nsn: Example\n"
            f"mail: {uid}@example.com\nuserPassword: {password}\n"
            for uid, password in self.people.items()
        ]
        # A groupOfNames has one member at least (RFC 4519, 3.5).
        groups = [
            f"dn: cn={name},{GROUPS}\nobjectClass: groupOfNames\ncn: {name}\n"
            + f"member: {SERVICE}\n"
            + "".join(f"member: uid={uid},{PEOPLE}\n" for uid in members)
            for name, members in self.groups.items()
        ]
        top = (
            f"dn: {BASE}\nobjectClass: dcObject\nobjectClass: organization\n"
            "o: Example\ndc: example\n"
        )
        service = (
            f"dn: {SERVICE}\nobjectClass: organizationalRole\n"
            "objectClass: simpleSecurityObject\ncn: elephaas\n"
            f"userPassword: {self.service_password}\n"
        )
        return "\n".join([top, *units, service, *people, *groups])


def _program(name: str) -> str:
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if found is None:
        raise LabError(
            f"{name} is not installed. Install it with: apt-get install -y slapd"
        )
    return found


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def _make_certificates(folder: Path) -> None:
    """Make an authority, and a certificate of it for ``NAME`` only."""
    authority_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    authority = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Example CA")])
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    now = datetime.now(UTC)

    def certificate(
        name: x509.Name, of: ec.EllipticCurvePrivateKey
    ) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(authority)
            .public_key(of.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=2))
            .add_extension(
                x509.BasicConstraints(ca=name == authority, path_length=None), True
            )
        )

    signed = certificate(authority, authority_key).sign(authority_key, hashes.SHA256())
    server = (
        certificate(subject, key)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address(NAME))]), False
        )
        .sign(authority_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "authority.pem").write_bytes(signed.public_bytes(pem))
    (folder / "server.pem").write_bytes(server.public_bytes(pem))
    secret = folder / "server.key"
    secret.touch(mode=0o600)
    secret.write_bytes(
        key.private_bytes(
            pem,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
