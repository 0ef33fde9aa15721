"""The HSM host protocol, sans-IO: framing, the command table and its codec, keys under the LMK."""
