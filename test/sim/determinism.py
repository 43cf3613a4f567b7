#!/usr/bin/python3
"""The hash of a seed depends on the seed alone: two runs, gcc and clang, -O0 and -O2 must agree.

    test/sim/determinism.py [--first-seed 1] [--count 100] [--jobs 2]      `make sim-determinism` builds what it needs
"""
import argparse
import concurrent.futures
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILDS = ['build/sim', 'build/sim', 'build/sim-O0', 'build/sim-clang']


def hash_of(build, seed):
    got = subprocess.run([os.path.join(ROOT, build, 'weft-sim'), '--seed', str(seed), '--quiet'],
                         capture_output=True, text=True)
    found = re.search(r'^hash: (\w+)$', got.stdout, re.M)
    return found.group(1) if found else 'no hash, status %d' % got.returncode


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--first-seed', type=int, default=1)
    parser.add_argument('--count', type=int, default=100)
    parser.add_argument('--jobs', type=int, default=2)
    options = parser.parse_args()
    passed = failed = 0
    seeds = range(options.first_seed, options.first_seed + options.count)
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for seed, hashes in zip(seeds, pool.map(lambda s: [hash_of(b, s) for b in BUILDS], seeds)):
            if len(set(hashes)) == 1 and ' ' not in hashes[0]:
                passed += 1
            else:
                failed += 1
                print('seed %d: %s' % (seed, ', '.join('%s %s' % pair for pair in zip(BUILDS, hashes))))
    print('%d passed, %d failed' % (passed, failed))
    return 1 if failed else 0


sys.exit(main())
