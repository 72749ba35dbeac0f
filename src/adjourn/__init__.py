"""A PostgreSQL task queue for Python."""
