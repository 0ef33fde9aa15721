"""Beside the processor: test cards, and a network's switch that checks every reply; for demos and tests."""
