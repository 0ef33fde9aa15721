"""``standin deck``: make test cards."""

from pathlib import Path

import cyclopts
import trio

from processor.values.errors import WorldError
from simulators.cards import DeckCard, draft_cards, write_lines
from simulators.cli.arguments import Address, explained, writable
from simulators.examples import example
from simulators.keys import TestKeys, load_test_keys
from simulators.personalise import personalise
from simulators.report import dollars

app = cyclopts.App(name="deck", help="Make test cards for the processor and the simulators.")

_SECRET = 0o600


@app.command
def make(*, cards: int, hsm: str, out: Path, pins: Path, seed: int = 1, keys: Path | None = None) -> None:
    """Make a deck of seeded test cards: equal seeds give equal files.

    Example: standin deck make --cards 100 --hsm 127.0.0.1:1500 --out deck.jsonl --pins pins.jsonl

    Args:
        cards: How many cards.
        hsm: HOST:PORT of the HSM that makes the PVVs (commands BA and DG; BA needs the authorised state).
        out: The deck file, for the processor; it has PVVs and no PINs.
        pins: The file of clear test PINs, for simulators only; it gets mode 0600.
        seed: Names the deck.
        keys: Key file with the test keys in clear; default: examples/keys.test.json of this project.
    """
    with explained("deck make"):
        address, ready = Address.parse(hsm), load_test_keys(keys or example("keys.test.json"))
        writable(out)
        writable(pins)
        made = trio.run(make_deck, cards, seed, address, ready, out, pins)
        funds = dollars(sum(card.balance_minor for card in made))
        print(f"{len(made):,} cards in {out}, {funds} in all; PINs in {pins}")


async def make_deck(
    count: int, seed: int, hsm: Address, keys: TestKeys, out: Path, pins: Path
) -> list[DeckCard]:
    """Draw the cards, have the HSM make their PVVs, write both files.

    Errors: WorldError when the HSM cannot be reached; ConfigError, HsmError and OSError as of the parts.
    """
    drafts, secrets = draft_cards(count, seed)
    try:
        stream = await trio.open_tcp_stream(hsm.host, hsm.port)
    except OSError as error:
        raise WorldError(f"HSM {hsm.host}:{hsm.port}: {error}") from None
    async with stream:
        made = await personalise(stream, keys, drafts, secrets)
    write_lines(out, made)
    write_lines(pins, secrets, _SECRET)
    return made
