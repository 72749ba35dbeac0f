"""What is asked of the database: one operation a method."""
