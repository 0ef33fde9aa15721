"""A policy: the rules of a TOML file, compiled, and known by the hash of its content."""

import hashlib
import tomllib
from pathlib import Path

import msgspec

from processor.values.errors import ConfigError
from processor.values.outcome import Verdict
from processor.values.reasons import Reason
from rules.catalogue import Cvv, Pin, Rule, RuleRow
from rules.situation import Situation


class _PolicyFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pin_tries: int
    rules: list[dict[str, object]]


class Policy:
    """Evaluates every rule that applies.

    ``pin_tries`` is how many wrong PINs in a row a newly issued card allows; ``hash`` names the content.
    ``needs_hsm`` tells whether a rule looks at what only an HSM can verify.
    """

    def __init__(self, rows: tuple[RuleRow, ...], *, pin_tries: int) -> None:
        self.pin_tries = pin_tries
        self.hash = hashlib.sha256(msgspec.json.encode((pin_tries, rows), order="deterministic")).hexdigest()
        self.needs_hsm = any(isinstance(row, Pin | Cvv) for row in rows)
        self._rules: tuple[Rule, ...] = tuple(row.compile() for row in rows)

    def evaluate(self, situation: Situation) -> tuple[Verdict, ...]:
        """The verdict of each rule that applies, in the policy's order."""
        return tuple([v for rule in self._rules if (v := rule(situation)) is not None])


def refusal(verdicts: tuple[Verdict, ...]) -> Reason | None:
    """The reason to tell: that of the first refusing rule, or None when all passed."""
    for verdict in verdicts:
        if verdict.reason is not None:
            return verdict.reason
    return None


def load_policy(path: Path) -> Policy:
    """Compile the policy file ``path``; errors as ``parse_policy``, and for a file that cannot be read."""
    try:
        return parse_policy(path.read_text("utf-8"), str(path))
    except OSError as error:
        raise ConfigError([f"{path}: {error.strerror}"]) from None
    except UnicodeDecodeError:
        raise ConfigError([f"{path}: not UTF-8 text"]) from None


def parse_policy(text: str, source: str) -> Policy:
    """Compile a policy file; ``source`` names it in errors.

    Raises:
        ConfigError: not TOML, an unknown rule or parameter, or a policy that could approve an unknown card or
            more than the account has.
    """
    try:
        file = msgspec.convert(tomllib.loads(text), _PolicyFile, strict=True)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise ConfigError([f"{source}: {error}"]) from None
    rows: list[RuleRow] = []
    problems = []
    for number, row in enumerate(file.rules):
        try:
            rows.append(msgspec.convert(row, RuleRow, strict=True))
        except msgspec.ValidationError as error:
            problems.append(f"{source}: rules[{number}]: {error}")
    problems += [
        f"{source}: rules: a policy needs the rule {name!r}"
        for name in ("card_known", "funds")
        if not any(row.get("rule") == name for row in file.rules)
    ]
    if not 1 <= file.pin_tries <= 9:
        problems.append(f"{source}: pin_tries: must be 1 to 9")
    if problems:
        raise ConfigError(problems)
    return Policy(tuple(rows), pin_tries=file.pin_tries)
