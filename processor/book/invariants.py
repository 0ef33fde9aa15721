"""What is always true of a state, checked from its parts and not from its running sums."""

import hashlib
from collections import defaultdict

import msgspec

from processor.book.state import CLEARING, State


def violations(state: State) -> list[str]:
    """Every broken invariant in words; empty when the books balance.

    Checked: ledgers sum to zero per currency; each account's held sum, hold set and next expiry are those of
    its transactions with something remaining; the expiry index has exactly these; holds are in the account's
    currency; every card has its account; what was posted for an account's transactions is in its ledger.
    """
    found = []
    ledger: defaultdict[str, int] = defaultdict(int)
    held: defaultdict[str, int] = defaultdict(int)
    posted: defaultdict[str, int] = defaultdict(int)
    open_holds: defaultdict[str, set[int]] = defaultdict(set)
    for account in state.accounts.values():
        ledger[account.currency] += account.ledger_minor
    found += [f"currency {c}: ledgers sum to {minor}, not 0" for c, minor in ledger.items() if minor]
    index = []
    for number, transaction in state.transactions.items():
        posted[transaction.account] += transaction.posted_minor
        if transaction.remaining_minor:
            index.append((transaction.expires_ms, number))
            held[transaction.account] += transaction.remaining_minor
            open_holds[transaction.account].add(number)
            if state.accounts[transaction.account].currency != transaction.amount.currency:
                found.append(f"transaction {number}: holds another currency than its account's")
    if list(state.holds) != sorted(index):
        found.append("the expiry index differs from the open holds")
    for account in state.accounts.values():
        name = account.name
        if account.held_minor != held[name] or account.holds != open_holds[name]:
            found.append(f"account {name}: held sum or set is not that of its holds")
        due = min((state.transactions[number].expires_ms for number in account.holds), default=0)
        if account.next_expiry_ms != due:
            found.append(f"account {name}: next expiry is {account.next_expiry_ms}, not {due}")
    found += _held_in_all(state)
    cleared = sum(a.ledger_minor for a in state.accounts.values() if a.name.startswith(CLEARING))
    if cleared != sum(posted.values()):
        found.append(f"clearing accounts have {cleared}, transactions posted {sum(posted.values())}")
    found += [
        f"card {card.pan_masked}: no account"
        for card in state.cards.values()
        if card.account not in state.accounts
    ]
    return found


def _held_in_all(state: State) -> list[str]:
    held: defaultdict[str, int] = defaultdict(int)
    for account in state.accounts.values():
        held[account.currency] += account.held_minor
    return [f"currency {c}: holds of {m}, not {held[c]}" for c, m in state.held_minor.items() if m != held[c]]


def digest(state: State) -> str:
    """A hash of the whole state, equal for equal states however they were reached."""
    encode = msgspec.msgpack.Encoder(order="deterministic").encode
    whole = hashlib.sha256(encode((state.sequence, state.sequenced_ms, state.signed_on)))
    for account in sorted(state.accounts.values(), key=lambda account: account.name):
        figures = (account.currency, account.ledger_minor, account.held_minor, account.next_expiry_ms)
        whole.update(encode((account.name, figures, sorted(account.holds))))
    for number, transaction in sorted(state.transactions.items()):
        parts = [part for part in msgspec.structs.astuple(transaction) if part is not transaction.postings]
        whole.update(encode((number, parts, sorted(transaction.postings.items(), key=lambda item: item[0]))))
    for part in (state.cards, state.by_key, state.usage, state.answers):
        for item in sorted(part.items()):
            whole.update(encode(item))
    return whole.hexdigest()
