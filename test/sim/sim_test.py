#!/usr/bin/python3
"""The simulator as a test: seeds that failed once, a number of fresh ones, determinism, and that findings are reported.

    test/sim/sim_test.py [--sim build/weft-sim] [--count 60] [--first-seed N] [--jobs 2]

Each seed is a whole run: nodes, clients and faults on virtual time (docs/simulator.md).
"""
import argparse
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class Count:
    def __init__(self):
        self.passed = self.failed = 0

    def check(self, good, name, text=''):
        if good:
            self.passed += 1
        else:
            self.failed += 1
            print('  FAILED %s\n%s' % (name, '\n'.join('      ' + line for line in text.splitlines()[-40:])))


def run(options, *words):
    got = subprocess.run([options.sim, *words], capture_output=True, text=True, timeout=900)
    return got.returncode, got.stdout + got.stderr


def kept_seeds():
    """Lines of sim/seeds.txt: the words of a command line, and behind # what the seed once found."""
    with open(os.path.join(ROOT, 'sim', 'seeds.txt')) as lines:
        for line in lines:
            words = line.split('#')[0].split()
            if words:
                yield words


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--sim', default=os.path.join(ROOT, 'build', 'weft-sim'))
    parser.add_argument('--count', type=int, default=60)
    parser.add_argument('--first-seed', type=int, default=1)
    parser.add_argument('--jobs', default='2')
    options = parser.parse_args()
    count = Count()
    for words in kept_seeds():
        status, text = run(options, *words)
        count.check(status == 0, ' '.join(words), text)
    status, text = run(options, '--seed', str(options.first_seed), '--count', str(options.count), '--jobs',
                       options.jobs)
    print(text[text.find('\n%d seeds' % options.count):].strip() if status == 0 else text)
    failed = len(re.findall(r'^seed \d+ FAILED', text, re.M))
    count.passed += options.count - failed
    count.failed += failed
    status, text = run(options, '--seed', str(options.first_seed), '--count', str(max(3, options.count // 20)),
                       '--twice')
    count.check(status == 0 and 'determinism' not in text, 'two runs of a seed, one hash', text)
    # Two processes have other addresses, too.
    for seed in range(options.first_seed, options.first_seed + 12):
        texts = [run(options, '--seed', str(seed), '--quiet')[1] for _ in range(2)]
        count.check(texts[0] == texts[1] and 'hash: ' in texts[0], 'two processes, one hash', '\n'.join(texts))
    # A finding must be reported: an impossible demand on the replies is one.
    status, text = run(options, '--seed', '1', '--canary', '--quiet')
    count.check(status == 1 and 'oracle: model' in text and 'replay: ' in text, 'a wrong reply is reported', text)
    print('%d passed, %d failed' % (count.passed, count.failed))
    return 1 if count.failed else 0


sys.exit(main())
