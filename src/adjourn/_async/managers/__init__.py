"""The operations on the database, one for each method."""
