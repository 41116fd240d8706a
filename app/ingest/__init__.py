"""Files into a store: read, cut into chunks, and kept in step with what is on disk."""
