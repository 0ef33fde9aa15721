"""Deciding what is not a question of money: cards issued, networks signed on and off, deadlines passed."""

from processor.book.state import FUNDING, State
from processor.core.holds import Hold, open_if_new, unpost
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
        effects.append(Posted(transaction=0, debit=funding, credit=card.account, amount=funds))
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
    number = command.decided
    if number and number not in state.transactions:  # it joined what an advice had opened
        number = state.find(request.match_keys) or 0
    if number:
        transaction = state.transactions[number]
        if transaction.single_message:
            effects += unpost(number, transaction)
        hold = Hold(transaction)
        hold.issuer_void = True
        hold.cleared_minor = 0 if transaction.single_message else hold.cleared_minor
        effects.append(hold.effect(number, Cause.LAPSED))
    reply = Reply(Reason.LATE)
    effects.append(Answered(request.key, request.content, reply))
    return Outcome(sequence, reply, tuple(effects))
