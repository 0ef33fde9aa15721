"""``standin why``."""

import cyclopts

app = cyclopts.App(name="why")
