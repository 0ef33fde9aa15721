"""Floor 2: what a data element means to the business. What differs between networks is data here."""
