"""TLS on card links: whose certificate opens which link, and what everybody else gets."""

import datetime
import hashlib
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509.oid import NameOID

pytestmark = pytest.mark.slow

LONG_AGO = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)


@pytest.fixture(scope="module")
def papers(tmp_path_factory: Any) -> Any:
    """Certificates in files: ours, the switch's, and those that must not open a link."""
    folder = tmp_path_factory.mktemp("papers")
    authority, foreign = trustme.CA(), trustme.CA()
    made = {
        "host": authority.issue_cert("127.0.0.1"),
        "switch": authority.issue_cert("switch.visa.test"),
        "other": authority.issue_cert("switch.mc.test"),
        "named": authority.issue_cert("switch.mc.test", common_name="switch.visa.test"),
        "expired": authority.issue_cert("switch.visa.test", not_after=LONG_AGO),
        "foreign": foreign.issue_cert("switch.visa.test"),
    }
    for name, cert in made.items():
        cert.private_key_pem.write_to_path(folder / f"{name}.key")
        for blob in cert.cert_chain_pems:
            blob.write_to_path(folder / f"{name}.pem", append=True)
    authority.cert_pem.write_to_path(folder / "ca.pem")
    foreign.cert_pem.write_to_path(folder / "foreign-ca.pem")
    pem = made["switch"].cert_chain_pems[0].bytes().decode()
    fingerprint = hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()
    pinned = f"sha256:{fingerprint}"
    _issue(authority, folder / "bare", "switch.visa.test")
    _issue(authority, folder / "pretender", "nobody", pinned)
    return SimpleNamespace(folder=folder, fingerprint=pinned)


def _issue(authority: trustme.CA, file: Path, common_name: str, uri: str = "") -> None:
    """A certificate without alternative names, or with a URI for its only one."""
    issuer = x509.load_pem_x509_certificate(authority.cert_pem.bytes())
    issuer_key = load_pem_private_key(authority.private_key_pem.bytes(), None)
    assert isinstance(issuer_key, EllipticCurvePrivateKey)
    spare = authority.issue_cert("spare.test")  # for its key
    public_key = x509.load_pem_x509_certificate(spare.cert_chain_pems[0].bytes()).public_key()
    made = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)]))
        .issuer_name(issuer.subject)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(LONG_AGO)
        .not_valid_after(LONG_AGO.replace(year=2120))
    )
    if uri:
        names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)])
        made = made.add_extension(names, critical=False)
    cert = made.sign(issuer_key, SHA256())
    file.with_suffix(".pem").write_bytes(cert.public_bytes(Encoding.PEM))
    spare.private_key_pem.write_to_path(file.with_suffix(".key"))


def listening(papers: Any, more: str = "") -> str:
    """A card port with our certificate."""
    files = f'cert = "{papers.folder}/host.pem"\nkey = "{papers.folder}/host.key"\n'
    return f'[[listen]]\nnetwork = "visa-like"\naddress = "127.0.0.1:0"\n[listen.tls]\n{files}{more}'


def mutual(papers: Any, name: str = "switch.visa.test") -> str:
    """A card port for one member."""
    return listening(papers, f'ca = "{papers.folder}/ca.pem"\nnames = ["{name}"]\n')


@pytest.fixture
def serve(launch: Any, hsm: Any, configured: Any, tmp_path: Path) -> Callable[..., Any]:
    def start(links: str, **limits: str) -> Any:
        settings = {f"STANDIN_LIMITS__{name}": value for name, value in limits.items()}
        return launch.command(
            *configured(tmp_path, links, hsm.address), STANDIN_JOURNAL__SEGMENT_MIB="1", **settings
        )

    return start


