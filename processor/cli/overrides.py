"""What ``serve`` and ``doctor`` take on the command line in place of the configuration's."""

from processor.values.errors import ConfigError


def listen_tables(listen: tuple[str, ...] | None) -> tuple[dict[str, str], ...] | None:
    """Card ports as the configuration has them, of ``NETWORK=HOST:PORT``. Errors: ConfigError.

    >>> listen_tables(("visa-like=127.0.0.1:0",))
    ({'network': 'visa-like', 'address': '127.0.0.1:0'},)
    """
    return tuple(map(_listen, listen)) if listen else None


def hsm_table(hsm: tuple[str, ...] | None) -> dict[str, object] | None:
    """The HSMs as the configuration has them, of ``HOST:PORT``.

    >>> hsm_table(("127.0.0.1:1500", "127.0.0.1:1501"))
    {'address': '127.0.0.1:1500', 'addresses': ('127.0.0.1:1501',)}
    """
    return {"address": hsm[0], "addresses": hsm[1:]} if hsm else None


def _listen(text: str) -> dict[str, str]:
    network, equals, address = text.partition("=")
    if not equals:
        raise ConfigError([f"--listen {text}: must be NETWORK=HOST:PORT"])
    return {"network": network, "address": address}
