#!/usr/bin/python3
"""Mechanical mutants: small changes drawn by seed over src/, each compiled, linked and given to the simulator.

    tools/mutate.py --seed S [--count 300] [--seeds 5] [--minutes M] [--jobs 2] [--only src/shard,src/types/table.c]
                    [--again] [--show]         (the copy of the tree that is there; draw and compile, run nothing)

Unlike the mutants of src/base/mutants.def nobody has thought about these, so they say how much of the code is looked
at rather than whether clever defects are found. A change touches one place of one line: a condition is turned round,
a comparison widened, && becomes ||, a number grows by one, a sum a difference, an assignment or a call is dropped,
true becomes false (OPERATORS). Not changed: checks, marks, prefetches, text, declarations, and the directories that
the simulator does not run (LEFT_OUT). What does not compile, or gives the very code that was there, is drawn again.

The work is done in a copy of the tree in build/mechanical/: its weft-sim is built once as `make MODE=sim` does it;
then each mutant costs one object and one link (the changed object stands before the library). Seeds 1 to --seeds run
until one fails that holds for the unchanged program (tools/mutants.py says what "fails" is). Survivors are listed with
their lines; some change nothing that anybody could see ("equivalent"), which only reading can tell. The same seed,
count and sources give the same mutants. Report: Markdown on stdout, build/mechanical.json.
Tests: test/mutants_test.py.
"""
import argparse
import bisect
import collections
import glob
import json
import os
import random
import re
import shlex
import shutil
import subprocess
import sys
import threading
import time

import mutants as hunting

ROOT = hunting.ROOT
LEFT_OUT = ('src/io/', 'src/server/', 'src/maelstrom/', 'src/base/mutant', 'src/base/mark', 'src/base/check')
SILENT = re.compile(r'\b(CHECK|DCHECK|MARK|MUTANT|_Static_assert|__builtin_prefetch|TABLE_KEEP_PREFETCH|POISON|UNPOISON'
                    r'|snprintf|\w*prefetch\w*)\b')
TOKEN = re.compile(r'''
    (?P<comment>/\*.*?\*/|//[^\n]*) | (?P<text>"(?:[^"\\\n]|\\.)*") | (?P<char>'(?:[^'\\\n]|\\.)*')
  | (?P<number>0[xX][0-9a-fA-F]+[uUlL]*|\d[\w.]*) | (?P<word>[A-Za-z_]\w*)
  | (?P<op><<=|>>=|\.\.\.|->|\+\+|--|<<|>>|<=|>=|==|!=|&&|\|\||[-+*/%&|^]=|[-+*/%&|^!~<>=?:;,.(){}\[\]])
''', re.X | re.S)
SWAPS = {'<': '<=', '<=': '<', '>': '>=', '>=': '>', '==': '!=', '!=': '==', '&&': '||', '||': '&&', '+': '-',
         '-': '+', '+=': '-=', '-=': '+=', '<<': '>>', '>>': '<<', '|=': '&='}
OPERATOR_NAMES = {'<': 'comparison', '<=': 'comparison', '>': 'comparison', '>=': 'comparison', '==': 'equality',
                  '!=': 'equality', '&&': 'and/or', '||': 'and/or', '+': 'sum', '-': 'sum', '+=': 'sum', '-=': 'sum',
                  '<<': 'shift', '>>': 'shift', '|=': 'bits'}
ASSIGNMENT = re.compile(r'^[*]?[A-Za-z_][\w.\->\[\]]*\s*(=|[-+*/%&|^]=|<<=|>>=)\s.*;$')
STEP = re.compile(r'^(\+\+|--)?[A-Za-z_][\w.\->\[\]]*(\+\+|--)?;$')
CALL = re.compile(r'^[a-z_]\w*\(.*\);$')
KEYWORDS = {'return', 'if', 'else', 'for', 'while', 'do', 'switch', 'case', 'goto', 'sizeof', 'break', 'continue',
            'default'}
TYPES = {'int', 'char', 'void', 'bool', 'double', 'float', 'unsigned', 'long', 'struct', 'enum', 'const', 'static',
         'size_t'}

Site = collections.namedtuple('Site', 'path start end new operator')


# ---- where a change may go ----

