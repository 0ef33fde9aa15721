"""Stand-in authorization rules: a pure package that imports ``processor.values`` and nothing else.

A policy is data (TOML). It is compiled once into plain functions; every rule that applies is evaluated, so
the explanation of an answer is complete. Any refusal declines; the order of the rules decides which reason is
told.
"""
