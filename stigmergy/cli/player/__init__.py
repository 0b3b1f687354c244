"""The player of ``stig replay``: a film under the viewer's hands, and the Textual app that shows it.

``film``, ``wishes``, ``lanes``, ``outline`` and ``texts`` know no terminal; ``app``, ``screen`` and the widgets know no
more of missions than those tell them.
"""
