"""What became of the money of one purchase, as a clerk at the network would keep it on a slip of paper.

The issuer's decision and the network's stand-in decision are kept apart: where the network decided, its
amount counts; a reversal of the issuer's late answer speaks of the issuer's part only. Nothing depends on
which message came first.
"""


class Slip:
    """Amounts in minor units of the cardholder's currency.

    A purchase that ``posts`` (0200) is posted as it is authorized, others hold until the network posts. Void
    parts count as nothing, whether they come before or after their voiding; no part counts for more than a
    partial reversal left.
    """

    __slots__ = (
        "_closed",
        "_is_credit",
        "_issuer_minor",
        "_issuer_void",
        "_known",
        "_left_minor",
        "_network_minor",
        "_network_posted_minor",
        "_network_void",
        "_posting_void",
        "_posts",
    )

    def __init__(self, *, posts: bool, is_credit: bool = False) -> None:
        self._posts = posts
        self._is_credit = is_credit
        self._known = False
        self._issuer_minor: int | None = None
        self._network_minor: int | None = None
        self._issuer_void = self._network_void = self._posting_void = False
        self._left_minor: int | None = None
        self._network_posted_minor: int | None = None
        self._closed = False

    @property
    def reversed_before(self) -> bool:
        """Whether the issuer's part is void: a request that comes now comes too late."""
        return self._issuer_void

    @property
    def held_minor(self) -> int:
        """What is held and not posted yet."""
        return 0 if self._closed or self._posts or self._is_credit else self._authorized_minor

    @property
    def posted_minor(self) -> int:
        """What the account was charged, below zero for what it was given."""
        own_minor = self._authorized_minor if self._posts else 0
        minor = own_minor if self._network_posted_minor is None else self._network_posted_minor
        return -minor if self._is_credit else minor

    @property
    def taken_minor(self) -> int:
        """What the cardholder cannot spend because of it."""
        return self.held_minor + self.posted_minor

    @property
    def _authorized_minor(self) -> int:
        if self._network_minor is not None:
            minor = 0 if self._network_void else self._network_minor
        else:
            minor = 0 if self._issuer_void else self._issuer_minor or 0
        return minor if self._left_minor is None else min(minor, self._left_minor)

    def decide(self, minor: int) -> None:
        """The issuer approved this, or refused: 0."""
        self._known = True
        self._issuer_minor = minor

    def stand_in(self, minor: int) -> None:
        """The network decided: this amount, or nothing."""
        self._known = True
        self._network_minor = minor
        self._closed = self._closed and self._network_posted_minor is not None

    def post(self, minor: int) -> None:
        """The network posted: in place of what the request itself posts, else after it."""
        self._known = self._closed = True
        if self._posts and self._left_minor is not None:
            minor = min(minor, self._left_minor)
        self._network_posted_minor = 0 if self._posting_void else minor

    def undo_posting(self) -> None:
        """What the network posted did not happen."""
        if self._network_posted_minor is None:
            self._posting_void = True
        else:
            self._network_posted_minor = 0

    def reverse(self, *, of_late_answer: bool) -> None:
        """It did not happen; or only the issuer's answer did not arrive."""
        self._issuer_void = True
        if not of_late_answer:
            self._network_void = True
            if self._posts:
                self.undo_posting()

    def can_be(self, total_minor: int) -> bool:
        """Whether a partial reversal may leave this total: no more than is authorized or posted, if known."""
        return not self._known or total_minor <= max(self._authorized_minor, abs(self.posted_minor))

    def reduce(self, total_minor: int) -> None:
        """It is for this total now."""
        self._left_minor = total_minor
        if self._posts and self._network_posted_minor is not None:
            self._network_posted_minor = min(self._network_posted_minor, total_minor)
