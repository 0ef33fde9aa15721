"""``standin msg``."""

import cyclopts

app = cyclopts.App(name="msg")
