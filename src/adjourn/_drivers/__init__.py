"""Code about drivers that both colours of a connector share. Nothing here waits."""
