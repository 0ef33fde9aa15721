"""Where the example files are: the test keys and the commented default configuration."""

from pathlib import Path

from processor.values.errors import ConfigError

_PACKAGE = Path(__file__).parent

_PLACES = (
    _PACKAGE.parent / "examples",  # a checkout, also from an editable install and from any working directory
    _PACKAGE / "example_files",  # a wheel, which carries the folder inside this package
    Path("examples"),  # neither: the working directory
)


def example(name: str) -> Path:
    """The example file ``name``, such as ``keys.test.json``.

    Errors: ConfigError naming the places that were looked at.
    """
    for place in _PLACES:
        if (place / name).is_file():
            return place / name
    places = ", ".join(str(place) for place in _PLACES)
    raise ConfigError([f"{name}: not found in {places}"])