def open_link(
    papers: Any, desk: Any, switch_link: Any, cert: str = "", version: Any = None, source: str = "127.0.0.1"
) -> Any:
    """A link with TLS, and with a certificate if one is named; EOFError when we are not let in."""
    context = ssl.create_default_context(cafile=str(papers.folder / "ca.pem"))
    if version is not None:
        context.minimum_version = context.maximum_version = version
    if cert:
        context.load_cert_chain(papers.folder / f"{cert}.pem", papers.folder / f"{cert}.key")
    stream = socket.create_connection(desk.address, 20, (source, 0))
    try:
        return switch_link.over(context.wrap_socket(stream, server_hostname="127.0.0.1"))
    except (ssl.SSLError, ConnectionResetError):
        stream.close()
        raise EOFError from None


def is_let_in(
    papers: Any, desk: Any, switch_link: Any, till: Any, cert: str = "", version: Any = None, **more: str
) -> bool:
    """Whether an echo test is answered."""
    link = None
    try:
        link = open_link(papers, desk, switch_link, cert, version, **more)
        return bool(link.ask(till.signal("301")).elements[39] == "00")
    except (EOFError, ssl.SSLError):
        return False
    finally:
        if link is not None:
            link.socket.close()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def test_a_port_with_a_certificate_of_ours_alone_takes_every_peer(
    serve: Any, papers: Any, switch_link: Any, till: Any, version: Any
) -> None:
    desk = serve(listening(papers)).ready()

    assert is_let_in(papers, desk, switch_link, till, version=version)


@pytest.mark.parametrize(
    ("cert", "reason"),
    [
        pytest.param("switch", None, id="the member's own"),
        pytest.param("", "tls_no_certificate", id="none"),
        pytest.param("expired", "tls_certificate_expired", id="an expired one"),
        pytest.param("foreign", "tls_certificate_untrusted", id="one of another authority"),
        pytest.param("bare", None, id="one that has nothing but a common name"),
        pytest.param("other", "tls_certificate_of_another", id="another member's, of the same authority"),
        pytest.param("named", "tls_certificate_of_another", id="another member's, with our common name"),
    ],
)
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def test_a_certificate_opens_its_own_link_only(
    serve: Any, papers: Any, switch_link: Any, till: Any, cert: str, reason: str | None, version: Any
) -> None:
    desk = serve(mutual(papers)).ready()

    assert is_let_in(papers, desk, switch_link, till, cert, version) is (reason is None)
    if reason is not None:
        assert len([line for line in desk.log.all() if "Traceback" in line]) == 0
        desk.log.wait_for(reason)
        assert len(desk.log.containing("link refused")) == 1, "one line"
    assert is_let_in(papers, desk, switch_link, till, "switch"), "nobody else is harmed"


def test_a_link_may_be_bound_to_one_certificate_by_its_fingerprint(
    serve: Any, papers: Any, switch_link: Any, till: Any
) -> None:
    desk = serve(mutual(papers, papers.fingerprint)).ready()

    assert is_let_in(papers, desk, switch_link, till, "switch")
    assert not is_let_in(papers, desk, switch_link, till, "other")
    assert not is_let_in(papers, desk, switch_link, till, "pretender"), "a fingerprint is not a name"


def test_who_speaks_no_tls_on_a_tls_port_is_refused(
    serve: Any, papers: Any, connect: Any, till: Any, switch_link: Any
) -> None:
    desk = serve(mutual(papers)).ready()
    link = connect(desk)
    link.send(till.signal("301"))

    while link.socket.recv(4096):  # an alert may come first, which is no frame
        pass
    desk.log.wait_for("tls_")
    assert is_let_in(papers, desk, switch_link, till, "switch")


def test_a_handshake_has_a_deadline_and_waiting_ones_keep_nobody_out(
    serve: Any, papers: Any, connect: Any, switch_link: Any, till: Any
) -> None:
    desk = serve(mutual(papers), HANDSHAKE_S="1", HANDSHAKES_MAX="2", HANDSHAKES_PER_PEER_MAX="1").ready()
    idle = [connect(desk) for _ in range(4)]

    for link in idle:
        assert link.is_over()
    desk.log.wait_for("tls_too_slow")
    assert is_let_in(papers, desk, switch_link, till, "switch")


