"""What may be written to a terminal."""


def printable(text: str) -> str:
    r"""The text with everything escaped that a terminal might obey.

    >>> printable("caf\u00e9 \x1b[31m")
    'café \\x1b[31m'
    """
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in text
    )
