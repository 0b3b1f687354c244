#!/bin/sh
# Makes .venv with what this checkout needs: `scripts/bootstrap.sh run` for using it, `dev` for its tests and checks.
# Needs a shell, some Python 3.12 or newer (or uv, which can fetch one) and a package index. Quick when all is there.
set -eu
cd "$(dirname "$0")/.."
profile=${1:-run}
venv=.venv

say() { printf 'setup: %s\n' "$*" >&2; }

good() { "$1" -c 'import sys, venv; sys.exit(not (3, 12) <= sys.version_info[:2] <= (3, 14))' >/dev/null 2>&1; }

find_python() {
  for candidate in "${PYTHON:-}" python3.13 python3.12 python3.14 python3 python \
    "$HOME"/.pyenv/versions/3.13*/bin/python "$HOME"/.pyenv/versions/3.12*/bin/python \
    /usr/local/bin/python3.13 /usr/local/bin/python3.12 /opt/homebrew/bin/python3.13; do
    [ -n "$candidate" ] && command -v "$candidate" >/dev/null 2>&1 && good "$candidate" && { command -v "$candidate"; return; }
  done
  if command -v uv >/dev/null 2>&1 && found=$(uv python find '>=3.12' 2>/dev/null) && good "$found"; then
    printf '%s\n' "$found"
    return
  fi
  fetch_python
}

# The last resort: uv, from the package index, can fetch an interpreter where the network allows it.
fetch_python() {
  say 'no Python 3.12 or newer is here; trying to fetch one with uv'
  uv=uv
  if ! command -v uv >/dev/null 2>&1; then
    python3 -m venv .venv-uv >/dev/null 2>&1 && .venv-uv/bin/pip install -q uv >&2 && uv=.venv-uv/bin/uv
  fi
  if "$uv" python install 3.13 >&2 && found=$("$uv" python find 3.13); then
    printf '%s\n' "$found"
    return
  fi
  say 'error: Python 3.12, 3.13 or 3.14 is needed'
  say 'hint: install one (apt install python3.13, brew install python@3.13, pyenv install 3.13), or set PYTHON=/path/to/python'
  exit 1
}

stamp=$venv/.installed-$profile
wanted=$(cat pyproject.toml requirements.lock "$0" | cksum)
if [ -x $venv/bin/python ] && [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ]; then
  exit 0
fi

if ! { [ -x $venv/bin/python ] && good $venv/bin/python; }; then
  python=$(find_python)
  say "making $venv with $("$python" --version)"
  rm -rf $venv
  "$python" -m venv $venv
fi

case $profile in
  run) extra=local ;;
  dev) extra=dev ;;
  *) say "error: there is no profile '$profile'; it is run or dev"; exit 2 ;;
esac
say "installing what is pinned in requirements.lock ($profile)"
# uv installs in seconds what takes pip a minute; pip does as well.
if command -v uv >/dev/null 2>&1; then
  uv pip install -q --compile-bytecode --python $venv/bin/python -c requirements.lock -e ".[$extra]"
elif [ -x $venv/bin/uv ] || $venv/bin/python -m pip install -q --disable-pip-version-check -c requirements.lock uv >&2; then
  $venv/bin/uv pip install -q --compile-bytecode --python $venv/bin/python -c requirements.lock -e ".[$extra]"
else
  $venv/bin/python -m pip install -q --disable-pip-version-check -c requirements.lock -e ".[$extra]"
fi
# Compiled now, everything starts in half the time, also where Python is told not to write bytecode.
$venv/bin/python -m compileall -q schemas events projections orchestrator workers gateway stigmergy || true
printf '%s' "$wanted" >"$stamp"
