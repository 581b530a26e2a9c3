"""Settlement on a real chain."""
