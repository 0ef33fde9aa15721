"""Floor 5: everything that runs the core's effects again. Today that is recovery."""
