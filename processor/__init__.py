"""The authorization processor. Imports nothing: every room says what it needs."""
