"""Connectors and integrations for what adjourn does not depend on. Each says which extra it needs."""
