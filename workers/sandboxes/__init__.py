"""Where other people's code runs: one port, one file per backend, and the choice among them."""

from workers.sandboxes.choose import BACKENDS, choose
from workers.sandboxes.port import Capabilities, Completed, EndedBy, Limits, Sandbox

__all__ = ["BACKENDS", "Capabilities", "Completed", "EndedBy", "Limits", "Sandbox", "choose"]
