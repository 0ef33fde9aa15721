"""What ``standin doctor`` looks at. Nothing here changes anything, and nothing takes a lock."""

import errno
import os
import resource
import shutil
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from processor.app import SHARD
from processor.cli.asking import keyring_of
from processor.cli.hsm_check import check_hsm
from processor.cli.main import foreign_owners
from processor.config import Config, parse_address
from processor.hsm.keys import load_keys
from processor.inputs import load_inputs
from processor.journal.audit import check_end
from processor.journal.holder import holder
from processor.journal.lookup import Lookup
from processor.replay.recovery import decode_record
from processor.secrets import load_secrets
from processor.services.door import load_token
from processor.services.findings import Finding, Level, worst
from processor.values.clock import Clock
from processor.values.errors import ConfigError, Damaged, HsmError
from rules.policy import load_policy

SEGMENTS_WANTED = 4  # the one in use, the next, the reserve, and one to spare
FILES_BESIDE_LINKS = 100
CLOCK_AHEAD_MS = 5_000
_SENSIBLE_MS = 1_750_000_000_000  # the middle of 2025: no clock is right that is before it

_CORE_PATTERN = Path("/proc/sys/kernel/core_pattern")

Check = Callable[[], Iterator[Finding]]


def checks(config: Config, clock: Clock) -> list[Check]:
    """Every check of a configuration that could be read, in the order in which they are told."""
    return [
        import_names,
        lambda: inputs(config),
        lambda: ports(config),
        lambda: state_folder(config),
        lambda: journal(config, clock),
        lambda: hsm(config, clock),
        core_dumps,
        lambda: open_files(config),
        lambda: wall_clock(clock),
    ]


def import_names() -> Iterator[Finding]:
    """Whether our packages are ours: two of their names exist on PyPI."""
    strangers = foreign_owners()
    for stranger in strangers:
        yield Finding("import names", "bad", stranger, "use a virtual environment of its own")
    if not strangers:
        yield Finding("import names", "ok", "ours alone")


def inputs(config: Config) -> Iterator[Finding]:
    """Policy, keys and deck."""
    try:
        policy = load_inputs(config).policy
    except ConfigError as error:
        for problem in error.problems:
            yield Finding("configuration", "bad", problem, "correct it: the processor does not start so")
    else:
        yield Finding("configuration", "ok", f"sound; policy {policy.hash[:16]}")


def ports(config: Config) -> Iterator[Finding]:
    """Whether each port can be bound, or is bound by the processor that runs here."""
    ours = bool(holder(config.state / "journal"))
    named = [(f"port of {section.network}", section.address) for section in config.listen]
    if config.http.address:
        named.append(("port of http", config.http.address))
    for about, address in named:
        yield _port(about, address, ours=ours)


def _port(about: str, address: str, *, ours: bool) -> Finding:
    host, port = parse_address(address)
    if port == 0:
        return Finding(about, "ok", f"{address}: whichever is free")
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tried.bind(where)
    except OSError as error:
        if error.errno == errno.EADDRINUSE and ours:
            return Finding(about, "ok", f"{address}: in use, by the processor that runs here")
        todo = {
            errno.EADDRINUSE: "stop what listens there (ss -ltnp shows it), or take another port",
            errno.EACCES: "ports below 1024 need a right of their own: take a higher one",
        }.get(error.errno or 0, "take an address of this machine")
        return Finding(about, "bad", f"{address}: {error.strerror or error}", todo)
    return Finding(about, "ok", f"{address}: free")


def state_folder(config: Config) -> Iterator[Finding]:
    """Its rights, its owner, its space, and what must be private in it."""
    folder = config.state
    if not folder.is_dir():
        yield from _not_there_yet(folder)
        yield _space(_nearest(folder), config.journal.segment_mib)
        return
    if stat.S_IMODE(folder.stat().st_mode) & 0o077:
        yield Finding("state folder", "warn", f"{folder}: others may look into it", f"chmod 700 {folder}")
    elif not os.access(folder, os.W_OK | os.X_OK):
        yield Finding("state folder", "bad", f"{folder}: cannot be written", "start as its owner")
    else:
        yield Finding("state folder", "ok", f"{folder}: private")
    if pid := holder(folder / "journal"):
        yield Finding("state folder", "ok", f"held by process {pid}: a processor runs here")
    if any((folder / "journal").glob("*.seg")):
        yield from _private_files(folder)
    yield _space(folder, config.journal.segment_mib)


def _not_there_yet(folder: Path) -> Iterator[Finding]:
    """Whether it can be made at the first start, and is meant to be."""
    nearest = _nearest(folder)
    if folder.exists() or not nearest.is_dir():
        yield Finding("state folder", "bad", f"{nearest}: not a folder", "name another one")
    elif not os.access(nearest, os.W_OK | os.X_OK):
        said = f"{folder}: cannot be made, because {nearest} cannot be written"
        yield Finding("state folder", "bad", said, "name another one, or start as its owner")
    elif nearest != folder.absolute().parent:
        said = f"{folder}: neither it nor {folder.parent} exists"
        yield Finding("state folder", "warn", said, "if the name is right: both are made at the first start")
    else:
        yield Finding("state folder", "ok", f"{folder}: made at the first start")


