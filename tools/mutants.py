#!/usr/bin/python3
"""Do the simulator's oracles see defects? Runs it once per mutant and seed until one fails; prints who killed what.

    tools/mutants.py [--only NAME,…] [--seeds 60] [--minutes M] [--jobs 2] [--timeout 60]
                     [--ways] [--then "WORDS"]… [--then-seeds N] [--kept sim/seeds.txt]
                     [--without-oracle NAME]… [--without-faults GROUP]… [--ablate] [--ablation-seeds N] [--list]

The mutants are those of src/base/mutants.def, compiled into build/mutants/weft-sim (make MODE=mutants). A run is
`weft-sim --mutant NAME --seed S`: status 0 says that every oracle held, 1 that one failed (its name is on the line
"oracle: NAME"), anything else that the program died ("check" when a CHECK stopped it, else "crash"); one that does
not end in time is a "hang", one that takes more than --memory is "memory". A seed that fails without any mutant counts
for nobody. Seeds go round: all mutants with the first one, those that live with the second, … so that --minutes cuts
where it hurts least.

Who lives then is given other words, one --then after the other, --then-seeds seeds each, and in the end the lines of
--kept, each a seed with its words. --ways stands for all that: the themes and sim/seeds.txt.

The report is a table in Markdown on stdout, and build/mutants.json. --without-oracle and --without-faults are handed
on as --no-oracle and --no-faults. --ablate does that for every oracle that killed somebody (and every group of
--fault-groups), with the words that killed and --ablation-seeds seeds from that one on: an oracle without which all its
victims are still killed by others is redundant.
--min-killed 95 makes the exit status 1 when fewer per cent are killed. Tests: test/mutants_test.py.
"""
import argparse
import collections
import json
import os
import re
import resource
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
DEF = os.path.join(ROOT, 'src', 'base', 'mutants.def')
OUTPUT_MAX = 64 << 20  # bytes that one run may print
TAIL_LINES = 6         # of a killing run's output that the JSON keeps
ORACLE = re.compile(r'^oracle: *(\S+)', re.M)

WAYS = ['--theme reshard', '--theme crowd', '--theme memory', '--theme litmus', '--theme calm',
        '--theme reshard --workload node,connection,string,key,list',
        '--theme crowd --workload node,append,string,key,set', '--theme reshard --only process',
        '--theme memory --only memory --only client']

Outcome = collections.namedtuple('Outcome', 'killer seconds tail status')  # killer None: every oracle held


class Mutant:
    """A row of mutants.def and what has become of it."""

    def __init__(self, name, area, defect, link):
        self.name, self.area, self.defect, self.link = name, area, defect, link
        self.killer = self.first_seed = None
        self.words = ''     # that killed it, beyond those of every run
        self.seeds = 0      # tried, those left out that fail without a mutant
        self.seconds = 0.0
        self.tail = ''
        self.decided = False

    def as_dict(self):
        return {'name': self.name, 'area': self.area, 'defect': self.defect, 'link': self.link, 'killer': self.killer,
                'seeds_to_kill': self.seeds if self.killer else None, 'first_failing_seed': self.first_seed,
                'words': self.words,
                'seeds_tried': self.seeds, 'seconds': round(self.seconds, 2), 'decided': self.decided,
                'tail': self.tail}


def read_mutants(path=DEF):
    """The rows M(name, "area", "defect", "link") of the list; adjacent strings are one."""
    with open(path, encoding='utf-8') as f:
        text = re.sub(r'/\*.*?\*/', ' ', f.read(), flags=re.S)
    mutants = []
    string = r'((?:"(?:[^"\\]|\\.)*"\s*)+)'
    row = re.compile(r'\bM\(\s*(\w+)\s*,\s*' + string + ',\\s*' + string + ',\\s*' + string + r'\)')
    for match in row.finditer(text):
        words = [re.sub(r'\\(.)', r'\1', ''.join(re.findall(r'"((?:[^"\\]|\\.)*)"', part)))
                 for part in match.groups()[1:]]
        mutants.append(Mutant(match.group(1), *words))
    rows = len(re.findall(r'\bM\(', text))
    if rows != len(mutants):
        sys.exit('%s: %d rows, of which %d can be read' % (path, rows, len(mutants)))
    return mutants


