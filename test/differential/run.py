#!/usr/bin/python3
"""The differential test: the same random command sequences into weft and a real server, every reply compared.

    run.py --server build/weft-server --reference REDIS --shards 4 --commands 50000 [--seed S]
    run.py --replay FILE...          runs sequence files only
    run.py --families set,zset       only these families (see commands.py); --without CMD,CMD leaves commands out

hypothesis draws the sequences and shrinks those which fail; a shrunk sequence is kept as a readable file in
regressions/, which every later run replays first. One kind of difference (command and both kinds of reply) is
reported once a run; sequences are cut where it shows up again.

A difference counts when the sequence shows one again in at least one of two further runs. What does not is printed as
"did not reproduce" and kept in build/differential/; more than UNSTEADY_MAX of them fail the run, for then either the
test or the server is not what it should be. A server that dies counts in any case.

The last line is a count of sequences. Before it stand the numbers of commands and what could not be compared.
"""
import argparse
import glob
import hashlib
import os
import random
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.join(os.path.dirname(HERE), 'blackbox'))

from hypothesis import HealthCheck, Phase, given, seed, settings  # noqa: E402

import commands  # noqa: E402
import compare  # noqa: E402
import runner  # noqa: E402
import server as servers  # noqa: E402

BATCH = 40              # sequences per hypothesis run
LENGTH_MAX = 160
SHRINK_S = 20
CONFIRM_RUNS = 2
UNSTEADY_MAX = 3


# ---------------------------------------------------------------- sequence files

def write_sequence(path, steps, comment):
    with open(path, 'w', encoding='latin-1') as f:
        for line in comment.split('\n'):
            f.write('# %s\n' % ''.join(c if 32 <= ord(c) < 127 else '?' for c in line))
        for conn, words in steps:
            f.write('%d %s\n' % (conn, runner.words_text(words)))


def read_words(line):
    words, i = [], 0
    while i < len(line):
        if line[i] == ' ':
            i += 1
        elif line[i] == '"':
            end = line.index('"', i + 1)
            words.append(line[i + 1:end].encode('latin-1').decode('unicode_escape').encode('latin-1'))
            i = end + 1
        else:
            end = (line + ' ').index(' ', i)
            words.append(line[i:end].encode('latin-1'))
            i = end
    return words


def read_sequence(path):
    steps = []
    with open(path, encoding='latin-1') as f:
        for line in f:
            line = line.rstrip('\n')
            if line and not line.startswith('#'):
                conn, _, rest = line.partition(' ')
                steps.append((int(conn), read_words(rest)))
    return steps


# ---------------------------------------------------------------- finding and keeping

