"""What a rule may look at."""

import msgspec

from processor.values.cards import Card
from processor.values.facts import Facts
from processor.values.requests import Authorization


class Situation(msgspec.Struct, frozen=True, gc=False):
    """One request with its facts and the state it meets.

    ``card`` is None when it is not on file; then ``currency`` is empty and ``available_minor`` 0.
    ``available_minor`` is what the account may spend now, in minor units of ``currency``. ``today_*`` is what
    the card has had authorized on this UTC day before this request; ``month`` is YYMM.
    """

    request: Authorization
    facts: Facts
    card: Card | None
    currency: str
    available_minor: int
    today_count: int
    today_minor: int
    month: str
