"""What both colours of the SQLAlchemy connector share."""
