"""``standin doctor``."""

import cyclopts

app = cyclopts.App(name="doctor")
