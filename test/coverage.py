#!/usr/bin/python3
"""Lines and branches of src/ that the simulator reaches, alone and with the unit tests.

    test/coverage.py [--seeds 40] [--first-seed 1] [--without-units] [--files]      `make coverage` builds what it needs
    test/coverage.py --again --missing src/command/sort.c       the simulator's counters of the last run, units afresh
    test/coverage.py --again --blackbox wire,server-commands    a third figure: suites of test/run.py, too

How it counts. A line counts as reached, and a branch as taken, when any run went there. A failed CHECK() or
DCHECK() is a bug of the program, so a right program cannot fail one: the branches of those statements do not
count, their lines do, but for lines which only say that nobody comes here (CHECK(false), CHECK(!"a reason")). Code
of headers is not counted. Files that no program of these runs links (the mains) count as not reached. The kernel
backends of io/ run in no simulation: what is reached of them is reached by the unit tests, which run over every
backend.
"""
import argparse
import collections
import glob
import json
import os
import re
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
OUT = os.path.join(ROOT, 'build', 'coverage')
KEPT = os.path.join(ROOT, 'build', 'coverage-simulator')


def assertions(path):
    """({lines of CHECK statements}, {those of them that nothing can reach}) of a file."""
    lines, never = set(), set()
    with open(path, encoding='utf-8') as file:
        text = file.read()
    for found in re.finditer(r'\bD?CHECK\(', text):
        depth, at = 1, found.end()
        while depth:
            depth += {'(': 1, ')': -1}.get(text[at], 0)
            at += 1
        first, last = text.count('\n', 0, found.start()) + 1, text.count('\n', 0, at) + 1
        lines.update(range(first, last + 1))
        if re.match(r'(false|!"[^"]*")\)', text[found.end():]):
            never.update(range(first, last + 1))
    return lines, never


def measure():
    """{file: ({line: times reached}, {(line, branch): times taken})} of src/, from the counters that runs have left."""
    sums = {}
    for notes in glob.glob(os.path.join(OUT, 'src', '*', '*.gcno')):
        data = notes[:-4] + 'gcda'
        if not os.path.exists(data):
            data = notes
        got = subprocess.run(['gcov', '--json-format', '--branch-probabilities', '--stdout', data], cwd=ROOT,
                             capture_output=True, text=True)
        for line in got.stdout.splitlines():
            for file in json.loads(line)['files'] if line.startswith('{') else []:
                if not file['file'].startswith('src/') or not file['file'].endswith('.c'):
                    continue
                asserting, never = assertions(os.path.join(ROOT, file['file']))
                lines, branches = sums[file['file']] = collections.Counter(), collections.Counter()
                for row in file['lines']:
                    number = row['line_number']
                    if number in never:
                        continue
                    lines[number] += row['count']
                    for i, branch in enumerate(row.get('branches', [])):
                        if not branch['throw'] and number not in asserting:
                            branches[number, i] += branch['count']
    return sums


def show_missing(name, lines, branches):
    """The lines of a file which were never reached, or have branches that were never taken."""
    open_branches = collections.Counter(line for (line, _), n in branches.items() if not n)
    all_branches = collections.Counter(line for line, _ in branches)
    with open(os.path.join(ROOT, name), encoding='utf-8') as file:
        for number, text in enumerate(file, 1):
            if number in lines and not lines[number]:
                print('%s:%d:  ####  %s' % (name, number, text.rstrip()))
            elif open_branches[number]:
                place = name, number, open_branches[number], all_branches[number], text.rstrip()
                print('%s:%d:  %d/%d   %s' % place)


def show(title, counts, files):
    sums = {name: (len(lines), sum(n > 0 for n in lines.values()), len(branches), sum(n > 0 for n in branches.values()))
            for name, (lines, branches) in counts.items()}

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


def run_simulator(first_seed, seeds):
    for data in glob.glob(os.path.join(OUT, '**', '*.gcda'), recursive=True):
        os.remove(data)
    for seed in range(first_seed, first_seed + seeds):
        subprocess.run([os.path.join(OUT, 'weft-sim'), '--seed', str(seed), '--quiet'], stdout=subprocess.DEVNULL)
    shutil.rmtree(KEPT, ignore_errors=True)
    copy_counters(OUT, KEPT)


def copy_counters(source, target):
    for data in glob.glob(os.path.join(source, 'src', '*', '*.gcda')):
        copy = os.path.join(target, os.path.relpath(data, source))
        os.makedirs(os.path.dirname(copy), exist_ok=True)
        shutil.copy(data, copy)


def run_units():
    for program in sorted(glob.glob(os.path.join(OUT, 'test', 'unit', '*_test'))):
        got = subprocess.run([program], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT, timeout=600)
        if got.returncode != 0:
            print('%s failed' % os.path.basename(program), file=sys.stderr)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--seeds', type=int, default=40)
    parser.add_argument('--first-seed', type=int, default=1)
    parser.add_argument('--without-units', action='store_true')
    parser.add_argument('--files', action='store_true')
    parser.add_argument('--again', action='store_true', help='begin with what the simulator reached in the last run')
    parser.add_argument('--blackbox', metavar='SUITES', help='names, with commas')
    parser.add_argument('--missing', metavar='PREFIX', help='list what is not reached of such files')
    options = parser.parse_args()
    if options.again:
        for data in glob.glob(os.path.join(OUT, '**', '*.gcda'), recursive=True):
            os.remove(data)
        copy_counters(KEPT, OUT)
    else:
        run_simulator(options.first_seed, options.seeds)
    counts = measure()
    title = 'by the simulator' if options.again else 'by %d seeds of the simulator' % options.seeds
    show(title, counts, options.files)
    if not options.without_units:
        run_units()
        counts = measure()
        show('by the simulator and the unit tests', counts, options.files)
    if options.blackbox:
        words = ['--server', os.path.join(OUT, 'weft-server'), '--jobs', '1'] + options.blackbox.split(',')
        subprocess.run([os.path.join(ROOT, 'test', 'run.py')] + words, check=False)
        counts = measure()
        show('by these, and by %s against a server' % options.blackbox, counts, options.files)
    for name in sorted(counts):
        if options.missing is not None and name.startswith(options.missing):
            show_missing(name, *counts[name])
    return 0


sys.exit(main())
