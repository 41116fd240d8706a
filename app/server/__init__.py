"""The process as an HTTP server: its socket, its connections with their limits, its end."""
