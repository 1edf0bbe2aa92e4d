"""Guards broken on purpose: each is taken out of a copy, and the tests that stand for it have to notice."""