def tokens_of(text):
    """(kind, start, end) of what is code; comments, directives and text are left out."""
    directives = [(m.start(), m.end()) for m in re.finditer(r'(?m)^[ \t]*#(?:[^\n\\]|\\.|\\\n)*', text)]
    starts = [start for start, _ in directives]
    found = []
    for match in TOKEN.finditer(text):
        at = bisect.bisect_right(starts, match.start()) - 1
        if at >= 0 and match.start() < directives[at][1]:
            continue
        if match.lastgroup in ('number', 'word', 'op', 'text', 'char'):
            found.append((match.lastgroup, match.start(), match.end()))
    return found


def body_ranges(text):
    """Function bodies: from a line "{" to the next line "}" (clang-format sees to that)."""
    return [(m.start(), m.end()) for m in re.finditer(r'(?ms)^\{\n.*?^\}', text)]


def is_in(ranges, starts, at):
    i = bisect.bisect_right(starts, at) - 1
    return i >= 0 and at < ranges[i][1]


def condition_sites(path, text, tokens):
    """if (…) turned round; not loops, which would hang more than they tell."""
    for i, (kind, start, end) in enumerate(tokens):
        if kind != 'word' or text[start:end] != 'if' or i + 1 >= len(tokens):
            continue
        depth, j = 0, i + 1
        while j < len(tokens):
            word = text[tokens[j][1]:tokens[j][2]]
            depth += (word == '(') - (word == ')')
            if depth == 0:
                break
            j += 1
        if j < len(tokens) and j > i + 2:
            inner = text[tokens[i + 1][2]:tokens[j][1]]
            if '\n' not in inner:
                yield Site(path, tokens[i + 1][2], tokens[j][1], '!(%s)' % inner, 'condition')


def is_binary(text, tokens, i):
    """Has the operator at i a value on its left, and not a type?"""
    if i == 0:
        return False
    kind, start, end = tokens[i - 1]
    word = text[start:end]
    if kind == 'number':
        return True
    if kind == 'word':
        return word not in TYPES and word not in KEYWORDS and not word.endswith('_t')
    return word in (')', ']')


def token_sites(path, text, tokens):
    for i, (kind, start, end) in enumerate(tokens):
        word = text[start:end]
        if kind == 'op' and word in SWAPS and (word not in '+-' or is_binary(text, tokens, i)):
            yield Site(path, start, end, SWAPS[word], OPERATOR_NAMES[word])
        elif kind == 'op' and word == '!':
            yield Site(path, start, end, '', 'not')
        elif kind == 'op' and word in ('++', '--'):
            yield Site(path, start, end, '--' if word == '++' else '++', 'step')
        elif kind == 'number' and re.fullmatch(r'\d{1,5}[uU]?[lL]*', word):
            digits, suffix = re.fullmatch(r'(\d+)(\D*)', word).groups()
            yield Site(path, start, end, str(int(digits) + 1) + suffix, 'constant')
        elif kind == 'word' and word in ('true', 'false'):
            yield Site(path, start, end, 'false' if word == 'true' else 'true', 'truth')
        elif kind == 'word' and word == 'continue':
            yield Site(path, start, end, 'break', 'loop')


def statement_sites(path, text):
    """Whole statements on a line of their own: dropped."""
    for match in re.finditer(r'(?m)^[ \t]+(\S[^\n]*;)$', text):
        line = match.group(1)
        if line.count('(') != line.count(')') or re.match(r'\w+', line) and re.match(r'\w+', line).group() in KEYWORDS:
            continue
        if ASSIGNMENT.match(line):
            yield Site(path, match.start(1), match.end(1), ';', 'assignment dropped')
        elif STEP.match(line) and ('++' in line or '--' in line):
            yield Site(path, match.start(1), match.end(1), ';', 'step dropped')
        elif CALL.match(line) and not re.match(r'\w*free\b', line):  # a leak of the heap is no oracle's business
            yield Site(path, match.start(1), match.end(1), '(void)0;', 'call dropped')


