#!/usr/bin/env bash
# What one GPU has to say in nine minutes; benchmarks/README.md, "On a GPU", tells more.
#
#   benchmarks/gpu.sh pack ARCHIVE --cub CUB_200_2011 --vgg16 FILE --resnet50 FILE   on a machine with the data
#   benchmarks/gpu.sh run ARCHIVE OUT [--minutes 9] [--only PART/NAME ...] [--rehearse]   on the one with the GPU
#
# PYTHON names the interpreter, SCRATCH a folder for what is thrown away in the end.
set -euo pipefail
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
python="${PYTHON:-python3}"
export PYTHONUNBUFFERED=1

usage() {
  sed -n '4,5s/^# *//p' "${BASH_SOURCE[0]}" >&2
  exit 2
}

pack() {
  PYTHONPATH="$root/src:$root/benchmarks${PYTHONPATH:+:$PYTHONPATH}" "$python" -m gpu.pack "$@"
}

run() {
  [ $# -ge 2 ] || usage
  local archive="$1" out="$2"
  shift 2
  scratch="$(mktemp -d "${SCRATCH:-${TMPDIR:-/tmp}}/mldfr-gpu.XXXXXX")"
  trap 'rm -rf "$scratch"' EXIT
  "$python" -m zipfile -e "$archive" "$scratch"
  "$python" -m pip install --quiet --no-index --no-deps --no-compile --disable-pip-version-check \
    --find-links "$scratch/wheels" --target "$scratch/site" --requirement "$scratch/wheels/requirements.txt"
  mkdir -p "$out"
  # The checkout's own code comes before the wheel's, which is there for its version.
  PYTHONPATH="$root/src:$scratch/site:$root/benchmarks${PYTHONPATH:+:$PYTHONPATH}" \
    "$python" -m gpu.run "$scratch" "$out" --spent "$SECONDS" "$@" 2>&1 | tee -a "$out/log.txt"
}

[ $# -ge 1 ] || usage
verb="$1"
shift
case "$verb" in
  pack | run) "$verb" "$@" ;;
  *) usage ;;
esac
