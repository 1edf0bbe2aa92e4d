"""A hundred thousand refunds that are due at once: `python -m tests.bulk`."""
