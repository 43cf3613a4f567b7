#!/usr/bin/python3
"""Lines and branches of src/ that the simulator reaches, alone and with the unit tests.

    test/coverage.py [--seeds 40] [--first-seed 1] [--without-units] [--files]      `make coverage` builds what it needs
"""
import argparse
import collections
import glob
import json
import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
OUT = os.path.join(ROOT, 'build', 'coverage')


def measure():
    """{file: (lines, lines reached, branches, branches taken)} of src/, from the counters that runs have left."""
    sums = {}
    for data in glob.glob(os.path.join(OUT, 'src', '*', '*.gcda')):
        got = subprocess.run(['gcov', '--json-format', '--branch-probabilities', '--stdout', data], cwd=ROOT,
                             capture_output=True, text=True)
        for line in got.stdout.splitlines():
            for file in json.loads(line)['files'] if line.startswith('{') else []:
                if file['file'].startswith('src/') and file['file'].endswith('.c'):
                    lines = collections.Counter()
                    branches = collections.Counter()
                    for row in file['lines']:
                        lines[row['line_number']] += row['count']
                        for i, branch in enumerate(row.get('branches', [])):
                            if not branch['throw']:
                                branches[row['line_number'], i] += branch['count']
                    sums[file['file']] = (len(lines), sum(n > 0 for n in lines.values()), len(branches),
                                          sum(n > 0 for n in branches.values()))
    return sums


def show(title, sums, files):
    def row(name, values):
        lines, reached, branches, taken = values
        print('  %-28s %6d lines %5.1f %%  %6d branches %5.1f %%' % (
            name, lines, 100 * reached / max(lines, 1), branches, 100 * taken / max(branches, 1)))

    print(title)
    by_folder = collections.defaultdict(lambda: [0] * 4)
    for name, values in sorted(sums.items()):
        if files:
            row(name, values)
        for key in (os.path.dirname(name), 'all'):
            by_folder[key] = [a + b for a, b in zip(by_folder[key], values)]
    for name, values in sorted(by_folder.items(), key=lambda item: (item[0] == 'all', item[0])):
        row(name, values)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--seeds', type=int, default=40)
    parser.add_argument('--first-seed', type=int, default=1)
    parser.add_argument('--without-units', action='store_true')
    parser.add_argument('--files', action='store_true')
    options = parser.parse_args()
    for data in glob.glob(os.path.join(OUT, '**', '*.gcda'), recursive=True):
        os.remove(data)
    for seed in range(options.first_seed, options.first_seed + options.seeds):
        subprocess.run([os.path.join(OUT, 'weft-sim'), '--seed', str(seed), '--quiet'], stdout=subprocess.DEVNULL)
    show('by %d seeds of the simulator' % options.seeds, measure(), options.files)
    if not options.without_units:
        for program in sorted(glob.glob(os.path.join(OUT, 'test', 'unit', '*_test'))):
            subprocess.run([program], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT, timeout=600)
        show('by the simulator and the unit tests', measure(), options.files)
    return 0


sys.exit(main())
