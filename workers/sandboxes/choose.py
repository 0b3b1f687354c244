"""Which sandbox to run in: chosen by what is required, never quietly replaced by a weaker one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache

from schemas.errors import InvalidInput, ToolMissing
from workers.sandboxes.bubblewrap import BubblewrapSandbox
from workers.sandboxes.port import Capabilities, Sandbox
from workers.sandboxes.process import ProcessSandbox

# Strongest first: that is the order in which they are tried.
BACKENDS: Mapping[str, Callable[[], Sandbox]] = {
    "bubblewrap": BubblewrapSandbox,
    "process": ProcessSandbox,
}

# What a repository's own code has to be held by: it may be anybody's.
FOREIGN_CODE = Capabilities(
    private_files=True, contained_writes=True, no_network=True, tree_killed=True, tree_memory=True
)


@lru_cache(maxsize=8)
def backend(name: str) -> Sandbox:
    """The one instance of a backend in this process, so that its trial run happens once.

    Raises:
        InvalidInput: no backend has that name.
    """
    if name not in BACKENDS:
        raise InvalidInput(f"there is no sandbox {name!r}", hint=f"choose one of {', '.join(BACKENDS)}")
    return BACKENDS[name]()


def choose(require: Capabilities = FOREIGN_CODE, *, prefer: str | None = None) -> Sandbox:
    """The strongest backend that has all of ``require``; with ``prefer`` that one and no other.

    The caller reports ``chosen.name`` and ``chosen.capabilities``.

    Raises:
        ToolMissing: none, or not the preferred one, has what is required; the message says what each lacks.
        InvalidInput: ``prefer`` names no backend.
    """
    lacks = {}
    for name in [prefer] if prefer is not None else list(BACKENDS):
        candidate = backend(name)
        missing = candidate.capabilities.lacking(require)
        if not missing and (prefer is not None or _works(candidate)):
            return candidate
        lacks[name] = ", ".join(missing) or "it does not work here"
    told = "; ".join(f"{name} lacks {what}" for name, what in lacks.items())
    raise ToolMissing(f"no sandbox on this machine is strong enough: {told}", hint=HINT)


def _works(candidate: Sandbox) -> bool:
    return candidate.capabilities != Capabilities()


HINT = (
    "install bubblewrap (it needs user namespaces; in a container, allow them), or, for code that is trusted as much "
    "as this worker, name a weaker sandbox and require less of it"
)
