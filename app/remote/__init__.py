"""Another service ranks."""
