"""``standin hsm``: run the emulator, talk to it, and have its arithmetic explained; ``standin keys``."""

import cyclopts

from hsm_emulator.cli.console import console
from hsm_emulator.cli.emulate import emulate, is_loopback
from hsm_emulator.cli.explain import app as explain
from hsm_emulator.key_block_lmk import published_key_block_lmks

__all__ = ["app", "is_loopback", "published_key_block_lmks"]

app = cyclopts.App(name="hsm")
app.default(emulate)
app.command(console)
app.command(explain)
