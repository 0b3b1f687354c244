"""The outline of a mission as a tree whose branches the viewer opens and folds."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from rich.text import Text
from textual.widgets import Tree
from textual.widgets.tree import TreeNode

from stigmergy.cli.player.outline import Item, Names, Outline

if TYPE_CHECKING:
    from stigmergy.replaying import Scene


class TaskTree(Tree[Item]):
    """Only what is unfolded is made; what the viewer opened or folded stays so at every event."""

    def __init__(self, *, id: str) -> None:
        super().__init__("", id=id)
        self.show_root = False
        self.guide_depth = 2
        self.auto_expand = False
        self._names = Names()
        self._outline: Outline | None = None
        self._said: dict[str, bool] = {}  # what the viewer opened (True) or folded, by key

    def show(self, scene: Scene) -> None:
        """Bring the tree to this scene; lines that are alike stay as they are."""
        self._outline = Outline(scene, self._names)
        self._fit(self.root, self._outline.top())

    def _fit(self, node: TreeNode[Item], items: Iterable[Item]) -> None:
        wanted = list(items)
        keys = {item.key for item in wanted}
        for child in list(node.children):
            if child.data is None or child.data.key not in keys:
                child.remove()
        for place, item in enumerate(wanted):  # what is left keeps its order, so that only new ones have to be put in
            there = node.children[place].data if place < len(node.children) else None
            if there is None or there.key != item.key:
                before = place if there is not None else None
                node.add(Text.from_markup(item.text), item, before=before, allow_expand=item.inner)
        for child, item in zip(node.children, wanted, strict=True):
            if child.data is not item and (child.data is None or child.data.text != item.text):
                child.set_label(Text.from_markup(item.text))
            child.data = item
            child.allow_expand = item.inner
            self._open(child, item)

    def _open(self, node: TreeNode[Item], item: Item) -> None:
        opened = item.inner and self._said.get(item.key, item.open)
        if opened != node.is_expanded:
            with self.prevent(Tree.NodeExpanded, Tree.NodeCollapsed):
                node.expand() if opened else node.collapse()
        if opened and self._outline is not None:
            self._fit(node, self._outline.inside(item.key))

    def on_tree_node_expanded(self, event: Tree.NodeExpanded[Item]) -> None:
        """Remember it, and make what is below."""
        if event.node.data is not None and self._outline is not None:
            self._said[event.node.data.key] = True
            self._fit(event.node, self._outline.inside(event.node.data.key))

    def on_tree_node_collapsed(self, event: Tree.NodeCollapsed[Item]) -> None:
        """Remember it."""
        if event.node.data is not None:
            self._said[event.node.data.key] = False
