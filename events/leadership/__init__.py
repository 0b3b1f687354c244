"""Leadership: who of several replicas leads which partition of the missions, or has a seat (docs/leadership.md)."""
