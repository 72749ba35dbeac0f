"""What both colours of a connector share about its driver. Nothing here waits."""
