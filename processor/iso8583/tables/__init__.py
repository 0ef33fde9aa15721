"""Dialect tables: one module per dialect, one row per data element."""
