"""TLS contexts with pinned peers, HTTP and WebSocket clients, the server that shows client certificates."""
