"""Every imported order against every problem: `python -m tests.sweep`."""