def test_half_handshakes_of_one_address_keep_no_other_out_and_do_not_keep_us_from_stopping(
    serve: Any, papers: Any, connect: Any, switch_link: Any, till: Any
) -> None:
    """They may take an hour each: whoever had to wait for one would not be done before the test gives up."""
    limits = {"HANDSHAKE_S": "3600", "HANDSHAKES_MAX": "4", "HANDSHAKES_PER_PEER_MAX": "3", "DRAIN_S": "3600"}
    desk = serve(mutual(papers), **limits, CONNECTIONS_PER_PEER_MAX="60").ready()
    idle = [connect(desk) for _ in range(30)]

    assert is_let_in(papers, desk, switch_link, till, "switch", source="127.0.0.2")
    assert desk.stop()["links"] == 0
    assert all(link.is_over() for link in idle)


@pytest.mark.parametrize(
    ("authority", "shown", "reason"),
    [
        pytest.param("ca", "host", None, id="the host that we meant"),
        pytest.param("ca", "other", "tls_certificate_of_another", id="somebody else's certificate"),
        pytest.param("foreign-ca", "host", "tls_certificate_untrusted", id="an authority we do not know"),
    ],
)
def test_as_client_we_sign_on_only_with_the_host_that_we_meant(
    serve: Any, papers: Any, switch_link: Any, authority: str, shown: str, reason: str | None
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(papers.folder / f"{shown}.pem", papers.folder / f"{shown}.key")
    context.load_verify_locations(papers.folder / "ca.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        files = f'cert = "{papers.folder}/switch.pem"\nkey = "{papers.folder}/switch.key"\n'
        desk = serve(
            f'[[connect]]\nnetwork = "visa-like"\naddress = "127.0.0.1:{port}"\n'
            f'[connect.tls]\nca = "{papers.folder}/{authority}.pem"\n{files}'
        )
        stream, _ = server.accept()
        stream.settimeout(20)
        if reason is None:
            link = switch_link.over(context.wrap_socket(stream, server_side=True))
            assert link.receive().elements[70] == "071"
            assert ("DNS", "switch.visa.test") in link.socket.getpeercert()["subjectAltName"], "ours"
            link.socket.close()
        else:
            with pytest.raises((ssl.SSLError, ConnectionResetError, EOFError)):
                switch_link.over(context.wrap_socket(stream, server_side=True)).receive()
            desk.log.wait_for(reason)
        stream.close()


@pytest.mark.parametrize(
    ("section", "says"),
    [
        pytest.param('cert = "{0}/host.pem"', "cert and key belong together", id="a certificate without key"),
        pytest.param('ca = "{0}/ca.pem"', "a card port needs cert and key", id="no certificate of ours"),
        pytest.param(
            'cert = "{0}/host.pem"\nkey = "{0}/host.key"\nnames = ["x"]',
            "names need ca",
            id="names without ca",
        ),
        pytest.param('cert = "{0}/nowhere.pem"\nkey = "{0}/host.key"', "nowhere.pem", id="a missing file"),
        pytest.param(
            'cert = "{0}/host.pem"\nkey = "{0}/switch.key"', "KEY_VALUES_MISMATCH", id="another key"
        ),
        pytest.param('cert = "{0}/host.key"\nkey = "{0}/host.key"', "host.key", id="a key for a certificate"),
    ],
)
def test_wrong_papers_are_told_before_anything_starts(
    serve: Any, papers: Any, section: str, says: str
) -> None:
    links = '[[listen]]\nnetwork = "visa-like"\naddress = "127.0.0.1:0"\n[listen.tls]\n'
    child = serve(links + section.format(papers.folder) + "\n")

    assert child.ended() == 2
    assert says in "\n".join(child.log.all())