def sites_of(path, text):
    """Every place of a file that could be changed, in order."""
    tokens = tokens_of(text)
    bodies = body_ranges(text)
    starts = [start for start, _ in bodies]
    found = list(condition_sites(path, text, tokens)) + list(token_sites(path, text, tokens))
    found += list(statement_sites(path, text))
    quiet = []
    for match in re.finditer(r'(?m)^[^\n]*$', text):
        if SILENT.search(match.group()):
            quiet.append((match.start(), match.end()))
    quiet_starts = [start for start, _ in quiet]
    return sorted(site for site in found
                  if is_in(bodies, starts, site.start) and not is_in(quiet, quiet_starts, site.start))


def apply(text, site):
    return text[:site.start] + site.new + text[site.end:]


def line_of(text, at):
    return text.count('\n', 0, at) + 1


# ---- the copy of the tree and how it is built ----

class Tree:
    """A copy of what weft-sim is made of, built once."""

    def __init__(self, directory, mode, jobs, again=False):
        self.directory, self.mode = directory, mode
        self.lock = threading.Lock()
        self.compile_words, self.base_objects = {}, {}
        if not again:
            shutil.rmtree(directory, ignore_errors=True)
            os.makedirs(directory)
            for name in ('src', 'sim', 'tools', 'Makefile'):
                source = os.path.join(ROOT, name)
                copy = shutil.copytree if os.path.isdir(source) else shutil.copy
                copy(source, os.path.join(directory, name))
        self.make('-j%d' % jobs, 'build/%s/weft-sim' % mode)
        self.link_words = self.words_of('build/%s/weft-sim' % mode, 'src/base/check.c', ' -o build/%s/weft-sim ' % mode)

    def make(self, *words):
        result = subprocess.run(['make', '--no-print-directory', 'MODE=' + self.mode, *words], cwd=self.directory,
                                capture_output=True, text=True, check=False)
        if result.returncode:
            sys.exit('make %s:\n%s' % (' '.join(words), (result.stdout + result.stderr)[-4000:]))
        return result.stdout

    def words_of(self, target, changed, mark):
        """The command, as words, that make would run for `target` if `changed` were new."""
        lines = [line for line in self.make('-n', '-W', changed, target).splitlines() if mark in line + ' ']
        if not lines:
            sys.exit('make shows no command with "%s"' % mark)
        return shlex.split(lines[-1])

    def compile(self, path, text, out):
        """Compiles `text` in place of the file into `out`, without debug data; False when it is no C."""
        with self.lock:
            if path not in self.compile_words:
                target = 'build/%s/%s.o' % (self.mode, path[:-2])
                self.compile_words[path] = self.words_of(target, path, ' -c ')
        words = [word for word in self.compile_words[path] if word not in ('-MMD', '-MP')]
        words[words.index('-o') + 1] = out
        at = words.index(path)
        # Beside the original, so that its relative includes hold; #line keeps __FILE__ what it was.
        changed = os.path.join(self.directory, path[:-2] + '.mutant%05d.c' % (threading.get_native_id() % 100000))
        with open(changed, 'w', encoding='utf-8') as f:
            f.write('#line 1 "%s"\n' % path + text)
        words[at] = os.path.relpath(changed, self.directory)
        try:
            result = subprocess.run(words + ['-w', '-g0'], cwd=self.directory, capture_output=True, check=False,
                                    timeout=120)
        finally:
            os.remove(changed)
        return result.returncode == 0

    def code_of(self, obj):
        """What of an object counts when asking whether two are the same."""
        with open(obj, 'rb') as f:
            return re.sub(rb'\.mutant\d+\.c', b'.c', f.read())

    def base_code(self, path, text, scratch):
        with self.lock:
            known = self.base_objects.get(path)
        if known is None:
            if not self.compile(path, text, scratch):
                sys.exit('%s does not compile unchanged' % path)
            known = self.code_of(scratch)
            os.remove(scratch)
            with self.lock:
                self.base_objects[path] = known
        return known

    def link(self, obj, out):
        words = list(self.link_words)
        words[words.index('-o') + 1] = out
        words.insert(next(i for i, word in enumerate(words) if word.endswith('.a')), obj)
        return subprocess.run(words, cwd=self.directory, capture_output=True, check=False).returncode == 0


# ---- drawing ----

