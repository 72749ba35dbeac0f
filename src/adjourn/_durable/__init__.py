"""What a task does by its context that lasts longer than its run."""
