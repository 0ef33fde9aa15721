"""Where mc-like messages keep what others keep elsewhere.

CVC2 is in DE 48.92 and its result in 48.87; the trace identifier is in 48.63 of later messages and in DE 63
and 15 of the first; advice reasons are in DE 60.
"""

from processor.iso8583.tables.mc_like import ADDITIONAL_DATA, ADVICE_REASON
from processor.networks.replacement import new_total
from processor.values.facts import Check
from processor.values.outcome import Reply
from processor.values.requests import CvvKind

PARTS = frozenset({"48.63", "63+15"})

_CATEGORY, _TRACE, _CVC_RESULT, _CVC2 = 0, 63, 87, 92
_CVC2_RESULT = {Check.PASSED: "M", Check.FAILED: "N", Check.NO_ANSWER: "P"}
_TRACE_CHARACTERS = 9 + 4  # DE 63's first nine and DE 15


def cvv2(elements: dict[int, str]) -> str:
    """The CVC2 of DE 48.92, three digits, or empty."""
    return ADDITIONAL_DATA.pick(_CVC2, elements[48]) or "" if 48 in elements else ""


def part(name: str, elements: dict[int, str]) -> str:
    """The trace identifier, as the first message has it ("63+15") or a later one ("48.63"); or empty."""
    if name == "48.63":
        trace = ADDITIONAL_DATA.pick(_TRACE, elements[48]) if 48 in elements else None
        return trace[:_TRACE_CHARACTERS] if trace and trace.strip("0 ") else ""
    assert name == "63+15", f"nothing called {name} identifies an mc-like transaction"
    if 15 not in elements or not elements.get(63, "").strip("0 "):
        return ""
    return f"{elements[63][:9]:9}{elements[15]}"


def reasons(elements: dict[int, str]) -> tuple[str, ...]:
    """Why the network sent an advice or a reversal: the reason of DE 60, and DE 39 of a reversal."""
    detail = ADVICE_REASON.pick(1, elements[60]) if 60 in elements else None
    return tuple(reason for reason in (detail, elements.get(39)) if reason)


def replacement(elements: dict[int, str]) -> tuple[str, bool]:
    """DE 95's new total, and whether it is the billing part."""
    return new_total(elements.get(95, ""))


def results(asked: dict[int, str], reply: Reply) -> dict[int, str]:
    """DE 48: the request's category, and the verification result (Y: CVC 1 is wrong; M, N, P for CVC 2)."""
    answer: dict[int, str] = {}
    category = asked.get(48, "")[:1]  # not read with its rules: what cannot be read must be answerable
    if category.isascii() and category.isalpha():
        answer[_CATEGORY] = category
    if reply.cvv_kind is CvvKind.CVV2:
        mark = _CVC2_RESULT.get(reply.cvv, "")
    else:
        mark = "Y" if reply.cvv is Check.FAILED else ""
    if mark:
        answer[_CVC_RESULT] = mark
    return {48: ADDITIONAL_DATA.build(answer)} if answer else {}
