"""What users would take instead, doing the same work."""
