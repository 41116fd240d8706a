"""Fine-tuning for users."""
