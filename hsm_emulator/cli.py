"""``standin hsm``: run the emulator."""

import ipaddress
import resource
import signal
import sys

import cyclopts
import trio

from hsm_emulator.emulator import Emulator
from hsm_emulator.key_block_lmk import TEST_AES, TEST_TDES, KeyBlockLmk
from hsm_emulator.lmk import VariantLmk
from hsm_emulator.server import HsmServer
from hsm_emulator.state import Rules

app = cyclopts.App(name="hsm")

NO_LMK = "standin hsm: no LMK: give --test-lmk (public test keys); other LMK sources are not available yet"
NOT_LOOPBACK = "standin hsm: the test LMK is public: only loopback, unless --allow-remote-test-lmk is given"
BANNER = "standin hsm: PUBLIC TEST LMK: anybody can read keys and PINs given to it; never for live data"


@app.default
def run(
    *,
    host: str = "127.0.0.1",
    port: int = 1500,
    test_lmk: bool = False,
    allow_remote_test_lmk: bool = False,
    allow_weaker_pin_blocks: bool = False,
    pci_key_types: bool = False,
    strict_keys: bool = False,
) -> None:
    """Run the HSM emulator: payShield-style host commands over TCP, for tests only, until SIGINT or SIGTERM.

    Example: standin hsm --test-lmk --port 1500

    Args:
        host: Address to listen on.
        port: TCP port; 0 picks a free one.
        test_lmk: Use the published test LMKs: 00 variant, 01 TDES and 02 AES key blocks; on loopback this
            also gives the authorised state.
        allow_remote_test_lmk: Let the test LMK be reached from other machines, without the authorised state.
        allow_weaker_pin_blocks: Translate PIN blocks to formats that protect the PIN less.
        pci_key_types: Terminal PIN and master keys have the key types 70D and 80D instead of 002.
        strict_keys: Refuse double and triple keys whose parts are equal.
    """
    local = is_loopback(host)
    if not test_lmk or not (local or allow_remote_test_lmk):
        print(NOT_LOOPBACK if test_lmk else NO_LMK, file=sys.stderr)
        raise SystemExit(2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core dump would hold keys
    print(BANNER, file=sys.stderr, flush=True)
    rules = Rules(local, allow_weaker_pin_blocks, pci_key_types, strict_keys)
    emulator = Emulator(VariantLmk(), rules=rules, others=published_key_block_lmks())
    print(f"standin hsm: LMK check values {emulator.check_values()}", file=sys.stderr, flush=True)
    server = HsmServer(emulator)
    try:
        trio.run(_serve_until_signal, server, host, port)
    except OSError as error:
        print(f"standin hsm: cannot listen on {host}:{port}: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    print(f"standin hsm: ended; errors {dict(emulator.errors)}, links {dict(server.ended)}", file=sys.stderr)


def published_key_block_lmks() -> dict[str, KeyBlockLmk]:
    """The published key block LMKs by their identifiers; 00 is the variant one."""
    return {"01": KeyBlockLmk(TEST_TDES, "01"), "02": KeyBlockLmk(TEST_AES, "02")}


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address; a name other than localhost counts as reachable."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


async def _serve_until_signal(server: HsmServer, host: str, port: int) -> None:
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        listeners = await trio.open_tcp_listeners(port, host=host)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.serve, listeners)
            for listener in listeners:
                address, bound = listener.socket.getsockname()[:2]
                shown = f"[{address}]" if ":" in address else address
                print(f"listening hsm {shown}:{bound}", flush=True)
            await anext(signals)
            nursery.cancel_scope.cancel()
