"""The console in a real browser, as an agent uses it."""
