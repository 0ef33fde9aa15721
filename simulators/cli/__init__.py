"""The commands ``standin deck``, ``standin simulate`` and ``standin demo``."""
