"""The form of a reply: message type, header, echoes, what must not come back, DE 38, verification results."""

import re

from processor.iso8583.message import Message
from simulators.networks.network import Network, Refusal
from simulators.question import Kind, Question

APPROVED = "00"

_ECHOED_OF_REVERSAL = (90, 95)
_NEVER_RETURNED = frozenset((14, 35, 36, 43, 45, 52, 53, 55, 126))
_AUTH_CODE = re.compile("[0-9A-Z]{6}")
_NOT_LOOKED_AT = (Refusal.FORMAT_ERROR, Refusal.DUPLICATE)


def form_faults(network: Network, question: Question, reply: Message, *, known: bool = True) -> list[str]:
    """Kinds of what is wrong with a reply, whatever was decided; ``known``: the issuer has the card."""
    asked, elements = question.message, reply.elements
    is_reversal = question.matter.kind is Kind.REVERSAL
    faults = []
    if reply.mti != f"{asked.mti[:2]}{int(asked.mti[2]) + 1}0":
        faults.append("MTI")
    if not network.header_fits(asked.header, reply.header):
        faults.append("header")
    faults += [
        f"echo of DE {number}"
        for number in (network.echoed + _ECHOED_OF_REVERSAL if is_reversal else network.echoed)
        if number in asked.elements and elements.get(number) != asked.elements[number]
    ]
    faults += [f"DE {number} returned" for number in sorted(_NEVER_RETURNED & elements.keys())]
    if question.matter.kind is not Kind.REQUEST:
        return faults
    code = elements.get(39, "")
    if not _auth_code_fits(code, elements.get(38)):
        faults.append("DE 38")
    looked_at = code not in {*network.undecided, *(network.codes[refusal] for refusal in _NOT_LOOKED_AT)}
    if looked_at and not network.result_fits(question.matter, reply, known=known):
        faults.append("verification result")
    return faults


def _auth_code_fits(code: str, auth_code: str | None) -> bool:
    """DE 38 is there exactly when approved: six characters, not all zeros."""
    if code != APPROVED:
        return auth_code is None
    return auth_code is not None and _AUTH_CODE.fullmatch(auth_code) is not None and auth_code != "000000"
