"""Floor 4: deciding. Pure functions of (state, command), the executor that applies them, and admission."""
