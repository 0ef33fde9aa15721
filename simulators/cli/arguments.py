"""What the commands have in common: addresses, and how they end when something outside is wrong."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, Self

from processor.values.errors import ConfigError, StandinError

INTERRUPTED = 130  # what a shell says of a command that Ctrl-C ended


class Address(NamedTuple):
    """A host and a TCP port."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str, least_port: int = 1) -> Self:
        """From HOST:PORT; an IPv6 host stands in brackets. Port 0, where it is allowed, is any.

        Errors: ConfigError.

        >>> Address.parse("127.0.0.1:1500")
        Address(host='127.0.0.1', port=1500)
        """
        host, _, port = text.rpartition(":")
        if not host or not (port.isascii() and port.isdigit()) or not least_port <= int(port) < 65536:
            raise ConfigError([f"{text!r} is not HOST:PORT"])
        return cls(host.removeprefix("[").removesuffix("]"), int(port))


@contextmanager
def explained(command: str) -> Iterator[None]:
    """End the command with a message instead of a traceback when the world is at fault, or at Ctrl-C.

    Wrong input (ConfigError) is told by ``standin`` itself.
    """
    try:
        yield
    except ConfigError:
        raise
    except (StandinError, OSError) as error:
        print(f"standin {command}: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None


def writable(path: Path) -> Path:
    """The path, if a file could be made there. Errors: ConfigError."""
    if not path.parent.is_dir():
        raise ConfigError([f"{path}: the folder {path.parent} does not exist"])
    return path
