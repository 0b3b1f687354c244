"""Acts: the agents, and the processes that host them."""
