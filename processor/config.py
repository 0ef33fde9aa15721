"""The configuration: one TOML file, overridden by the environment, checked whole before anything starts.

Environment names are the keys in capitals with two underscores between levels: ``STANDIN_HSM__ADDRESS``.
"""

import ipaddress
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    IPvAnyNetwork,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from processor.networks.profile import load_profile
from processor.values.errors import ConfigError


def parse_address(text: str) -> tuple[str, int]:
    """``HOST:PORT`` as a pair; an IPv6 host stands in brackets.

    >>> parse_address("127.0.0.1:8583"), parse_address("[::1]:0")
    (('127.0.0.1', 8583), ('::1', 0))
    """
    host, colon, port = text.rpartition(":")
    if not colon or not host or not (port.isascii() and port.isdigit()) or int(port) > 65_535:
        raise ValueError("must be HOST:PORT")
    return host.removeprefix("[").removesuffix("]"), int(port)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the host.

    >>> is_loopback("127.0.0.1"), is_loopback("::1"), is_loopback("localhost"), is_loopback("0.0.0.0")
    (True, True, True, False)
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _address(text: str) -> str:
    parse_address(text)
    return text


def _network(name: str) -> str:
    try:
        load_profile(name)
    except ConfigError as error:
        raise ValueError("; ".join(error.problems)) from None
    return name


def _folder(path: Path) -> Path:
    if path == Path():
        raise ValueError("must name a folder")
    return path


Address = Annotated[str, AfterValidator(_address)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TlsSection(_Section):
    """TLS on card links; paths are relative to the configuration file.

    ``cert`` and ``key`` are ours. ``ca`` are the authorities whose certificates we accept: on a card port
    every peer must then show one. ``names`` are those that may use the link; of a dialled one, the host's.
    """

    cert: Path | None = None
    key: Path | None = None
    ca: Path | None = None
    names: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.cert is None) != (self.key is None):
            raise ValueError("cert and key belong together")
        if self.names and self.ca is None:
            raise ValueError("names need ca: without it nobody shows a certificate")
        return self


class ListenSection(_Section):
    """One card port. ``peers`` are the addresses (or CIDR networks) that may connect; none: all may."""

    network: Annotated[str, AfterValidator(_network)]
    address: Address
    peers: tuple[IPvAnyNetwork, ...] = ()
    tls: TlsSection | None = None

    @field_validator("tls")
    @classmethod
    def _has_certificate(cls, tls: TlsSection | None) -> TlsSection | None:
        if tls is not None and tls.cert is None:
            raise ValueError("a card port needs cert and key")
        return tls


class ConnectSection(_Section):
    """A host of the network that we connect to, with so many ``links`` that are one member's.

    ``elements`` (by number) and ``header`` (in hex) stand in what we say of ourselves.
    """

    network: Annotated[str, AfterValidator(_network)]
    address: Address
    links: int = Field(1, ge=1, le=16)
    elements: dict[str, str] = {}
    header: Annotated[str, Field(pattern="^([0-9A-Fa-f]{2})*$")] = ""
    tls: TlsSection | None = None

    @field_validator("tls")
    @classmethod
    def _has_authority(cls, tls: TlsSection | None) -> TlsSection | None:
        if tls is not None and tls.ca is None:
            raise ValueError("a dialled link needs ca, or anybody could answer")
        return tls

    @field_validator("elements")
    @classmethod
    def _are_numbers(cls, elements: dict[str, str]) -> dict[str, str]:
        if not all(number.isascii() and number.isdigit() for number in elements):
            raise ValueError("keys must be numbers of data elements")
        return elements


