"""``python -m hsm_emulator``: the same as ``standin hsm``."""

import sys

from hsm_emulator.cli import app
from processor.values.errors import ConfigError

if __name__ == "__main__":
    try:
        app()
    except ConfigError as error:
        for problem in error.problems:
            sys.stderr.write(f"standin hsm: {problem}\n")
        sys.exit(2)
