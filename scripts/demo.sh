#!/bin/sh
# The main job: a mission repairs the example repository, each step an event; then its timeline.
set -eu
cd "$(dirname "$0")/.."
stig=.venv/bin/stig
export STIGMERGY_STATE_DIR="${STIGMERGY_STATE_DIR:-.stigmergy/demo}"
# One stack for both commands; one that was there before is used and left running.
started=no
if ! $stig status --json 2>/dev/null | grep -q '"name"'; then
  $stig dev --detach
  started=yes
  trap '$stig down' EXIT INT TERM
fi
mkdir -p .stigmergy
$stig run repair examples/orders --output .stigmergy/orders.patch
printf '\nThe same mission as a timeline:\n\n'
$stig mission events last --timeline
[ $started = no ] || printf '\nstopping the stack that the demo started\n'
