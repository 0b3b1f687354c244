"""For operators: permissions of the message server, and streams made before the first role starts."""
