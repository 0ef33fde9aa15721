"""Why a value is not the expected one: the steps to it, and what it would be right for. Test keys only."""
