"""What the log tells about skills: who has them, and how good each is at them."""
