"""Servers that stand in for a processor while the tests run."""
