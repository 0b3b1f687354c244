"""Read models folded from the log, each the only writer of its store."""

import os

# Arrow's allocator gives memory back to the system after some milliseconds, and the next frame or file has each page
# cleared for it anew: a twelfth of the time of the sink and the archive. It looks at this once, when it is loaded.
os.environ.setdefault("MIMALLOC_PURGE_DELAY", "3000")
