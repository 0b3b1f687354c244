"""Growing and shrinking pools: the policy, the pools of this machine, and the role that does it while it leads."""
