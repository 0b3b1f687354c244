"""Tools that agents work with: plain functions over folders, free of agents, models and queues."""
