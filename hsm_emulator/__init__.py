"""An HSM in software, for development and tests: payShield-style host commands under a public test LMK."""
