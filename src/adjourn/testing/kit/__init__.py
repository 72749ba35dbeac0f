"""The testing kit: look at what was deferred, run it, and move its time."""
