"""``python -m hsm_emulator``: the same as ``standin hsm``."""

from hsm_emulator.cli import app

if __name__ == "__main__":
    app()
