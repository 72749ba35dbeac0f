"""Code that both colours of the SQLAlchemy connector share."""
