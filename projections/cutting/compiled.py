"""How loops over bytes are compiled: see decision 43. Imported by what is compiled, and by nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
from numba.core import cgutils, config, types
from numba.extending import intrinsic
from numba.np.arrayobj import make_array


def _nothing() -> None: ...


def _can_be_kept() -> bool:
    """Whether there is a folder for what was compiled: beside this file, or in the user's cache."""
    try:
        numba.njit(cache=True)(_nothing)
    except RuntimeError:
        return False
    return True


_KEPT = _can_be_kept()


def compiled[F: Callable[..., Any]](function: F) -> F:
    """Compile this when it is called first; it runs without the interpreter's lock."""
    made: Any = numba.njit(nogil=True, cache=_KEPT)(function)
    return made  # type: ignore[no-any-return]


if config.DISABLE_JIT:  # type: ignore[attr-defined]
    # As Python, and every index is looked at: this is how tests find out that nothing is read beyond the end.
    begin_of: Any = memoryview

    def copy(target: Any, at: int, source: Any, begin: int, length: int) -> None:
        """So many bytes from one place to another."""
        target[at : at + length] = source[begin : begin + length]

else:

    @intrinsic
    def begin_of(_context: Any, array: Any) -> Any:
        """Where an array's elements begin. Only for arrays that a function was called with: one of its own is gone when
        nobody names it any more. Handing on arrays instead counts a reference with a locked instruction, each time: two
        thirds of the time of everything."""

        def made(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return make_array(signature.args[0])(context, builder, arguments[0]).data  # type: ignore[no-untyped-call]

        return types.CPointer(array.dtype)(array), made  # type: ignore[no-untyped-call]

    @intrinsic
    def copy(_context: Any, target: Any, at: Any, source: Any, begin: Any, length: Any) -> Any:
        def made(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            there, at, here, begin, length = arguments
            cgutils.raw_memcpy(builder, builder.gep(there, [at]), builder.gep(here, [begin]), length, 1)  # type: ignore[no-untyped-call]

        return types.void(target, types.int64, source, types.int64, types.int64), made
