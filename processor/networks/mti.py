"""Message types that belong together."""


def first_of(mti: str) -> str:
    """The MTI of the question that ``mti`` is or repeats.

    >>> first_of("0101"), first_of("0420"), first_of("1805")
    ('0100', '0420', '1804')
    """
    return f"{mti[:3]}{int(mti[3]) & ~1}"
