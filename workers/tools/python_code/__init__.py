"""Reads a Python repository, finds flaws in it, and applies one group of fixes. Nothing of the repository is executed.

``analyse(folder)`` is read-only; ``apply_group(folder, group)`` rewrites the files of one group it offered.
"""

from workers.tools.python_code.analysis import analyse
from workers.tools.python_code.applying import apply_group

__all__ = ["analyse", "apply_group"]