def read_sources(directory, only):
    """path -> text, of what may be changed."""
    wanted = [word for word in only.split(',') if word]
    sources = {}
    for full in sorted(glob.glob(os.path.join(directory, 'src', '*', '*.c'))):
        path = os.path.relpath(full, directory)
        chosen = any(path.startswith(word) for word in wanted) if wanted else not path.startswith(LEFT_OUT)
        if chosen and '.mutant' not in path:
            with open(full, encoding='utf-8') as f:
                sources[path] = f.read()
    if not sources:
        sys.exit('no source file matches "%s"' % only)
    return sources


def order_of_drawing(sources, seed):
    """All sites, shuffled by the seed."""
    sites = [site for path, text in sources.items() for site in sites_of(path, text)]
    random.Random(seed).shuffle(sites)
    return sites


class Change(hunting.Mutant):
    """A drawn change that compiles to something new."""

    def __init__(self, number, site, text):
        line = line_of(text, site.start)
        place = '%s:%d' % (site.path, line)
        before = text.splitlines()[line - 1].strip()
        after = apply(text, site).splitlines()[line - 1].strip()
        super().__init__('m%03d' % number, site.operator, '%s: `%s` -> `%s`' % (place, before, after), '')
        self.place, self.before, self.after = place, before, after
        self.binary = None

    def as_dict(self):
        row = super().as_dict()
        del row['link'], row['defect']
        row.update(place=self.place, before=self.before, after=self.after)
        return row


