"""Floor 0: what is journaled or passed between rooms, and the clock. Imports no other floor."""
