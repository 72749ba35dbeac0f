"""What both colours of the psycopg connector share."""