# ---- one run ----

def _limits():
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (OUTPUT_MAX, OUTPUT_MAX))


def _rss_bytes(pid):
    try:
        with open('/proc/%d/statm' % pid, encoding='ascii') as f:
            return int(f.read().split()[1]) * os.sysconf('SC_PAGE_SIZE')
    except (OSError, IndexError):
        return 0


def _wait(process, timeout_s, memory_bytes):
    """None when it ended by itself, else why it was ended."""
    until = time.monotonic() + timeout_s
    pause = 0.005
    while True:
        try:
            process.wait(pause)
            return None
        except subprocess.TimeoutExpired:
            pass
        pause = min(pause * 1.5, 0.25)
        why = 'hang' if time.monotonic() > until else 'memory' if _rss_bytes(process.pid) > memory_bytes else None
        if why:
            os.killpg(process.pid, signal.SIGKILL)  # its own session: nobody else is in it
            process.wait()
            return why


def classify(status, output):
    """Who found a defect in a run that ended by itself with this status; None: nobody did."""
    if status == 0:
        return None
    oracles = ORACLE.findall(output)
    if status == 1 and oracles:
        return oracles[-1]
    if 'check failed' in output:
        return 'check'
    return 'oracle' if status == 1 else 'crash'


def run_sim(sim, words, timeout_s, memory_bytes):
    """One run in a directory of its own, which goes with whatever it wrote there."""
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix='weft-mutant-') as directory:
        path = os.path.join(directory, 'output')
        with open(path, 'wb') as out:
            process = subprocess.Popen([sim] + words, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                                       cwd=directory, start_new_session=True, preexec_fn=_limits)
            try:
                ended = _wait(process, timeout_s, memory_bytes)
            except BaseException:
                process.kill()
                process.wait()
                raise
        with open(path, 'rb') as f:
            f.seek(max(0, os.path.getsize(path) - (1 << 20)))
            output = f.read().decode('utf-8', 'replace')
    killer = ended or classify(process.returncode, output)
    tail = '\n'.join(output.rstrip().splitlines()[-TAIL_LINES:]) if killer else ''
    return Outcome(killer, time.monotonic() - start, tail, process.returncode)


class Baseline:
    """Which seeds fail without a mutant. Asked by several threads; each seed runs once."""

    def __init__(self, run):
        self.run, self.lock, self.outcomes, self.under_way = run, threading.Condition(), {}, set()

    def holds(self, seed):
        with self.lock:
            while seed in self.under_way:
                self.lock.wait()
            if seed not in self.outcomes:
                self.under_way.add(seed)
            else:
                return self.outcomes[seed].killer is None
        outcome = None
        try:
            outcome = self.run(None, seed)
        finally:
            with self.lock:
                self.under_way.discard(seed)
                if outcome:
                    self.outcomes[seed] = outcome
                self.lock.notify_all()
        return outcome.killer is None

    def failing(self):
        return sorted(seed for seed, outcome in self.outcomes.items() if outcome.killer)


# ---- all runs ----