class HsmSection(_Section):
    """Where the HSM is and how long it may take. ``keys`` is relative to the configuration file.

    ``addresses`` are further HSMs with the same keys; each one is kept ``lines`` connections to. After
    ``timeout_ms`` there is no answer; after ``again_ms`` of silence another HSM is asked, if there is one. An
    idle line is asked how it is every ``health_s``. After ``failures_max`` failures in a row an HSM is left
    alone until it is well. ``header_bytes`` is the length of the message header that the unit is set to,
    ``lmk`` the identifier of the LMK where it is not the default one, ``lmk_check_value`` what NC must tell.
    """

    address: Address = "127.0.0.1:1500"
    addresses: Annotated[tuple[Address, ...], Field(max_length=15)] = ()
    keys: Path = Path("keys.test.json")
    lines: int = Field(1, ge=1, le=16)
    timeout_ms: int = Field(500, ge=1, le=60_000)
    again_ms: int = Field(200, ge=1, le=60_000)
    health_s: float = Field(5.0, gt=0)
    in_flight_max: int = Field(4096, ge=1, le=30_000)
    failures_max: int = Field(10, ge=1, le=1000)
    header_bytes: int = Field(4, ge=1, le=255)
    lmk: Annotated[str, Field(pattern="^([0-9]{2})?$")] = ""
    lmk_check_value: Annotated[str, Field(pattern="^([0-9A-F]{16})?$")] = ""
    tls: TlsSection | None = None

    @property
    def all_addresses(self) -> tuple[str, ...]:
        """Every HSM, in the order in which they are numbered."""
        return (self.address, *self.addresses)

    @model_validator(mode="after")
    def _differ(self) -> Self:
        if len(set(self.all_addresses)) != len(self.all_addresses):
            raise ValueError("addresses: one is named twice")
        return self

    @field_validator("tls")
    @classmethod
    def _has_authority(cls, tls: TlsSection | None) -> TlsSection | None:
        if tls is not None and tls.ca is None:
            raise ValueError("a line to an HSM needs ca, or anybody could answer")
        return tls


class HttpSection(_Section):
    """The port for metrics, health and people. Port 0 takes a free one; an empty address opens none.

    Whoever reaches it can read metrics and health, so an address that other machines reach needs
    ``allow_remote``.
    """

    address: Literal[""] | Address = "127.0.0.1:0"
    allow_remote: bool = False
    connections_max: int = Field(32, ge=1, le=1000)

    @model_validator(mode="after")
    def _is_loopback(self) -> Self:
        host = parse_address(self.address)[0] if self.address else "localhost"
        if not (self.allow_remote or is_loopback(host)):
            raise ValueError("address: other machines reach it; say allow_remote = true if they may")
        return self


class JournalSection(_Section):
    """Segment size; a segment is filled with zeros before it is used."""

    segment_mib: int = Field(64, ge=1, le=4096)


class LimitsSection(_Section):
    """Every limit has a bound."""

    connections_max: int = Field(64, ge=1, le=10_000)
    connections_per_peer_max: int = Field(16, ge=1, le=10_000)
    connects_per_peer_s: float = Field(20.0, gt=0)
    frame_bytes_max: int = Field(4096, ge=64, le=65_535)
    link_in_flight_max: int = Field(512, ge=1, le=100_000)
    unsent_bytes_max: int = Field(1_048_576, ge=4096)
    in_flight_max: int = Field(4096, ge=1, le=1_000_000)
    transactions_max: int = Field(2_000_000, ge=1)
    first_frame_s: float = Field(30.0, gt=0)
    frame_s: float = Field(2.0, gt=0)
    idle_s: float = Field(300.0, gt=0)
    send_s: float = Field(2.0, gt=0)
    drain_s: float = Field(5.0, ge=0)
    handshake_s: float = Field(5.0, gt=0)
    handshakes_max: int = Field(64, ge=2, le=10_000)
    handshakes_per_peer_max: int = Field(8, ge=1, le=10_000)
    echo_s: float = Field(60.0, gt=0)
    reply_s: float = Field(10.0, gt=0)
    connect_s: float = Field(10.0, gt=0)
    reconnect_s: float = Field(0.5, gt=0)
    reconnect_max_s: float = Field(30.0, gt=0)

    @model_validator(mode="after")
    def _leaves_room_for_others(self) -> Self:
        if self.handshakes_per_peer_max >= self.handshakes_max:
            raise ValueError("handshakes_per_peer_max must be less than handshakes_max")
        return self


