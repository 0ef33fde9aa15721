"""The files a configuration names: read and checked together, so that every problem is told at once."""

from collections.abc import Callable
from typing import TypeVar

import msgspec

from processor.config import Config
from processor.deck import DeckLine, load_deck
from processor.hsm.keys import load_keys
from processor.links.hsm_questions import HsmKeys
from processor.links.tls import Contexts, load_contexts
from processor.values.errors import ConfigError
from rules.policy import Policy, load_policy

_T = TypeVar("_T")


class Inputs(msgspec.Struct, frozen=True):
    """What the processor starts with besides its state."""

    policy: Policy
    keys: HsmKeys
    deck: list[DeckLine]
    tls: Contexts


def load_inputs(config: Config) -> Inputs:
    """Read policy, keys, deck and certificates.

    Raises:
        ConfigError: every problem of all of them.
    """
    problems: list[str] = []

    def attempt(load: Callable[[], _T]) -> _T | None:
        try:
            return load()
        except ConfigError as error:
            problems.extend(error.problems)
            return None

    policy = attempt(lambda: load_policy(config.beside(config.policy)))
    keys = attempt(lambda: _hsm_keys(config))
    deck = attempt(lambda: load_deck(config.deck) if config.deck is not None else [])
    tls = attempt(lambda: load_contexts(config))
    if problems:
        raise ConfigError(problems)
    assert policy is not None, "no problem, no gap"
    assert keys is not None, "no problem, no gap"
    assert deck is not None, "no problem, no gap"
    assert tls is not None, "no problem, no gap"
    return Inputs(policy, keys, deck, tls)


def _hsm_keys(config: Config) -> HsmKeys:
    path = config.beside(config.hsm.keys)
    keys = load_keys(path)
    missing = [f"{path}: {name}: missing" for name in ("zpk", "pvk", "cvk") if name not in keys]
    if missing:
        raise ConfigError(missing)
    return HsmKeys(keys["zpk"], keys["pvk"], keys["cvk"])
