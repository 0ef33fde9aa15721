"""What people may ask for by name: RRN, code, token, masked PAN, account; never a PAN in clear."""

import re

NAME_MAX = 64

_NAME = re.compile(rf"[0-9A-Za-z*:._ -]{{1,{NAME_MAX}}}")
_TOKEN = re.compile(r"(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])")
_CLEAR_PAN = re.compile(r"[0-9](?:[ :._-]*[0-9]){12,}")  # 13 digits or more, grouped or not: an RRN has 12


def wrong_with(name: str) -> str:
    """Why this is not a name to ask for, without repeating it; empty if it is one.

    >>> wrong_with("632510000042"), wrong_with("400000******0018"), wrong_with("account:" + "0" * 32)
    ('', '', '')
    >>> wrong_with("4000 0012 3456 7899")
    'that could be a card number in clear: use its token, or its masked form'
    """
    if not name.strip() or _NAME.fullmatch(name) is None:
        return f"a name has 1 to {NAME_MAX} letters, digits, or one of * : . _ -"
    if _CLEAR_PAN.search(_TOKEN.sub("", name)) is not None:
        return "that could be a card number in clear: use its token, or its masked form"
    return ""
