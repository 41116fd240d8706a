"""The process as an HTTP server: the socket, the connections and their limits, the shutdown."""
