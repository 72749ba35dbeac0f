"""What exists only so that programs written for Procrastinate keep working. Each module says what it is for."""
