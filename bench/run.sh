#!/bin/sh
# `make bench`: weft beside the real servers. See bench/run.py (--help) and docs/benchmarks.md.
#   PEERS="redis8 valkey9 /path/to/other-server"  ROUNDS=3  SECONDS=2  SET=quick|full  SECTIONS="speed memory"
cd "$(dirname "$0")/.." && exec python3 bench/run.py "$@"
