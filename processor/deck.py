"""A deck file: one card with its account a line, as an issuer's card management would hand it over."""

from pathlib import Path

import msgspec

from processor.book.state import State
from processor.values.cards import Card
from processor.values.commands import IssueCard
from processor.values.errors import ConfigError
from processor.values.money import EXPONENT, Money
from processor.values.sensitive import Pan, Tokens

_PROBLEMS_SHOWN = 20


class DeckLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line of a deck; prints masked."""

    pan: str
    expiry: str
    service_code: str
    currency: str
    balance_minor: int
    pvv: str
    pvki: str
    psn: str

    def __repr__(self) -> str:
        return f"DeckLine({Pan(self.pan)})"

    __str__ = __repr__

    def problem(self) -> str:
        """What is wrong with it, without quoting it."""
        for name, value, length in (
            ("expiry", self.expiry, 4),
            ("service_code", self.service_code, 3),
            ("pvv", self.pvv, 4),
            ("pvki", self.pvki, 1),
            ("psn", self.psn, len(self.psn)),
        ):
            if len(value) != length or (value and not (value.isascii() and value.isdigit())):
                return f"{name}: must be {length} digits"
        if not "01" <= self.expiry[2:] <= "12":
            return "expiry: must be YYMM"
        if self.currency not in EXPONENT:
            return "currency: not known"
        if not 0 <= self.balance_minor < 10**15:
            return "balance_minor: must be 0 or more"
        return ""


def load_deck(path: Path) -> list[DeckLine]:
    """Read and check a deck.

    Raises:
        ConfigError: every bad line (the first twenty), by number and without quoting it.
    """
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise ConfigError([f"{path}: {error.strerror}"]) from None
    decode = msgspec.json.Decoder(DeckLine).decode
    deck: list[DeckLine] = []
    problems: list[str] = []
    for number, raw in enumerate(lines, 1):
        if not raw.strip():
            continue
        try:
            line = decode(raw)
            Pan(line.pan)
        except msgspec.ValidationError as error:
            problems.append(f"{path}:{number}: {error}")
        except msgspec.DecodeError:
            problems.append(f"{path}:{number}: not a JSON object")
        except ValueError as error:
            problems.append(f"{path}:{number}: pan: {error}")
        else:
            if problem := line.problem():
                problems.append(f"{path}:{number}: {problem}")
            else:
                deck.append(line)
    if problems:
        more = len(problems) - _PROBLEMS_SHOWN
        raise ConfigError(problems[:_PROBLEMS_SHOWN] + ([f"{path}: and {more} more"] if more > 0 else []))
    return deck


def issue_commands(deck: list[DeckLine], tokens: Tokens, pin_tries: int, received_ms: int) -> list[IssueCard]:
    """One command a card, which opens an account of its own."""
    commands = []
    for line in deck:
        pan = Pan(line.pan)
        card = _card(line, pan, tokens.token(pan), pin_tries)
        commands.append(IssueCard(card, Money(line.balance_minor, line.currency), received_ms))
    return commands


def _card(line: DeckLine, pan: Pan, token: str, pin_tries: int) -> Card:
    return Card(
        token=token,
        pan_masked=pan.masked(),
        account=f"account:{token}",
        expiry=line.expiry,
        service_code=line.service_code,
        pvv=line.pvv,
        pvki=line.pvki,
        psn=line.psn,
        pin_tries_max=pin_tries,
        pin_tries_left=pin_tries,
    )


def not_issued_yet(commands: list[IssueCard], state: State) -> list[IssueCard]:
    """Those whose card the book does not have: a deck can be given again, with more lines; the first wins."""
    new: dict[str, IssueCard] = {}
    for command in commands:
        if command.card.token not in state.cards:
            new.setdefault(command.card.token, command)
    return list(new.values())
