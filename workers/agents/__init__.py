"""The agents: one file each. A worker offers those whose skills it was started with."""