def _nearest(folder: Path) -> Path:
    """The nearest of a folder and those above it that exists."""
    return next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())


def _private_files(folder: Path) -> Iterator[Finding]:
    for read in (lambda: load_secrets(folder, create=False), lambda: load_token(folder, create=False)):
        try:
            read()
        except ConfigError as error:
            level: Level = "bad" if "secrets.json" in str(error) or "chmod" in str(error) else "warn"
            yield Finding(
                "state folder", level, str(error), "put it right; a token is made at the next start"
            )


def _space(folder: Path, segment_mib: int) -> Finding:
    free_mib = shutil.disk_usage(folder).free >> 20
    wanted_mib = SEGMENTS_WANTED * segment_mib
    if free_mib < wanted_mib:
        return Finding("space", "bad", f"{free_mib} MiB free, {wanted_mib} wanted", "make room on the disk")
    return Finding("space", "ok", f"{free_mib} MiB free")


def journal(config: Config, clock: Clock) -> Iterator[Finding]:
    """Its last segment, and whether its last record is of the past."""
    folder = config.state / "journal"
    if not any(folder.glob("*.seg")):
        yield Finding("journal", "ok", "none yet")
        return
    try:
        keys = keyring_of(config.state)
        tail = check_end(folder, keys, SHARD)
        last = next((f for f in Lookup(folder, keys, SHARD).newest_first((b"",)) if f is not None), None)
    except (Damaged, OSError, ConfigError) as error:
        yield Finding(
            "journal", "bad", str(error), "see docs/journal.md; standin journal verify reads it whole"
        )
        return
    yield Finding("journal", "ok", f"the last segment is sound, {tail.last_seq} records in all")
    if last is not None:
        ahead_ms = decode_record(last.sequence, last.raw).sequenced_ms - clock.wall_ms()
        if ahead_ms > CLOCK_AHEAD_MS:
            said = f"the journal's last record is {ahead_ms // 1000} s in the future"
            yield Finding(
                "clock", "bad", said, "set the clock: until then no time passes for holds and limits"
            )


def hsm(config: Config, clock: Clock) -> Iterator[Finding]:
    """Each HSM and the keys that are under its LMK; where no rule needs one, only what is well."""
    try:
        keys = load_keys(config.beside(config.hsm.keys))
        needed = load_policy(config.beside(config.policy)).needs_hsm
    except ConfigError:
        return  # told among the inputs
    for address in config.hsm.all_addresses:
        if config.hsm.tls is not None:
            yield Finding("hsm", "warn", f"{address}: not checked over TLS", "see the log of standin serve")
            continue
        try:
            found = list(check_hsm(address, keys, clock, config.hsm.header_bytes, config.hsm.lmk))
        except (HsmError, ValueError) as error:
            found = [Finding("hsm", "bad", str(error), "see the HSM")]
        if needed or worst(found) == "ok":
            yield from found
        else:
            yield Finding("hsm", "ok", f"{address}: not well, and no rule of the policy needs it")


def core_dumps() -> Iterator[Finding]:
    """A core dump would hold card data. ``serve`` forbids them, and a pipe is not bound by that."""
    try:
        pattern = _CORE_PATTERN.read_text("ascii", errors="replace").strip()
    except OSError:
        pattern = ""
    soft, _ = resource.getrlimit(resource.RLIMIT_CORE)
    if pattern.startswith("|"):
        todo = "a program takes dumps whatever the limit: exclude this one there, or set kernel.core_pattern"
        yield Finding("core dumps", "warn", f"piped to {pattern[1:].split(' ')[0]}", todo)
    elif soft:
        yield Finding("core dumps", "ok", "allowed here, and forbidden by standin serve for itself")
    else:
        yield Finding("core dumps", "ok", "forbidden")


def open_files(config: Config) -> Iterator[Finding]:
    """Whether as many links as are allowed can be open at once."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = config.limits.connections_max + 2 * config.http.connections_max + FILES_BESIDE_LINKS
    if soft < wanted:
        yield Finding("open files", "bad", f"{soft} allowed, {wanted} wanted", f"ulimit -n {wanted}")
    else:
        yield Finding("open files", "ok", f"{soft} allowed, {wanted} wanted")


def wall_clock(clock: Clock) -> Iterator[Finding]:
    """Whether the clock can be right at all."""
    if clock.wall_ms() < _SENSIBLE_MS:
        yield Finding("clock", "bad", "it is years behind", "set it: cards and holds expire by it")
    else:
        yield Finding("clock", "ok", "plausible")
