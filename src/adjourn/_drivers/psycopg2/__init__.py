"""What both colours of the psycopg2 connector share."""