class Hunt:
    """Every mutant against the seeds first, first + 1, …; a few at a time. `words` are of this round."""

    def __init__(self, options, mutants, extra, words='', first=None, seeds=None):
        self.options, self.mutants, self.extra, self.words = options, mutants, extra, words
        self.first = options.first if first is None else first
        self.end = self.first + (options.seeds if seeds is None else seeds)
        self.baseline = Baseline(self.run)
        self.lock = threading.Lock()
        self.queue = collections.deque((mutant, self.first) for mutant in mutants)
        self.active = 0
        self.until = time.monotonic() + options.minutes * 60 if options.minutes else float('inf')
        self.failure = None

    def run(self, mutant, seed):
        words = (['--mutant', mutant] if mutant else []) + ['--seed', str(seed)] + self.extra
        words += shlex.split(self.options.sim_args) + shlex.split(self.words)
        return run_sim(self.options.sim, words, self.options.timeout,
                       self.options.memory << 20)

    def try_one(self, mutant, seed):
        """One seed; True when the mutant needs another."""
        if not self.baseline.holds(seed):
            return True  # it fails anyway: says nothing
        outcome = self.run(mutant.name, seed)
        mutant.seconds += outcome.seconds
        mutant.seeds += 1
        if outcome.killer:
            mutant.killer, mutant.first_seed, mutant.tail = outcome.killer, seed, outcome.tail
            mutant.decided, mutant.words = True, self.words
            note('%-28s killed by %-14s at seed %d (%.1f s) %s'
                 % (mutant.name, mutant.killer, seed, outcome.seconds, self.words))
        return not outcome.killer

    def work(self):
        while True:
            with self.lock:
                if self.failure or time.monotonic() > self.until:
                    return
                if not self.queue:
                    if not self.active:
                        return
                    mutant = None
                else:
                    mutant, seed = self.queue.popleft()
                    self.active += 1
            if mutant is None:
                time.sleep(0.02)
                continue
            try:
                lives = self.try_one(mutant, seed)
            except BaseException as error:  # raised again by the main thread
                self.failure = error
                lives = False
            with self.lock:
                self.active -= 1
                if lives and seed + 1 < self.end:
                    self.queue.append((mutant, seed + 1))
                elif lives:
                    mutant.decided = True
                    note('%-28s survives %d seeds' % (mutant.name, mutant.seeds))

    def all(self):
        threads = [threading.Thread(target=self.work) for _ in range(self.options.jobs)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self.failure:
            raise self.failure


def kept_seeds(path):
    """(seed, its other words) of each line."""
    found = []
    with open(path, encoding='utf-8') as f:
        for line in f:
            words = shlex.split(line, comments=True)
            if '--seed' in words:
                at = words.index('--seed')
                found.append((int(words[at + 1]), ' '.join(words[:at] + words[at + 2:])))
    return found


def other_ways(options, mutants, extra, until):
    """Those that live, with other words. The seeds that fail without a mutant are returned with their words."""
    failing = []
    rounds = [(words, options.first, options.then_seeds) for words in options.then]
    rounds += [(words, seed, 1) for seed, words in (kept_seeds(options.kept) if options.kept else [])]
    for words, first, seeds in rounds:
        alive = [m for m in mutants if not m.killer]
        if not alive or time.monotonic() > until:
            break
        note('-- %s from seed %d: %d mutants' % (words or 'kept', first, len(alive)))
        hunt = Hunt(options, alive, extra, words, first, seeds)
        hunt.until = until
        hunt.all()
        failing += ['%d %s' % (seed, words) for seed in hunt.baseline.failing()]
    return failing


def note(line):
    print(line, file=sys.stderr, flush=True)


# ---- reports ----

def markdown(mutants, failing, title):
    killed = [m for m in mutants if m.killer]
    survivors = [m for m in mutants if not m.killer and m.decided]
    undecided = [m for m in mutants if not m.killer and not m.decided]
    lines = ['# %s' % title, '',
             '%d mutants: %d killed, %d survive%s. %d re-create published bugs, of which %d are killed.'
             % (len(mutants), len(killed), len(survivors),
                ', %d undecided (out of time)' % len(undecided) if undecided else '',
                sum(1 for m in mutants if m.link), sum(1 for m in killed if m.link)), '']
    if failing:
        lines += ['Seeds that fail without a mutant, and so do not count: %s.' % ', '.join(map(str, failing)), '']
    lines += ['| mutant | area | defect | killed by | seeds to kill | first failing seed |',
              '| --- | --- | --- | --- | ---: | :--- |']
    for m in mutants:
        defect = m.defect.replace('|', '\\|') + (' ([published](%s))' % m.link if m.link else '')
        if m.killer:
            end = '%s | %d | %s' % (m.killer, m.seeds, ('%d %s' % (m.first_seed, m.words)).strip())
        else:
            end = '%s | > %d | ' % ('**survives**' if m.decided else 'undecided', m.seeds)
        lines.append('| %s | %s | %s | %s |' % (m.name, m.area, defect, end))
    lines += ['', 'Survivors: %s.' % (', '.join(m.name for m in survivors) or 'none'), '',
              '| killer | mutants | median of seeds to kill |', '| --- | ---: | ---: |']
    by_killer = collections.defaultdict(list)
    for m in killed:
        by_killer[m.killer].append(m.seeds)
    for killer, seeds in sorted(by_killer.items(), key=lambda item: (-len(item[1]), item[0])):
        lines.append('| %s | %d | %d |' % (killer, len(seeds), sorted(seeds)[len(seeds) // 2]))
    return '\n'.join(lines)


def revision():
    result = subprocess.run(['git', '-C', ROOT, 'rev-parse', '--short', 'HEAD'], capture_output=True, text=True,
                            check=False)
    return result.stdout.strip() or None


def write_json(path, options, extra, mutants, failing, ablation):
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    report = {'revision': revision(), 'arguments': extra, 'first_seed': options.first, 'seeds': options.seeds,
              'mutants': [m.as_dict() for m in mutants], 'killed': sum(1 for m in mutants if m.killer),
              'survivors': [m.name for m in mutants if not m.killer and m.decided],
              'undecided': [m.name for m in mutants if not m.killer and not m.decided],
              'seeds_failing_without_mutant': failing, 'ablation': ablation}
    with open(path, 'w', encoding='utf-8') as f:
        json.dump(report, f, indent=1)
        f.write('\n')


# ---- with one thing switched off ----

def ablate(options, mutants, extra):
    """Again without each oracle (its victims only: others do not need it), then without each group of faults. Each with
    the words that killed it, from the seed that did on."""
    found = []
    oracles = sorted({m.killer for m in mutants if m.killer} - {'check', 'crash', 'hang', 'memory', 'oracle'})
    rounds = [('oracle', name, ['--no-oracle', name], [m for m in mutants if m.killer == name]) for name in oracles]
    rounds += [('faults', group, ['--no-faults', group], [m for m in mutants if m.killer])
               for group in options.fault_groups]
    for kind, name, words, victims in rounds:
        again = [Mutant(m.name, m.area, m.defect, m.link) for m in victims]
        note('-- without %s %s: %d mutants' % (kind, name, len(again)))
        for m, victim in zip(again, victims):
            Hunt(options, [m], extra + words, victim.words, victim.first_seed, options.ablation_seeds).all()
        found.append({'kind': kind, 'without': name, 'victims': len(again),
                      'survive': [m.name for m in again if not m.killer and m.decided],
                      'undecided': [m.name for m in again if not m.killer and not m.decided]})
    return found


def ablation_markdown(found):
    lines = ['', '## With one thing switched off', '']
    lines += ['| without | mutants tried | now survive |', '| --- | ---: | --- |']
    for row in found:
        redundant = 'nothing' if row['undecided'] else '**nothing: redundant for these mutants**'
        lines.append('| %s %s | %d | %s |' % (row['kind'], row['without'], row['victims'],
                                              ', '.join(row['survive']) or redundant))
    return '\n'.join(lines)


# ---- the program ----

def parse(words):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--sim', default=os.path.join(ROOT, 'build', 'mutants', 'weft-sim'))
    parser.add_argument('--sim-args', default='', help='more words for every run, e.g. "--minutes 1"')
    parser.add_argument('--mutants', default=DEF, help='another list of mutants')
    parser.add_argument('--only', default='', help='names or areas, separated by commas')
    parser.add_argument('--first', type=int, default=1, help='first seed')
    parser.add_argument('--seeds', type=int, default=60, help='at most so many for each')
    parser.add_argument('--minutes', type=float, default=0, help='start nothing after this time (0: no limit)')
    parser.add_argument('--jobs', type=int, default=2, help='runs at a time')
    parser.add_argument('--timeout', type=float, default=60, help='seconds of one run')
    parser.add_argument('--memory', type=int, default=3072, help='MiB of one run')
    parser.add_argument('--without-oracle', action='append', default=[], metavar='NAME')
    parser.add_argument('--without-faults', action='append', default=[], metavar='GROUP')
    parser.add_argument('--ablate', action='store_true', help='afterwards without each oracle in turn')
    parser.add_argument('--ablation-seeds', type=int, default=8)
    parser.add_argument('--then', action='append', default=[], metavar='WORDS', help='another way for those that live')
    parser.add_argument('--then-seeds', type=int, default=0, help='seeds of each such way (default: as --seeds)')
    parser.add_argument('--kept', default='', metavar='FILE', help='and the seeds of this file')
    parser.add_argument('--ways', action='store_true', help='every theme, then the kept seeds')
    parser.add_argument('--fault-groups', default='', help='with --ablate: groups of faults, separated by commas')
    parser.add_argument('--min-killed', type=float, default=0, help='per cent; fewer make the status 1')
    parser.add_argument('--json', default=os.path.join(ROOT, 'build', 'mutants.json'))
    parser.add_argument('--list', action='store_true', help='show the mutants and end')
    options = parser.parse_args(words)
    options.fault_groups = [group for group in options.fault_groups.split(',') if group]
    options.sim = os.path.abspath(options.sim)
    if options.ways:
        options.then += WAYS
        options.kept = options.kept or os.path.join(ROOT, 'sim', 'seeds.txt')
    options.then_seeds = options.then_seeds or options.seeds
    return options


def choose(options):
    mutants = read_mutants(options.mutants)
    wanted = [word for word in options.only.split(',') if word]
    for word in wanted:
        if not any(word in (m.name, m.area) for m in mutants):
            sys.exit('no mutant or area "%s"' % word)
    return [m for m in mutants if not wanted or m.name in wanted or m.area in wanted]


def main(words):
    options = parse(words)
    mutants = choose(options)
    if options.list:
        for m in mutants:
            print('%-28s %-12s %s%s' % (m.name, m.area, m.defect, '  ' + m.link if m.link else ''))
        return 0
    if not os.access(options.sim, os.X_OK):
        sys.exit('%s: not there; `make MODE=mutants build/mutants/weft-sim` builds it' % options.sim)
    extra = [word for name in options.without_oracle for word in ('--no-oracle', name)]
    extra += [word for group in options.without_faults for word in ('--no-faults', group)]
    hunt = Hunt(options, mutants, extra)
    if not hunt.baseline.holds(options.first):
        outcome = hunt.baseline.outcomes[options.first]
        note('seed %d fails without a mutant (%s):\n%s' % (options.first, outcome.killer, outcome.tail))
        if outcome.status != 1:
            sys.exit('the simulator cannot be used so')
    until = hunt.until
    hunt.all()
    failing = hunt.baseline.failing() + other_ways(options, mutants, extra, until)
    title = 'Mutants' + ''.join(' without %s' % name for name in options.without_oracle + options.without_faults)
    print(markdown(mutants, failing, title))
    ablation = ablate(options, mutants, extra) if options.ablate else []
    if options.ablate:
        print(ablation_markdown(ablation))
    write_json(options.json, options, extra, mutants, failing, ablation)
    killed = sum(1 for m in mutants if m.killer)
    return 1 if killed * 100 < options.min_killed * len(mutants) else 0


if __name__ == '__main__':
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    sys.exit(main(sys.argv[1:]))
