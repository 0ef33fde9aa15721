"""``standin replay``."""

import cyclopts

app = cyclopts.App(name="replay")
