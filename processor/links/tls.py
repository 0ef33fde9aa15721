"""TLS on card links and to the HSM: who we are, whom we trust, and which certificate may use which link.

Any certificate of a trusted authority would let one member speak on another's line; so a card port names
those it is for, by subject alternative name, by common name where a certificate has no such names, or by
``sha256:`` and the certificate's fingerprint, which nothing that is written in a certificate can pass for.
"""

import hashlib
import ssl
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import trio

from processor.config import Config, TlsSection
from processor.values.errors import ConfigError

_FINGERPRINT = "sha256:"

TlsStream = trio.SSLStream[trio.SocketStream]

# Why a certificate was not accepted, by OpenSSL's verification code.
_VERIFIED = {
    9: "tls_certificate_not_yet_valid",
    10: "tls_certificate_expired",
    18: "tls_certificate_untrusted",
    19: "tls_certificate_untrusted",
    20: "tls_certificate_untrusted",
    21: "tls_certificate_untrusted",
    23: "tls_certificate_revoked",
    62: "tls_certificate_of_another",
    64: "tls_certificate_of_another",
}
_REASONS = {
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "tls_no_certificate",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "tls_no_certificate",
    "WRONG_VERSION_NUMBER": "tls_not_spoken",
    "HTTP_REQUEST": "tls_not_spoken",
    "UNSUPPORTED_PROTOCOL": "tls_too_old",
}


class TlsRefused(Exception):  # noqa: N818 - a reason to end the link, not a fault of ours
    """There will be no link; ``reason`` is the constant it is counted under."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Contexts(NamedTuple):
    """What each card port, each dialled host and the HSM is spoken to with, as the configuration has it."""

    listen: tuple[ssl.SSLContext | None, ...]
    connect: tuple[ssl.SSLContext | None, ...]
    hsm: ssl.SSLContext | None


def load_contexts(config: Config) -> Contexts:
    """Read every certificate and key that the configuration names.

    Raises:
        ConfigError: a file that is not what it must be.
    """
    return Contexts(
        tuple(_server(s.tls, config.beside) if s.tls is not None else None for s in config.listen),
        tuple(_client(s.tls, config.beside) if s.tls is not None else None for s in config.connect),
        _client(config.hsm.tls, config.beside) if config.hsm.tls is not None else None,
    )


async def handshake(stream: TlsStream, names: Iterable[str]) -> None:
    """Complete the handshake; the peer's certificate must have one of ``names``, if there are any.

    Raises:
        TlsRefused: what is wrong with the peer.
    """
    try:
        await stream.do_handshake()
    except trio.BrokenResourceError as error:
        raise TlsRefused(_reason(error.__cause__)) from None
    wanted = frozenset(names)
    if wanted and wanted.isdisjoint(_names(stream)):
        raise TlsRefused("tls_certificate_of_another")


def _server(tls: TlsSection, beside: Callable[[Path], Path]) -> ssl.SSLContext:
    """Every peer must show a certificate where there are authorities to check it against."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.num_tickets = 0  # sessions are not resumed: each link shows its certificate anew
    _load(context, tls, beside)
    if tls.ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _client(tls: TlsSection, beside: Callable[[Path], Path]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _load(context, tls, beside)
    return context


def _load(context: ssl.SSLContext, tls: TlsSection, beside: Callable[[Path], Path]) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        if tls.cert is not None and tls.key is not None:
            context.load_cert_chain(beside(tls.cert), beside(tls.key))
        if tls.ca is not None:
            context.load_verify_locations(beside(tls.ca))
    except (ssl.SSLError, OSError) as error:
        files = ", ".join(str(beside(file)) for file in (tls.cert, tls.key, tls.ca) if file is not None)
        reason = getattr(error, "reason", None) or error.strerror
        raise ConfigError([f"tls: {files}: {reason}"]) from None


def _reason(cause: BaseException | None) -> str:
    if isinstance(cause, ssl.SSLCertVerificationError):
        return _VERIFIED.get(cause.verify_code, "tls_certificate_refused")
    if isinstance(cause, ssl.SSLError) and cause.reason:
        return _REASONS.get(cause.reason, "tls_failed")
    return "tls_broken_off"


def _names(stream: TlsStream) -> frozenset[str]:
    """Every name the peer's certificate may be known by."""
    details = stream.getpeercert() or {}
    names = {str(value) for _kind, value in details.get("subjectAltName", ())}
    if not names:
        subject = details.get("subject", ())
        names = {str(value) for part in subject for kind, value in part if kind == "commonName"}
    names = {name for name in names if not name.lower().startswith(_FINGERPRINT)}
    der = stream.getpeercert(binary_form=True)
    if der:
        names.add(_FINGERPRINT + hashlib.sha256(der).hexdigest())
    return frozenset(names)
