"""What decisions depend on besides the state and the command: fixed while the process runs."""

import msgspec

from processor.core.identity import Identity
from rules.policy import Policy


class Terms(msgspec.Struct, frozen=True):
    """``before_sign_on`` names the networks that are served although they never signed on."""

    policy: Policy
    identity: Identity
    before_sign_on: frozenset[str] = frozenset()
