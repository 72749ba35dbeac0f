"""What the doctor looks at, a theme a module."""
