"""What is always true of a state, checked from its parts and not from its running sums."""

import hashlib
from collections import defaultdict

import msgspec

from processor.book.state import State


def violations(state: State) -> list[str]:
    """Every broken invariant in words; empty when the books balance.

    Checked: ledgers sum to zero per currency; no hold without an open transaction, none of nothing, none in
    another currency; each account's held sum and hold set are those of its holds; the expiry index has
    exactly the holds; every card has its account; an ended transaction has no hold.
    """
    found = []
    ledger: defaultdict[str, int] = defaultdict(int)
    held: defaultdict[str, int] = defaultdict(int)
    held_by: defaultdict[str, set[int]] = defaultdict(set)
    for account in state.accounts.values():
        ledger[account.currency] += account.ledger_minor
    found += [f"currency {c}: ledgers sum to {minor}, not 0" for c, minor in ledger.items() if minor]
    for number, hold in state.holds.items():
        transaction = state.transactions.get(number)
        if transaction is None or transaction.ending is not None:
            found.append(f"hold {number}: no open transaction explains it")
        elif transaction.account != hold.account:
            found.append(f"hold {number}: on another account than its transaction")
        if hold.amount.minor <= 0 or hold.amount.currency != state.accounts[hold.account].currency:
            found.append(f"hold {number}: of {hold.amount}")
        held[hold.account] += hold.amount.minor
        held_by[hold.account].add(number)
    for account in state.accounts.values():
        if account.held_minor != held[account.name] or account.holds != held_by[account.name]:
            found.append(f"account {account.name}: held sum or set is not that of its holds")
        due = min((state.holds[t].expires_ms for t in account.holds if t in state.holds), default=0)
        if account.next_expiry_ms != due:
            found.append(f"account {account.name}: next expiry is {account.next_expiry_ms}, not {due}")
    if list(state.holds_by_expiry) != sorted((h.expires_ms, n) for n, h in state.holds.items()):
        found.append("the expiry index differs from the holds")
    found += [
        f"card {card.pan_masked}: no account"
        for card in state.cards.values()
        if card.account not in state.accounts
    ]
    return found


def digest(state: State) -> str:
    """A hash of the whole state, equal for equal states however they were reached."""
    encode = msgspec.msgpack.Encoder(order="deterministic").encode
    whole = hashlib.sha256(encode((state.sequence, state.sequenced_ms, state.signed_on)))
    for account in sorted(state.accounts.values(), key=lambda account: account.name):
        whole.update(encode((account, sorted(account.holds))))
    for part in (state.cards, state.transactions, state.by_key, state.holds, state.answers, state.parked):
        for item in sorted(part.items()):
            whole.update(encode(item))
    return whole.hexdigest()