class Maker:
    """Turns sites into programs, in the order drawn, a few at a time."""

    def __init__(self, tree, sources, sites, count):
        self.tree, self.sources, self.sites, self.count = tree, sources, sites, count
        self.lock = threading.Lock()
        self.next, self.made, self.failure = 0, {}, None
        self.refused = collections.Counter()

    def work(self):
        while True:
            with self.lock:
                if self.failure or len(self.made) >= self.count or self.next >= len(self.sites):
                    return
                index = self.next
                self.next += 1
            change = None
            try:
                change = self.build(index)
            except BaseException as error:  # raised again by the main thread
                self.failure = error
            if change:
                with self.lock:
                    self.made[index] = change

    def build(self, index):
        site = self.sites[index]
        text = self.sources[site.path]
        base = os.path.join(self.tree.directory, 'm%05d' % index)
        obj = base + '.o'
        known = self.tree.base_code(site.path, text, base + '.base.o')
        if not self.tree.compile(site.path, apply(text, site), obj):
            self.refused['does not compile'] += 1
            return None
        if self.tree.code_of(obj) == known:
            self.refused['same code'] += 1
            os.remove(obj)
            return None
        change = Change(index, site, text)
        linked = self.tree.link(obj, base)
        os.remove(obj)
        if not linked:
            self.refused['does not link'] += 1  # not part of weft-sim, and what it needs is not there
            return None
        change.binary = base
        return change

    def all(self, jobs):
        threads = [threading.Thread(target=self.work) for _ in range(jobs)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self.failure:
            raise self.failure
        changes = [self.made[index] for index in sorted(self.made)]
        for extra in changes[self.count:]:
            os.remove(extra.binary)
        for number, change in enumerate(changes[:self.count], 1):
            change.name = 'm%03d' % number
        return changes[:self.count]


class Hunt(hunting.Hunt):
    """As for the written mutants, but each is a program of its own."""

    def run(self, mutant, seed):
        program = mutant.binary if mutant else self.options.base
        words = ['--seed', str(seed)] + shlex.split(self.options.sim_args)
        return hunting.run_sim(program, words, self.options.timeout, self.options.memory << 20)

    def try_one(self, mutant, seed):
        if not self.baseline.holds(seed):
            return True  # it fails anyway: says nothing
        outcome = self.run(mutant, seed)
        mutant.seconds += outcome.seconds
        mutant.seeds += 1
        if outcome.killer:
            mutant.killer, mutant.first_seed, mutant.tail = outcome.killer, seed, outcome.tail
            mutant.decided = True
        return not outcome.killer


# ---- report ----

def markdown(options, changes, refused, failing):
    killed = [c for c in changes if c.killer]
    survivors = [c for c in changes if not c.killer and c.decided]
    lines = ['# Mechanical mutants, seed %d' % options.seed, '',
             '%d changes: %d killed, %d survive %d seeds, %d undecided. Drawn and refused: %s.'
             % (len(changes), len(killed), len(survivors), options.seeds, len(changes) - len(killed) - len(survivors),
                ', '.join('%d %s' % (n, why) for why, n in sorted(refused.items())) or 'none'), '']
    if failing:
        lines += ['Seeds that fail unchanged, and so do not count: %s.' % ', '.join(map(str, failing)), '']
    for title, key in (('directory', lambda c: os.path.dirname(c.place)), ('change', lambda c: c.area),
                       ('killer', lambda c: c.killer or '(survives)')):
        groups = collections.defaultdict(list)
        for change in changes:
            groups[key(change)].append(change)
        lines += ['| %s | mutants | killed |' % title, '| --- | ---: | ---: |']
        lines += ['| %s | %d | %d |' % (name, len(group), sum(1 for c in group if c.killer))
                  for name, group in sorted(groups.items())]
        lines.append('')
    lines += ['## Survivors', '']
    for c in survivors:
        lines += ['- %s, %s' % (c.place, c.area), '  `%s`' % c.before, '  `%s`' % c.after]
    return '\n'.join(lines)


def write_json(options, changes, refused, failing):
    report = {'revision': hunting.revision(), 'seed': options.seed, 'seeds': options.seeds, 'refused': dict(refused),
              'killed': sum(1 for c in changes if c.killer), 'mutants': [c.as_dict() for c in changes],
              'survivors': [c.place for c in changes if not c.killer and c.decided],
              'seeds_failing_unchanged': failing}
    with open(options.json, 'w', encoding='utf-8') as f:
        json.dump(report, f, indent=1)
        f.write('\n')


# ---- the program ----

def parse(words):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--seed', type=int, required=True, help='of the drawing')
    parser.add_argument('--count', type=int, default=300)
    parser.add_argument('--seeds', type=int, default=5, help='of the simulator, for each mutant')
    parser.add_argument('--first', type=int, default=1, help='first of them')
    parser.add_argument('--minutes', type=float, default=0, help='start no run after this time (0: no limit)')
    parser.add_argument('--jobs', type=int, default=2)
    parser.add_argument('--timeout', type=float, default=60, help='seconds of one run')
    parser.add_argument('--memory', type=int, default=3072, help='MiB of one run')
    parser.add_argument('--only', default='', help='prefixes of paths, separated by commas')
    parser.add_argument('--mode', default='sim', help='mode of the Makefile')
    parser.add_argument('--sim-args', default='', help='more words for every run')
    parser.add_argument('--dir', default=os.path.join(ROOT, 'build', 'mechanical'))
    parser.add_argument('--json', default=os.path.join(ROOT, 'build', 'mechanical.json'))
    parser.add_argument('--again', action='store_true', help='use the copy of the tree that is there')
    parser.add_argument('--show', action='store_true', help='draw and compile, run nothing')
    return parser.parse_args(words)


def main(words):
    options = parse(words)
    hunting.note('copying and building the tree')
    tree = Tree(os.path.abspath(options.dir), options.mode, options.jobs, options.again)
    sources = read_sources(tree.directory, options.only)
    sites = order_of_drawing(sources, options.seed)
    hunting.note('%d files, %d places; making %d mutants' % (len(sources), len(sites), options.count))
    start = time.monotonic()
    maker = Maker(tree, sources, sites, options.count)
    changes = maker.all(options.jobs)
    hunting.note('%d made in %.0f s' % (len(changes), time.monotonic() - start))
    if options.show:
        for change in changes:
            print('%s %-18s %s' % (change.name, change.area, change.defect))
        return 0
    options.base = os.path.join(tree.directory, 'build', options.mode, 'weft-sim')
    hunt = Hunt(options, changes, [])
    for seed in range(options.first, options.first + options.seeds):
        hunt.baseline.holds(seed)
    if len(hunt.baseline.failing()) == options.seeds:
        sys.exit('every seed fails unchanged: %s' % hunt.baseline.outcomes[options.first].tail)
    hunt.all()
    print(markdown(options, changes, maker.refused, hunt.baseline.failing()))
    write_json(options, changes, maker.refused, hunt.baseline.failing())
    for change in changes:
        os.remove(change.binary)
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
