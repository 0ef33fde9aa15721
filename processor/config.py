"""The configuration: one TOML file, overridden by the environment, checked whole before anything starts.

Environment names are the keys in capitals with two underscores between levels: ``STANDIN_HSM__ADDRESS``.
"""

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
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


class ListenSection(_Section):
    """One card port."""

    network: Annotated[str, AfterValidator(_network)]
    address: Address


class HsmSection(_Section):
    """Where the HSM is and how long it may take. ``keys`` is relative to the configuration file."""

    address: Address = "127.0.0.1:1500"
    keys: Path = Path("keys.test.json")
    timeout_ms: int = Field(500, ge=1, le=60_000)
    in_flight_max: int = Field(4096, ge=1, le=30_000)


class JournalSection(_Section):
    """Segment size; a segment is filled with zeros before it is used."""

    segment_mib: int = Field(64, ge=1, le=4096)


class LimitsSection(_Section):
    """Every limit has a bound."""

    connections_max: int = Field(64, ge=1, le=10_000)
    connections_per_peer_max: int = Field(16, ge=1, le=10_000)
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


class LogSection(_Section):
    """How log lines on stderr look."""

    form: Literal["console", "json"] = "console"


class Config(BaseSettings):
    """Everything that can be set. ``folder`` is where the file lies: its relative paths start there."""

    model_config = SettingsConfigDict(
        extra="forbid", frozen=True, env_prefix="STANDIN_", env_nested_delimiter="__"
    )

    state: Annotated[Path, AfterValidator(_folder)] = Path("var/state")
    deck: Path | None = None
    policy: Path = Path("stand-in.toml")
    listen: tuple[ListenSection, ...] = ()
    hsm: HsmSection = HsmSection()
    journal: JournalSection = JournalSection()
    limits: LimitsSection = LimitsSection()
    log: LogSection = LogSection()
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
    if not config.listen:
        problems.append(f"{path}: listen: no card port; add a [[listen]] table or give --listen")
    if problems:
        raise ConfigError(problems)
    return config


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
