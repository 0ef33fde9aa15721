"""Limits on guessing PINs: after too many wrong ones for an account the unit verifies none of its PINs.

Units answer 39 then, until somebody resets them; here a restart does. They count by the time, in ways that
are not public; this counts wrong PINs in a row. PIN tries are the issuer's to count: this is a second line.
"""

import functools
import hashlib
import secrets

from hsm_emulator.state import Handler, Result, State
from processor.hsm.commands import Diagnosis
from processor.hsm.errors import ErrorCode
from processor.hsm.layout import Fields

VERIFYING = frozenset({"BC", "BE", "CK", "CM", "CU", "DA", "DC", "DU", "EA", "EC", "GO", "GQ"})
"""The commands that tell whether a PIN is right."""

ACCOUNTS_MAX = 10_000
"""Accounts with wrong PINs that are remembered; the one whose last wrong PIN is oldest is forgotten first."""

_WRONG = frozenset(
    {ErrorCode.VERIFICATION_FAILED, ErrorCode.INVALID_PIN_BLOCK, ErrorCode.INVALID_PIN_LENGTH}
)  # a block that does not decrypt to a PIN is a guess too


class PinLimits:
    """Wrong PINs in a row by account, of which only a keyed hash is kept."""

    __slots__ = ("_accounts_most", "_failures", "_failures_most", "_key")

    def __init__(self, failures_most: int, accounts_most: int = ACCOUNTS_MAX) -> None:
        self._failures_most = failures_most
        self._accounts_most = accounts_most
        self._failures: dict[bytes, int] = {}
        self._key = secrets.token_bytes(16)

    def limited(self, handler: Handler) -> Handler:
        """The handler of a command that verifies PINs, which answers 39 once the limit is reached."""

        @functools.wraps(handler)
        def guarded(fields: Fields, state: State) -> Result:
            account = self._name(fields["account"])
            if self._failures.get(account, 0) >= self._failures_most:
                return ErrorCode.FRAUD_DETECTION
            result = handler(fields, state)
            self._note(account, result)
            return result

        return guarded

    def _name(self, account: str) -> bytes:
        return hashlib.blake2b(account[-12:].encode("ascii"), key=self._key, digest_size=16).digest()

    def _note(self, account: bytes, result: Result) -> None:
        if isinstance(result, Diagnosis) or (isinstance(result, ErrorCode) and result in _WRONG):
            failures = self._failures.pop(account, 0) + 1
            if len(self._failures) >= self._accounts_most:
                del self._failures[next(iter(self._failures))]
            self._failures[account] = failures
        elif not isinstance(result, ErrorCode):
            self._failures.pop(account, None)
