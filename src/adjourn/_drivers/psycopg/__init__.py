"""Code that both colours of the psycopg connector share."""