class LogSection(_Section):
    """How log lines on stderr look, and how many there are.

    One approval in ``approvals_one_in`` gets a line, none if it is 0. ``lines_per_s`` bounds the lines about
    refusals in each second; those that are left out are counted.
    """

    form: Literal["console", "json"] = "console"
    approvals_one_in: int = Field(100, ge=0)
    lines_per_s: int = Field(100, ge=1)


class TraceSection(_Section):
    """Test BINs: a raw trace keeps frames of cards whose PANs begin with one of these, and of no others."""

    test_bins: tuple[Annotated[str, Field(pattern="^[0-9]{6,11}$")], ...] = ()


class Config(BaseSettings):
    """Everything that can be set. ``folder`` is where the file lies: its relative paths start there."""

    model_config = SettingsConfigDict(
        extra="forbid", frozen=True, env_prefix="STANDIN_", env_nested_delimiter="__"
    )

    state: Annotated[Path, AfterValidator(_folder)] = Path("var/state")
    deck: Path | None = None
    policy: Path = Path("stand-in.toml")
    listen: tuple[ListenSection, ...] = ()
    connect: tuple[ConnectSection, ...] = ()
    hsm: HsmSection = HsmSection()
    http: HttpSection = HttpSection()
    journal: JournalSection = JournalSection()
    limits: LimitsSection = LimitsSection()
    log: LogSection = LogSection()
    trace: TraceSection = TraceSection()
    folder: Path = Path()

    def beside(self, path: Path) -> Path:
        """A path of the configuration file, which is relative to the file's folder."""
        return self.folder / path


def load_config(path: Path, **overrides: Any) -> Config:  # noqa: ANN401 - pydantic checks them
    """Read and check ``path``; ``overrides`` are values from the command line.

    Raises:
        ConfigError: every problem at once, each with the path of its key.
    """

    class FromFile(Config):
        """Command line before environment before file; no other sources."""

        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the signature is pydantic's
            file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, toml_file=path)

    if not path.is_file():
        raise ConfigError([f"{path}: does not exist"])
    given = {key: value for key, value in overrides.items() if value is not None}
    try:
        config = FromFile(**given, folder=path.parent)
    except OSError as error:
        raise ConfigError([f"{path}: {error.strerror}"]) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError([f"{path}: {error}"]) from None
    except SettingsError as error:  # an environment value that is not what its key takes
        raise ConfigError([f"environment: {error}"]) from None
    except ValidationError as error:
        problems = [f"{path}: {_where(e['loc'])}: {e['msg']}" for e in error.errors()]
        values = {**tomllib.loads(path.read_text("utf-8")), **given}
        raise ConfigError(problems + _missing_files(path, values)) from None
    problems = _missing_files(
        path, {"policy": config.policy, "hsm": {"keys": config.hsm.keys}, "deck": config.deck}
    )
    if not config.listen and not config.connect:
        problems.append(f"{path}: listen: no card port; add a [[listen]] table or give --listen")
    problems += [f"{path}: {problem}" for problem in _named_alike(config)]
    if problems:
        raise ConfigError(problems)
    return config


def _named_alike(config: Config) -> list[str]:
    """Profiles in different files that call themselves the same: nobody could tell them apart."""
    sources: dict[str, set[str]] = {}
    networks = [section.network for section in config.listen]
    networks += [section.network for section in config.connect]
    for network in networks:
        sources.setdefault(load_profile(network).name, set()).add(network)
    return [
        f"network {name!r} is the name of {' and of '.join(sorted(files))}"
        for name, files in sources.items()
        if len(files) > 1
    ]


def _missing_files(path: Path, values: dict[str, Any]) -> list[str]:
    """Named files that do not exist, also of a configuration that is wrong elsewhere."""
    hsm = values.get("hsm")
    keys = hsm.get("keys", "keys.test.json") if isinstance(hsm, dict) else "keys.test.json"
    named = {
        "policy": (path.parent, values.get("policy", "stand-in.toml")),
        "hsm.keys": (path.parent, keys),
        "deck": (Path(), values.get("deck") or path),
    }
    return [
        f"{path}: {key}: {folder / file} does not exist"
        for key, (folder, file) in named.items()
        if isinstance(file, str | Path) and not (folder / file).is_file()
    ]


def _where(location: tuple[int | str, ...]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).lstrip(".")
