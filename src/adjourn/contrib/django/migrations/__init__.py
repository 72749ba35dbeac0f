"""Django's migrations. Each applies versions of adjourn's schema; their names never change once they are released."""
