"""Floor 6: what runs beside the links: the journal writer, housekeeping, counters, logs."""
