"""Letters to customers: what they say as types, how they look as templates."""
