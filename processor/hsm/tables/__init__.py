"""The rows of the host commands, one module per group."""
