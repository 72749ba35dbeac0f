"""What both colours of a connector need to know about its driver, and neither waits for."""
