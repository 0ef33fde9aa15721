"""Floor 1: bytes to messages and back, sans-IO: framing, headers, codec, nested bitmaps, dialect tables."""
