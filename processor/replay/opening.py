"""The state a trace begins with, and what is added to it before something is touched for the first time.

Beside ``State.apply`` this is the only code that changes a state, and only that of a replay.
"""

import heapq

from processor.book.state import Account, Answer, Posting, State, Transaction, Usage
from processor.replay.trace import AccountStart, Header, Start, TransactionStart


class StartError(ValueError):
    """What is told of the state cannot be."""


def opening(header: Header) -> State:
    """The state when recording began, as far as the header knows it."""
    state = State()
    state.sequence, state.sequenced_ms = header.sequence, header.sequenced_ms
    state.signed_on.update(header.signed_on)
    for account in header.accounts:
        _account(state, account)
    return state


def add(state: State, start: Start) -> None:
    """Add what is told now, unless the replay has it already.

    Raises:
        StartError: an account's holds are more than it holds, or are in another currency.
    """
    for account in start.accounts:
        _account(state, account)
    for card in start.cards:
        state.cards.setdefault(card.token, card)
    for token, (day, count, minor) in start.usage.items():
        state.usage.setdefault(token, Usage(day, count, minor))
    for number, transaction in start.transactions.items():
        if number not in state.transactions:
            _transaction(state, number, transaction)
    for key, number in start.names.items():
        state.by_key.setdefault(key, number)
    for key, answer in start.answers.items():
        state.answers.setdefault(key, Answer(answer.content, answer.reply))


def _account(state: State, start: AccountStart) -> None:
    if start.name not in state.accounts:
        account = Account(start.name, start.currency, start.ledger_minor, start.held_minor)
        state.accounts[start.name] = account
        state.held_minor[start.currency] = state.held_minor.get(start.currency, 0) + start.held_minor


def _transaction(state: State, number: int, start: TransactionStart) -> None:
    """A transaction; what it holds is in its account's figures already."""
    transaction = state.transactions[number] = Transaction(
        network=start.network,
        card=start.card,
        account=start.account,
        amount=start.amount,
        direction=start.direction,
        auth_code=start.auth_code,
        rrn=start.rrn,
        keys=(),
        asked=start.asked,
        single_message=start.single_message,
        day=start.day,
        postings={n: Posting(posting.names, posting.minor) for n, posting in start.postings.items()},
        issuer_minor=start.issuer_minor,
        network_minor=start.network_minor,
        issuer_void=start.issuer_void,
        network_void=start.network_void,
        cap_minor=start.cap_minor,
        posting_void=start.posting_void,
        closed=start.closed,
        expires_ms=start.expires_ms,
        hold_class=start.hold_class,
    )
    if transaction.remaining_minor:
        account = state.accounts[start.account]
        if account.currency != start.amount.currency:
            raise StartError("it tells a hold that is not in its account's currency")
        known_minor = sum(state.transactions[known].remaining_minor for known in account.holds)
        if not 0 < transaction.remaining_minor <= account.held_minor - known_minor:
            raise StartError("it tells more holds of an account than the account holds")
        state.holds.add((start.expires_ms, number))
        account.holds.add(number)
        heapq.heappush(account.expiries, (start.expires_ms, number))
        account.next_expiry_ms = account.expiries[0][0]
