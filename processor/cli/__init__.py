"""Floor 7: the commands. Each package registers its own; ``main`` finds them by entry point."""
