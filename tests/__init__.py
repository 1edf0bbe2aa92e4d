"""The promises of this project, run against the real PostgreSQL."""