class Hunt:
    def __init__(self, pair, options, language):
        self.pair = pair
        self.options = options
        self.language = language
        self.known = {}            # signature -> file
        self.sequences = 0
        self.cut = 0
        self.failures = 0
        self.unsteady = 0

    def try_sequence(self, steps):
        """None or the Mismatch."""
        try:
            self.pair.run(steps)
        except runner.Mismatch as m:
            return m
        return None

    def try_confirmed(self, steps):
        """None or a Mismatch that is worth reporting."""
        first = self.try_sequence(steps)
        if first is None or first.fatal or first.signature in self.known:
            return first
        counting, self.pair.counting = self.pair.counting, False
        again = next(filter(None, (self.try_sequence(steps) for _ in range(CONFIRM_RUNS))), None)
        self.pair.counting = counting
        if again is None:
            self.unsteady += 1
            path = self.write(self.options.unsteady, steps, first)
            print('\ndid not reproduce, kept as %s\n%s' % (os.path.relpath(path), first.text), flush=True)
        return again

    def batch(self, batch_seed):
        """One hypothesis run; a new kind of difference is shrunk, kept, reported."""
        best = None                # (steps, mismatch), the smallest seen with the first signature
        shrinking_since = None
        broken = []

        @seed(batch_seed)
        @settings(max_examples=BATCH, deadline=None, database=None, print_blob=False, report_multiple_bugs=False,
                  suppress_health_check=list(HealthCheck),
                  phases=[Phase.generate] + ([] if self.options.no_shrink else [Phase.shrink]))
        @given(self.language.strategy(LENGTH_MAX))
        def body(steps):
            nonlocal best, shrinking_since
            if shrinking_since and time.monotonic() - shrinking_since > SHRINK_S:
                return
            if not shrinking_since:
                self.sequences += 1
                if self.pair.compared >= self.options.commands:
                    return
            try:
                mismatch = self.try_sequence(steps) if shrinking_since else self.try_confirmed(steps)
            except runner.ReferenceFailed as e:
                broken.append(e)
            if broken:
                return
            if mismatch is None:
                return
            if mismatch.signature in self.known:
                self.cut += not shrinking_since
                return
            if best is not None and mismatch.signature != best[1].signature:
                return
            if best is None:
                shrinking_since = time.monotonic()
                self.pair.counting = False
            if best is None or len(steps) <= len(best[0]):
                best = (steps, mismatch)
            raise AssertionError('difference')

        try:
            body()
        except Exception:          # hypothesis re-raises ours, or complains that the shrinking was cut short
            if best is None:
                raise
        if broken:
            raise broken[0]
        if best is not None:
            self.keep(*best)
        self.pair.counting = True

    def reduce(self, steps, mismatch):
        """Drops steps, then words of repeated arguments, as long as the same difference stays."""
        deadline = time.monotonic() + SHRINK_S
        size = max(1, len(steps) // 2)
        while size:
            at = 0
            while at < len(steps) and time.monotonic() < deadline:
                fewer = steps[:at] + steps[at + size:]
                m = self.try_sequence(fewer)
                if m is not None and m.signature == mismatch.signature:
                    steps, mismatch = fewer, m
                else:
                    at += size
            size //= 2
        for i, (conn, words) in enumerate(steps):
            size = len(words) // 2
            while size and len(words) > 8 and time.monotonic() < deadline:
                for at in range(1, len(words), size):
                    shorter = words[:at] + words[at + size:]
                    m = self.try_sequence(steps[:i] + [(conn, shorter)] + steps[i + 1:])
                    if m is not None and m.signature == mismatch.signature:
                        words, mismatch = shorter, m
                        steps = steps[:i] + [(conn, words)] + steps[i + 1:]
                        break
                else:
                    size //= 2
        return steps, mismatch

    @staticmethod
    def write(folder, steps, mismatch):
        body = '\n'.join('%d %s' % (c, runner.words_text(w)) for c, w in steps)
        name = ''.join(c if c.isalnum() else '_' for c in str(mismatch.signature[0]).lower())[:30]
        path = os.path.join(folder, '%s-%s.txt' % (name, hashlib.sha256(body.encode()).hexdigest()[:8]))
        os.makedirs(folder, exist_ok=True)
        write_sequence(path, steps, mismatch.text)
        return path

    def keep(self, steps, mismatch):
        if not self.options.no_shrink:
            steps, mismatch = self.reduce(steps, mismatch)
        body = '\n'.join('%d %s' % (c, runner.words_text(w)) for c, w in steps)
        path = self.write(self.options.regressions, steps, mismatch)
        self.known[mismatch.signature] = path
        self.failures += 1
        print('\nDIFFERENCE %d, %d steps, kept as %s\n%s\n%s' % (
            self.failures, len(steps), os.path.relpath(path), '\n'.join('    ' + x[:400] for x in body.split('\n')),
            mismatch.text), flush=True)

    def replay(self, paths):
        """Runs kept sequences; (passed, failed)."""
        passed = failed = 0
        for path in paths:
            steps = [s for s in read_sequence(path)]
            lacking = {w[0].upper().decode('latin-1') for _, w in steps} & self.language.left_out
            if lacking:
                self.pair.not_compared[' '.join(sorted(lacking)), 'regression file with a command left out'] += 1
                continue
            mismatch = self.try_confirmed(steps)
            if mismatch:
                failed += 1
                self.known[mismatch.signature] = path
                print('\nREGRESSION %s\n%s' % (os.path.relpath(path), mismatch.text), flush=True)
            else:
                passed += 1
        return passed, failed


def parse(words=None):
    parser = argparse.ArgumentParser()
    parser.add_argument('--server', default=servers.WEFT)
    parser.add_argument('--reference')
    parser.add_argument('--shards', type=int, default=1)
    parser.add_argument('--commands', type=int, default=50000)
    parser.add_argument('--seed', type=int)
    parser.add_argument('--families')
    parser.add_argument('--without', default='')
    parser.add_argument('--failures', type=int, default=8, help='stop after so many kinds of difference')
    parser.add_argument('--seconds', type=int, default=600, help='stop after so long')
    parser.add_argument('--regressions', default=os.path.join(HERE, 'regressions'))
    parser.add_argument('--unsteady', default=os.path.join(servers.ROOT, 'build', 'differential'),
                        help='folder for sequences whose difference did not reproduce')
    parser.add_argument('--no-shrink', action='store_true', help='keep failing sequences as they are')
    parser.add_argument('--replay', nargs='*')
    parser.add_argument('--lenient-encodings', action='store_true',
                        help='do not compare encodings which depend on a value\'s past; they are counted')
    parser.add_argument('--arg', action='append', default=[], help='a further word for the server\'s command line')
    parser.add_argument('--both', default='', help='further words for the command lines of both servers, in one string')
    return parser.parse_args(words)


def main():
    options = parse()
    options.reference = options.reference or servers.find_reference()
    compare.options['lenient_encodings'] = options.lenient_encodings
    if options.seed is None:
        options.seed = random.SystemRandom().randrange(1 << 32)

    dut, ref = runner.start_pair(options.server, options.reference, options.shards, options.arg,
                                options.both.split())
    try:
        return hunt(options, dut, ref)
    finally:
        ref.kill()
        dut.kill()


def hunt(options, dut, ref, pair_class=runner.Pair):
    began = time.monotonic()
    print('%s, %d shards, against %s; seed %d' % (dut.version, options.shards, ref.version, options.seed), flush=True)
    families = options.families.split(',') if options.families else None
    names = sorted(n for n in commands.Language(families=families).names if not n.startswith('@'))
    have = runner.known_commands(ref, names)
    missing = [n for n in names if n not in have]
    dut_has = runner.known_commands(dut, names + ['DUMP', 'RESTORE', 'DEBUG'])
    lacking = [n for n in names if n in have and n not in dut_has]
    directions = {'@dumpcross': ('DUMP', 'RESTORE'), '@reload': ('DEBUG',)}
    lacking += [d for d, needs in directions.items() if not set(needs) <= dut_has]
    language = commands.Language(without=set(missing + lacking) | set(filter(None, options.without.upper().split(','))),
                                 families=families)
    pair = pair_class(dut, ref)
    pair.field_expiry = 'HPEXPIRETIME' in runner.known_commands(ref, ['HPEXPIRETIME'])
    h = Hunt(pair, options, language)

    kept = sorted(glob.glob(os.path.join(options.regressions, '*.txt')))
    paths = options.replay if options.replay is not None else kept
    passed, failed = h.replay(paths)
    print('%d kept sequences replayed, %d failed' % (passed + failed, failed), flush=True)
    for name in lacking:
        print('MISSING COMMAND %s' % name)
    failed += len(lacking)
    pair.compared = 0
    number = 0
    while options.replay is None and pair.compared < options.commands and h.failures < options.failures and \
            h.unsteady <= UNSTEADY_MAX and \
            time.monotonic() - began < options.seconds:
        h.batch(options.seed * 100003 + number)
        number += 1

    summary(options, h, pair, missing, time.monotonic() - began)
    if options.replay is None and not h.failures and pair.compared < options.commands:
        print('stopped early: only %d of %d commands' % (pair.compared, options.commands))
        failed += 1
    # A server which crashed, or which a sanitizer complains about, fails the run at the latest now.
    try:
        dut.stop()
    except servers.ServerFailed as e:
        print(e)
        failed += 1
    if h.unsteady:
        print('%d differences did not reproduce; their sequences are in %s' % (h.unsteady, options.unsteady))
    if h.unsteady > UNSTEADY_MAX:
        print('that is more than %d: the run does not pass' % UNSTEADY_MAX)
        failed += 1
    good = h.sequences - h.cut - h.failures
    print('%d passed, %d failed' % (passed + good, failed + h.failures))
    return 1 if failed or h.failures else 0


def summary(options, h, pair, missing, seconds):
    print('\n%d commands compared in %d sequences (%d cut short by a difference already reported), %.0f s' % (
        pair.compared, h.sequences, h.cut, seconds))
    if missing:
        print('not compared at all, the reference does not have them: ' + ' '.join(missing))
    if options.without:
        print('left out on request: ' + options.without)
    total = sum(pair.not_compared.values())
    print('%d commands could not be compared:' % total)
    for (name, reason), count in sorted(pair.not_compared.items()):
        print('  %6d  %s: %s' % (count, name, reason))
    if options.replay is None and pair.compared > 20000:
        unseen = sorted(n for n in h.language.names if not n.startswith('@') and not pair.by_command[n])
        never = sorted(n for n in h.language.names if pair.by_command[n] and not pair.succeeded[n])
        if unseen:
            print('never drawn: ' + ' '.join(unseen))
        if never:
            print('never succeeded: ' + ' '.join(never))


if __name__ == '__main__':
    sys.exit(main())
