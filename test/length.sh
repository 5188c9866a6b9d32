#!/usr/bin/env bash
# Fails when a source file is longer than 450 lines. Generated files are exempt.
set -euo pipefail
cd "$(dirname "$0")/.."
find . -path ./.git -prune -o \( -name '*.go' -o -name '*.c' -o -name '*.h' \) -print |
  grep -v -e '_bpfel\.go$' -e '\.pb\.go$' -e 'vmlinux\.h$' |
  xargs wc -l |
  awk '$2 != "total" && $1 > 450 { print $2 ": " $1 " lines, at most 450 allowed"; long = 1 } END { exit long }'
