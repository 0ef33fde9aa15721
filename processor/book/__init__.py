"""Floor 3: the state that money and cards live in, how effects change it, and what is always true of it."""
