"""What becomes of a purchase after its request, or instead of it, or before it: each story is a row."""

import enum
from typing import NamedTuple

from simulators.ways import Way


class Act(enum.Enum):
    """One message of a story."""

    ASK = "ask"
    ASK_AGAIN = "ask again"  # the repeat: the same key
    ASK_CHANGED = "ask changed"  # the same key with another amount
    REVERSE = "reverse"  # the whole, by the acquirer
    REDUCE = "reduce"  # a part of it, by the acquirer
    TAKE_BACK = "take back"  # the issuer's answer came too late for the network
    STAND_IN = "stand in"  # the network approved in the issuer's place
    REFUSE = "refuse"  # the network declined in the issuer's place
    POST = "post"  # a completion; or by force, where nothing was asked
    UNDO_POSTING = "undo posting"


# How many slots after the step before it: equal seeds give equal traffic at any rate.
_AT_ONCE, _SOON, _LATER = (1, 2), (1, 5), (100, 2_000)

Step = tuple[tuple[int, int], Act]


class Story(NamedTuple):
    """One story, with how often it happens, in about a thousand.

    ``holds`` is of purchases that hold until they are posted, ``posts`` of those that post as they are asked,
    ``other`` of refunds and verifications.
    """

    holds: int
    posts: int
    other: int
    first: Act
    then: tuple[Step, ...]


STORIES = (
    Story(707, 747, 880, Act.ASK, ()),
    Story(15, 20, 20, Act.ASK, ((_AT_ONCE, Act.ASK_AGAIN),)),
    Story(15, 20, 20, Act.ASK, ((_LATER, Act.ASK_AGAIN),)),
    Story(4, 4, 4, Act.ASK, ((_LATER, Act.ASK_CHANGED),)),
    Story(4, 4, 0, Act.ASK, ((_AT_ONCE, Act.ASK_CHANGED), (_SOON, Act.ASK_AGAIN))),
    # reversals by the acquirer
    Story(12, 20, 20, Act.ASK, ((_SOON, Act.REVERSE),)),
    Story(20, 30, 20, Act.ASK, ((_LATER, Act.REVERSE),)),
    Story(5, 15, 10, Act.ASK, ((_SOON, Act.REVERSE), (_LATER, Act.REVERSE))),
    Story(5, 5, 10, Act.REVERSE, ((_SOON, Act.ASK),)),
    Story(3, 3, 5, Act.REVERSE, ((_LATER, Act.ASK), (_AT_ONCE, Act.ASK_AGAIN))),
    Story(15, 20, 0, Act.ASK, ((_LATER, Act.REDUCE),)),
    Story(5, 5, 0, Act.ASK, ((_AT_ONCE, Act.REDUCE), (_SOON, Act.REDUCE))),
    Story(5, 5, 0, Act.ASK, ((_SOON, Act.REDUCE), (_LATER, Act.REVERSE))),
    Story(5, 5, 0, Act.ASK, ((_SOON, Act.REVERSE), (_LATER, Act.REDUCE))),
    Story(4, 4, 5, Act.REDUCE, ((_SOON, Act.ASK),)),
    Story(0, 0, 20, Act.ASK, ((_LATER, Act.REDUCE),)),
    # completions and force posts
    Story(60, 0, 0, Act.ASK, ((_LATER, Act.POST),)),
    Story(5, 0, 0, Act.ASK, ((_SOON, Act.POST), (_LATER, Act.REVERSE))),
    Story(5, 0, 0, Act.ASK, ((_SOON, Act.REDUCE), (_SOON, Act.POST))),
    Story(5, 0, 0, Act.POST, ((_SOON, Act.ASK),)),
    Story(8, 8, 0, Act.POST, ()),
    Story(3, 3, 0, Act.POST, ((_LATER, Act.UNDO_POSTING),)),
    Story(3, 3, 0, Act.ASK, ((_SOON, Act.POST), (_SOON, Act.UNDO_POSTING))),
    # stand-in: the network decided, because we were silent, late, or not there
    Story(15, 0, 0, Act.STAND_IN, ()),
    Story(8, 0, 0, Act.ASK, ((_SOON, Act.STAND_IN),)),
    Story(8, 0, 0, Act.ASK, ((_SOON, Act.REFUSE),)),
    Story(4, 0, 0, Act.REFUSE, ()),
    Story(8, 10, 0, Act.ASK, ((_AT_ONCE, Act.TAKE_BACK),)),
    Story(5, 0, 0, Act.ASK, ((_SOON, Act.STAND_IN), (_SOON, Act.TAKE_BACK))),
    Story(5, 0, 0, Act.ASK, ((_SOON, Act.TAKE_BACK), (_LATER, Act.STAND_IN))),
    Story(3, 0, 0, Act.ASK, ((_SOON, Act.TAKE_BACK), (_SOON, Act.REFUSE))),
    Story(5, 0, 0, Act.STAND_IN, ((_SOON, Act.ASK),)),
    Story(3, 0, 0, Act.REFUSE, ((_SOON, Act.ASK),)),
    Story(3, 3, 3, Act.TAKE_BACK, ((_SOON, Act.ASK),)),
    Story(3, 0, 0, Act.TAKE_BACK, ((_SOON, Act.STAND_IN), (_SOON, Act.ASK))),
    Story(4, 0, 0, Act.STAND_IN, ((_LATER, Act.REVERSE),)),
    Story(3, 0, 0, Act.REVERSE, ((_LATER, Act.STAND_IN),)),
    Story(4, 0, 0, Act.ASK, ((_SOON, Act.STAND_IN), (_SOON, Act.REVERSE))),
    Story(4, 0, 0, Act.ASK, ((_SOON, Act.STAND_IN), (_LATER, Act.REDUCE))),
    Story(8, 0, 0, Act.ASK, ((_SOON, Act.STAND_IN), (_LATER, Act.POST))),
    Story(5, 0, 0, Act.STAND_IN, ((_LATER, Act.POST),)),
    Story(0, 8, 0, Act.ASK, ((_SOON, Act.POST),)),
    Story(0, 5, 0, Act.ASK, ((_SOON, Act.POST), (_SOON, Act.TAKE_BACK))),
    Story(0, 5, 0, Act.ASK, ((_SOON, Act.TAKE_BACK), (_SOON, Act.POST))),
    Story(0, 3, 0, Act.POST, ((_SOON, Act.ASK),)),
    Story(0, 3, 0, Act.REVERSE, ((_SOON, Act.POST),)),
    Story(0, 3, 0, Act.ASK, ((_SOON, Act.POST), (_SOON, Act.REVERSE))),
)

_HOLDING = [story.holds for story in STORIES]
_POSTING = [story.posts for story in STORIES]
_OTHER = [story.other for story in STORIES]


def shares(way: Way) -> list[int]:
    """How often each story is that of a purchase made in this way."""
    if way.is_credit or way.is_verification:
        return _OTHER
    return _POSTING if way.posts else _HOLDING
