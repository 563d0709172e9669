"""Keys, signed and sealed documents, and the certificate authority of the transport."""
