"""Deciding what is not a question of money: cards issued, networks signed on and off, deadlines passed."""

from processor.book.state import FUNDING, State
from processor.core.expire import release
from processor.values.commands import IssueCard, Lapse, Sign
from processor.values.effects import (
    AccountOpened,
    Answered,
    CardIssued,
    Effect,
    Ending,
    Posted,
    SignChanged,
    TransactionEnded,
)
from processor.values.outcome import Outcome, Reply
from processor.values.reasons import Reason


def issue_card(state: State, command: IssueCard, sequence: int) -> Outcome:
    """Open the card's account, fund it from the funding account of its currency, and issue the card."""
    card, funds = command.card, command.funds
    effects: list[Effect] = []
    if (funding := FUNDING + funds.currency) not in state.accounts:
        effects.append(AccountOpened(funding, funds.currency))
    effects.append(AccountOpened(card.account, funds.currency))
    if funds.minor:
        effects.append(Posted(debit=funding, credit=card.account, amount=funds))
    effects.append(CardIssued(card))
    return Outcome(sequence, Reply(Reason.ACCEPTED), tuple(effects))


def sign(command: Sign, sequence: int) -> Outcome:
    """Remember the sign-on state; it belongs to the network, not to one of its sockets."""
    return Outcome(sequence, Reply(Reason.ACCEPTED), (SignChanged(command.network, command.signed_on),))


def lapse(state: State, command: Lapse, sequence: int) -> Outcome:
    """Take back what was decided and store the answer that is given instead.

    A PIN try that was spent stays spent: the PIN was wrong whatever became of the answer.
    """
    request, number = command.request, command.decided
    effects: list[Effect] = []
    if number in state.holds:
        effects += release(state, (number,), Ending.LAPSED)
    elif number and state.transactions[number].ending is None:
        effects.append(TransactionEnded(number, Ending.LAPSED))
    reply = Reply(Reason.LATE)
    effects.append(Answered(request.key, request.content, reply))
    return Outcome(sequence, reply, tuple(effects))
