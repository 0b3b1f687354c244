"""What operators need and processes do not: permissions of the message server, and streams made before the first role."""
