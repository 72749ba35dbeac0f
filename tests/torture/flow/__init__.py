"""The part of the load whose jobs wait for each other, for places, for events, or for a commit."""
