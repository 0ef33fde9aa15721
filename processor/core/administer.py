"""Deciding what is not a question of money: cards issued, networks signed on and off, deadlines passed."""

from processor.book.state import FUNDING, State
from processor.core.holds import Draft, open_if_new
from processor.values.commands import IssueCard, Lapse, Sign
from processor.values.effects import (
    AccountOpened,
    Answered,
    CardIssued,
    Cause,
    Effect,
    Posted,
    SignChanged,
)
from processor.values.outcome import Outcome, Reply
from processor.values.reasons import Reason


def issue_card(state: State, command: IssueCard, sequence: int) -> Outcome:
    """Open the card's account, fund it from the funding account of its currency, and issue the card."""
    card, funds = command.card, command.funds
    funding = FUNDING + funds.currency
    effects = open_if_new(state, funding, funds.currency)
    effects.append(AccountOpened(card.account, funds.currency))
    if funds.minor:
        effects.append(Posted(transaction=0, posting=0, debit=funding, credit=card.account, amount=funds))
    effects.append(CardIssued(card))
    return Outcome(sequence, Reply(Reason.ACCEPTED), tuple(effects))


def sign(command: Sign, sequence: int) -> Outcome:
    """Remember the sign-on state; it belongs to the network, not to one of its sockets."""
    return Outcome(sequence, Reply(Reason.ACCEPTED), (SignChanged(command.network, command.signed_on),))


def lapse(state: State, command: Lapse, sequence: int) -> Outcome:
    """Take back what was decided and store the answer that is given instead.

    A PIN try that was spent stays spent: the PIN was wrong whatever became of the answer.
    """
    request = command.request
    effects: list[Effect] = []
    if command.transaction:
        draft = Draft(command.transaction, state)
        draft.issuer_void = True
        effects += draft.effects(Cause.LAPSED)
    reply = Reply(Reason.LATE)
    effects.append(Answered(request.key, request.content, reply))
    return Outcome(sequence, reply, tuple(effects))
