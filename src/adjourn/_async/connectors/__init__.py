"""The contract for connectors, and one connector for each driver."""
