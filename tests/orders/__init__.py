"""Orders, shows and incidents come in: over HTTP, in bulk, and from pretix."""
