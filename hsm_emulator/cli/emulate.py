"""``standin hsm``: run the emulator."""

import ipaddress
import resource
import signal
import sys
from pathlib import Path
from typing import Annotated

import cyclopts
import trio

from hsm_emulator.emulator import DEFAULT_LMK, Emulator
from hsm_emulator.key_block_lmk import published_key_block_lmks
from hsm_emulator.keyring import Lmk
from hsm_emulator.lmk import VariantLmk
from hsm_emulator.lmk_file import load_lmks, read_lmks
from hsm_emulator.server import HsmServer
from hsm_emulator.state import Rules
from processor.values.errors import ConfigError

ONE_LMK = "no LMK: give one of --lmk FILE, --lmk-fd NUMBER and --test-lmk (public test keys)"
NOT_LOOPBACK = "the test LMK is public: only loopback, unless --allow-remote-test-lmk is given"
NOT_AUTHORISED = "--authorised: only on loopback"
BANNER = "standin hsm: PUBLIC TEST LMK: anybody can read keys and PINs given to it; never for live data"

Count = Annotated[int, cyclopts.Parameter(validator=cyclopts.validators.Number(gte=0))]


def emulate(
    *,
    host: str = "127.0.0.1",
    port: int = 1500,
    lmk: Path | None = None,
    lmk_fd: Count | None = None,
    test_lmk: bool = False,
    allow_remote_test_lmk: bool = False,
    authorised: bool = False,
    allow_weaker_pin_blocks: bool = False,
    pci_key_types: bool = False,
    strict_keys: bool = False,
    pin_failures_max: Count = 0,
) -> None:
    """Run the HSM emulator: payShield-style host commands over TCP, for tests only, until SIGINT or SIGTERM.

    Example: standin hsm --test-lmk --port 1500

    Args:
        host: Address to listen on.
        port: TCP port; 0 picks a free one.
        lmk: The file of LMKs that ``standin keys init`` made; only its owner may be able to read it.
        lmk_fd: Instead: the number of an inherited descriptor that gives what such a file has.
        test_lmk: Instead: use the published test LMKs: 00 variant, 01 TDES and 02 AES key blocks; on loopback
            this also gives the authorised state.
        allow_remote_test_lmk: Let the test LMK be reached from other machines, without the authorised state.
        authorised: Give the authorised state (clear PINs and components), only on loopback.
        allow_weaker_pin_blocks: Translate PIN blocks to formats that protect the PIN less.
        pci_key_types: Terminal PIN and master keys have the key types 70D and 80D instead of 002.
        strict_keys: Refuse double and triple keys whose parts are equal.
        pin_failures_max: Verify no more PINs of an account after so many wrong ones in a row; 0 is no limit.
    """
    local = is_loopback(host)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core dump would hold keys
    lmks = _lmks(lmk, lmk_fd, test=test_lmk)
    _refuse(local=local, test=test_lmk, remote=allow_remote_test_lmk, authorised=authorised)
    if test_lmk:
        print(BANNER, file=sys.stderr, flush=True)
    may = authorised or (test_lmk and local)
    rules = Rules(may, allow_weaker_pin_blocks, pci_key_types, strict_keys, pin_failures_max)
    _run(Emulator(lmks.pop(DEFAULT_LMK), rules=rules, others=lmks), host, port)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address; a name other than localhost counts as reachable."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _lmks(file: Path | None, descriptor: int | None, *, test: bool) -> dict[str, Lmk]:
    """The LMKs by identifier, from where the options say. Errors: ConfigError."""
    if [file is not None, descriptor is not None, test].count(True) != 1:
        raise ConfigError([ONE_LMK])
    if file is not None:
        return load_lmks(file)
    if descriptor is not None:
        return read_lmks(descriptor)
    return {DEFAULT_LMK: VariantLmk(), **published_key_block_lmks()}


def _refuse(*, local: bool, test: bool, remote: bool, authorised: bool) -> None:
    """Refuse to be reached from elsewhere with what is for this machine. Errors: ConfigError."""
    if test and not (local or remote):
        raise ConfigError([NOT_LOOPBACK])
    if authorised and not local:
        raise ConfigError([NOT_AUTHORISED])


def _run(emulator: Emulator, host: str, port: int) -> None:
    print(f"standin hsm: LMK check values {emulator.check_values()}", file=sys.stderr, flush=True)
    server = HsmServer(emulator)
    try:
        trio.run(_serve_until_signal, server, host, port)
    except OSError as error:
        print(f"standin hsm: cannot listen on {host}:{port}: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    print(f"standin hsm: ended; errors {dict(emulator.errors)}, links {dict(server.ended)}", file=sys.stderr)


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
