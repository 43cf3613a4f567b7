#!/usr/bin/python3
"""Tests of tools/mutants.py and tools/mutate.py with stand-ins for the simulator, and of the list of mutants itself.

    test/counted.py test/mutants_test.py
"""
import contextlib
import glob
import io
import json
import os
import re
import shutil
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, 'tools'))
import mutants  # noqa: E402
import mutate  # noqa: E402

# Behaves by the mutant's name: what it does, then from which seed on ("oracle_wire_3"). Logs its words.
STAND_IN = r'''#!/usr/bin/python3
import os, re, signal, sys, time
words = sys.argv[1:]
with open(%(log)r, 'a') as log:
    log.write(' '.join(words) + '\n')
value = lambda name: words[words.index(name) + 1] if name in words else None
off = [words[i + 1] for i, word in enumerate(words) if word in ('--no-oracle', '--no-faults')]
mutant, seed = value('--mutant'), int(value('--seed'))
if seed in %(bad_seeds)r:
    print('oracle: model')
    sys.exit(1)
if mutant:
    what, kind, least = re.fullmatch(r'([a-z]+)_([a-z]*)_?(\d+)', mutant).groups()
    if seed >= int(least):
        if what == 'oracle' and kind not in off:
            print('some text\noracle: %%s\nreplay: weft-sim --seed %%d' %% (kind, seed))
            sys.exit(1)
        if what == 'themed' and value('--theme') == kind and 'wire' not in off:
            print('oracle: wire')
            sys.exit(1)
        if what == 'twice' and not {'model', 'wire'} <= set(off):
            print('oracle: %%s' %% ('wire' if 'model' in off else 'model'))
            sys.exit(1)
        if what == 'faulty' and kind not in off:
            print('oracle: model')
            sys.exit(1)
        if what == 'check':
            sys.stderr.write('weft: check failed: a == b at src/x.c:1\n')
            os.kill(os.getpid(), signal.SIGABRT)
        if what == 'crash':
            os.kill(os.getpid(), signal.SIGSEGV)
        if what == 'hang':
            time.sleep(60)
        if what == 'memory':
            hog = bytearray(200 << 20)
            time.sleep(60)
        if what == 'status':
            sys.exit(int(kind == '') * 1)
print('ok')
'''


class StandIn(unittest.TestCase):
    """A directory with a stand-in simulator and a list of mutants for it."""

    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix='weft-mutants-test-')
        self.addCleanup(shutil.rmtree, self.directory)
        self.log = os.path.join(self.directory, 'log')
        self.bad_seeds = []

    def path(self, name):
        return os.path.join(self.directory, name)

    def hunt(self, names, *words):
        """Runs the tool over mutants of these names; returns (status, report of the JSON, text, log lines)."""
        with open(self.path('sim'), 'w', encoding='utf-8') as f:
            f.write(STAND_IN % {'log': self.log, 'bad_seeds': self.bad_seeds})
        os.chmod(self.path('sim'), 0o755)
        with open(self.path('list.def'), 'w', encoding='utf-8') as f:
            f.write('/* M(not_this, "one") */\n')
            for i, name in enumerate(names):
                link = 'https://example.org/%d' % i if i % 2 else ''
                f.write('M(%s, "area%d", "does | what its name "\n  "says", "%s")\n' % (name, i % 2, link))
        with open(self.log, 'w', encoding='utf-8'):
            pass
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = mutants.main(['--sim', self.path('sim'), '--mutants', self.path('list.def'),
                                   '--json', self.path('out/report.json'), *words])
        with open(self.path('out/report.json'), encoding='utf-8') as f:
            report = json.load(f)
        with open(self.log, encoding='utf-8') as f:
            log = f.read().splitlines()
        return status, report, out.getvalue(), log


class HuntTest(StandIn):
    def test_killer_and_seeds(self):
        names = ['oracle_wire_1', 'oracle_ttl_3', 'check__2', 'crash__1', 'oracle_model_99', 'status__1']
        status, report, text, log = self.hunt(names, '--seeds', '4')
        rows = {row['name']: row for row in report['mutants']}
        self.assertEqual(status, 0)
        self.assertEqual([rows[name]['killer'] for name in names], ['wire', 'ttl', 'check', 'crash', None, 'oracle'])
        self.assertEqual([rows[name]['seeds_to_kill'] for name in names], [1, 3, 2, 1, None, 1])
        self.assertEqual([rows[name]['first_failing_seed'] for name in names], [1, 3, 2, 1, None, 1])
        self.assertEqual(rows['oracle_model_99']['seeds_tried'], 4)
        self.assertEqual((report['killed'], report['survivors'], report['undecided']), (5, ['oracle_model_99'], []))
        self.assertIn('replay: weft-sim --seed 3', rows['oracle_ttl_3']['tail'])
        self.assertIn('| oracle_ttl_3 | area1 | does \\| what its name says ([published](https://example.org/1)) | ttl '
                      '| 3 | 3 |', text)
        self.assertIn('Survivors: oracle_model_99.', text)
        self.assertIn('6 mutants: 5 killed, 1 survive. 3 re-create published bugs, of which 3 are killed.', text)
        self.assertEqual(sum('--mutant oracle_model_99 ' in line for line in log), 4)
        self.assertEqual(sum('--mutant oracle_wire_1 ' in line for line in log), 1)

    def test_hang_and_memory(self):
        _, report, _, _ = self.hunt(['hang__1', 'memory__1'], '--seeds', '2', '--timeout', '1.5', '--memory', '120')
        self.assertEqual([row['killer'] for row in report['mutants']], ['hang', 'memory'])

    def test_seed_that_fails_anyway_does_not_count(self):
        self.bad_seeds = [1, 3]
        _, report, text, log = self.hunt(['oracle_wire_1', 'oracle_wire_4', 'oracle_wire_9'], '--seeds', '5')
        rows = report['mutants']
        self.assertEqual([(row['first_failing_seed'], row['seeds_to_kill']) for row in rows],
                         [(2, 1), (4, 2), (None, None)])
        self.assertEqual(rows[2]['seeds_tried'], 3)
        self.assertEqual(report['seeds_failing_without_mutant'], [1, 3])
        self.assertIn('Seeds that fail without a mutant, and so do not count: 1, 3.', text)
        for seed in range(1, 6):
            self.assertEqual(log.count('--seed %d' % seed), 1, 'each seed once without a mutant')

    def test_only_first_and_switches(self):
        names = ['oracle_wire_1', 'oracle_ttl_1', 'faulty_network_1']
        _, report, _, log = self.hunt(names, '--seeds', '2', '--first', '7', '--only', 'area0', '--without-oracle',
                                      'wire', '--without-faults', 'network', '--sim-args', '--minutes 3')
        self.assertEqual([row['name'] for row in report['mutants']], ['oracle_wire_1', 'faulty_network_1'])
        self.assertEqual(report['survivors'], ['oracle_wire_1', 'faulty_network_1'])
        self.assertIn('--mutant oracle_wire_1 --seed 8 --no-oracle wire --no-faults network --minutes 3', log)
        self.assertFalse(any('--seed 6' in line or '--seed 9' in line for line in log))

    def test_unknown_name_is_refused(self):
        with self.assertRaises(SystemExit):
            self.hunt(['oracle_wire_1'], '--only', 'nobody')

    def test_out_of_time_is_undecided(self):
        _, report, text, _ = self.hunt(['oracle_wire_1', 'hang__1'], '--minutes', '0.0001', '--timeout', '1')
        self.assertEqual(report['survivors'], [])
        self.assertTrue(report['undecided'])
        self.assertIn('undecided', text)

    def test_other_ways_for_those_that_live(self):
        with open(self.path('kept'), 'w', encoding='utf-8') as f:
            f.write('# seeds\n--seed 5    # of no theme\n--theme memory --seed 42 # found once\n')
        names = ['oracle_ttl_1', 'themed_crowd_2', 'themed_memory_30', 'oracle_ttl_5', 'themed_none_1']
        _, report, text, log = self.hunt(names, '--seeds', '2', '--then', '--theme crowd', '--then', '--theme memory',
                                         '--then-seeds', '3', '--kept', self.path('kept'), '--ablate')
        rows = {row['name']: row for row in report['mutants']}
        told = [tuple(rows[name][field] for field in ('killer', 'first_failing_seed', 'words')) for name in names]
        self.assertEqual(told,
                         [('ttl', 1, ''), ('wire', 2, '--theme crowd'), ('wire', 42, '--theme memory'), ('ttl', 5, ''),
                          (None, None, '')])
        self.assertEqual(report['survivors'], ['themed_none_1'])
        self.assertIn('| wire | 10 | 42 --theme memory |', text)
        self.assertFalse(any('--mutant oracle_ttl_1 ' in line and '--theme' in line for line in log))
        survive = {row['without']: row['survive'] for row in report['ablation']}
        self.assertEqual(survive, {'ttl': ['oracle_ttl_1', 'oracle_ttl_5'],
                                   'wire': ['themed_crowd_2', 'themed_memory_30']})
        self.assertIn('--mutant themed_memory_30 --seed 42 --no-oracle wire --theme memory', log)

    def test_minimum(self):
        names = ['oracle_wire_1', 'oracle_ttl_1', 'oracle_model_1', 'oracle_model_99']
        self.assertEqual(self.hunt(names, '--seeds', '2', '--min-killed', '75')[0], 0)
        self.assertEqual(self.hunt(names, '--seeds', '2', '--min-killed', '76')[0], 1)

    def test_ablation(self):
        names = ['oracle_ttl_1', 'twice_x_1', 'faulty_network_2', 'check__1']
        _, report, text, log = self.hunt(names, '--seeds', '2', '--ablate', '--fault-groups', 'network,clock')
        rows = {(row['kind'], row['without']): row for row in report['ablation']}
        self.assertEqual(set(rows), {('oracle', 'model'), ('oracle', 'ttl'), ('faults', 'network'),
                                     ('faults', 'clock')})
        self.assertEqual(rows['oracle', 'ttl']['survive'], ['oracle_ttl_1'])
        self.assertEqual(rows['oracle', 'model']['survive'], [])  # another kills twice_x_1, the stand-in faulty_…
        self.assertEqual(rows['faults', 'network']['survive'], ['faulty_network_2'])
        self.assertEqual(rows['faults', 'clock']['survive'], [])
        self.assertIn('| oracle model | 2 | **nothing: redundant for these mutants** |', text)
        self.assertFalse(any('--mutant check__1' in line and '--no-oracle' in line for line in log))


class ListTest(unittest.TestCase):
    """The list against the code."""

    def test_every_mutant_is_used_and_every_use_is_listed(self):
        listed = [m.name for m in mutants.read_mutants()]
        self.assertEqual(len(listed), len(set(listed)))
        self.assertGreaterEqual(len(listed), 45)
        used = []
        for path in glob.glob(os.path.join(ROOT, 'src', '*', '*.[ch]')):
            if os.path.basename(path) not in ('mutant.h', 'mutant.c'):
                with open(path, encoding='utf-8') as f:
                    used += re.findall(r'\bMUTANT\((\w+)\)', f.read())
        self.assertEqual(sorted(set(listed) - set(used)), [], 'listed and nowhere in src/')
        self.assertEqual(sorted(set(used) - set(listed)), [], 'in src/ and not listed')

    def test_links_and_words(self):
        rows = mutants.read_mutants()
        links = [m.link for m in rows if m.link]
        self.assertGreaterEqual(len(links), 15)
        for link in links:
            self.assertRegex(link, r'^https://github\.com/(redis/redis|valkey-io/valkey|Snapchat/KeyDB'
                                   r'|dragonflydb/dragonfly)/(issues|pull)/\d+$')
        for m in rows:
            self.assertTrue(m.area and len(m.defect) > 10, m.name)
        self.assertEqual({len(m.__dict__) for m in rows}, {len(rows[0].__dict__)})

    def test_marks_have_names_of_their_own(self):
        names = []
        for path in glob.glob(os.path.join(ROOT, 'src', '*', '*.[ch]')):
            if os.path.basename(path) != 'mark.h':
                with open(path, encoding='utf-8') as f:
                    names += re.findall(r'\bMARK\("([^"]*)"\)', f.read())
        self.assertEqual(len(names), len(set(names)))
        self.assertGreaterEqual(len(names), 30)
        for name in names:
            self.assertRegex(name, r'^[a-z_]+\.[a-z_]+$')


SAMPLE = r'''/* a < b && c: not code */
#define LIMIT(x) ((x) < 3)
static const int rows[] = {1, 2};

struct thing {
    int a[4];
};

static int sample(struct thing *t, const char *p, unsigned n)
{
    CHECK(n < 5);
    const char *text = "a < b && 7";
    /* n > 3 */
    if (n > 2 && t->a[1] != 0) return -1;
    t->a[0] += (int)n;
    helper(t, *p);
    while (n-- > 0) t->a[1]++;
    MARK("x.y < 1");
    return text[0] == 'x' ? 8 : 0;
}
'''


class SiteTest(unittest.TestCase):
    def setUp(self):
        self.sites = mutate.sites_of('src/x/sample.c', SAMPLE)

    def changed_lines(self, site):
        after = mutate.apply(SAMPLE, site).splitlines()
        before = SAMPLE.splitlines()
        self.assertEqual(len(before), len(after))
        return [i + 1 for i, (a, b) in enumerate(zip(before, after)) if a != b]

    def test_one_line_of_a_body_each(self):
        body = range(SAMPLE.splitlines().index('{') + 2, len(SAMPLE.splitlines()))
        self.assertGreater(len(self.sites), 15)
        for site in self.sites:
            lines = self.changed_lines(site)
            self.assertEqual(len(lines), 1, site)
            self.assertIn(lines[0], body)
            line = SAMPLE.splitlines()[lines[0] - 1]
            self.assertNotIn('CHECK', line)
            self.assertNotIn('MARK', line)
            self.assertNotIn('/* n', line)

    def test_kinds(self):
        after = {mutate.apply(SAMPLE, site).splitlines()[mutate.line_of(SAMPLE, site.start) - 1].strip(): site.operator
                 for site in self.sites}
        for line, operator in {
                'if (!(n > 2 && t->a[1] != 0)) return -1;': 'condition',
                'if (n >= 2 && t->a[1] != 0) return -1;': 'comparison',
                'if (n > 2 || t->a[1] != 0) return -1;': 'and/or',
                'if (n > 2 && t->a[1] == 0) return -1;': 'equality',
                'if (n > 3 && t->a[1] != 0) return -1;': 'constant',
                't->a[0] -= (int)n;': 'sum',
                ';': 'assignment dropped',
                '(void)0;': 'call dropped',
                'while (n-- > 0) t->a[1]--;': 'step',
                "return text[0] == 'x' ? 9 : 0;": 'constant'}.items():
            self.assertEqual(after.get(line), operator, line)
        self.assertFalse(any('-t' in line or '8 < b' in line or '"a <=' in line for line in after))
        self.assertFalse(any('return +1' in line for line in after), 'a sign is no difference')

    def test_same_seed_same_order(self):
        sources = {'src/x/sample.c': SAMPLE, 'src/x/other.c': SAMPLE.replace('sample', 'other')}
        self.assertEqual(mutate.order_of_drawing(sources, 5), mutate.order_of_drawing(sources, 5))
        self.assertNotEqual(mutate.order_of_drawing(sources, 5), mutate.order_of_drawing(sources, 6))


MAKEFILE = '''OUT := build/$(MODE)
OBJ := $(patsubst %.c,$(OUT)/%.o,$(wildcard src/*/*.c))
$(OUT)/weft-sim: $(OUT)/sim/main.o $(OUT)/libweft.a
\t$(CC) -o $@ $^
$(OUT)/libweft.a: $(OBJ)
\trm -f $@ && ar rcs $@ $^
$(OUT)/%.o: %.c
\t@mkdir -p $(@D)
\t$(CC) -O1 -g -Isrc -MMD -MP -c -o $@ $<
'''
LIBRARY = r'''#include "base/sum.h"

int sum_below(int n)
{
    int sum = 0;
    for (int i = 0; i < n; i++) sum += i;
    return sum;
}

int unseen(int n)
{
    int twice = n * 2;
    if (twice > 6 && n < 100) twice = 6;
    return twice + 1;
}
'''
PROGRAM = r'''#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/sum.h"

int main(int argc, char **argv)
{
    int seed = argc > 2 && strcmp(argv[1], "--seed") == 0 ? atoi(argv[2]) : 0;
    if (seed == 2 || sum_below(seed + 3) == (seed + 3) * (seed + 2) / 2) return seed == 2;
    puts("oracle: arithmetic");
    return 1;
}
'''


class MechanicalTest(unittest.TestCase):
    """From drawing to the report over a small program of the same shape; its seed 2 fails whatever happens."""

    def setUp(self):
        self.root = tempfile.mkdtemp(prefix='weft-mutate-test-')
        self.addCleanup(shutil.rmtree, self.root)
        for name, text in {'Makefile': MAKEFILE, 'src/base/sum.c': LIBRARY, 'sim/main.c': PROGRAM, 'tools/none': '',
                           'src/base/sum.h': 'int sum_below(int n);\nint unseen(int n);\n',
                           'src/base/check.c': 'int unused;\n'}.items():
            path = os.path.join(self.root, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, 'w', encoding='utf-8') as f:
                f.write(text)
        known = mutate.ROOT
        self.addCleanup(lambda: setattr(mutate, 'ROOT', known))
        mutate.ROOT = self.root

    def run_tool(self, *words):
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = mutate.main(['--dir', os.path.join(self.root, 'build', 'm'), '--json',
                                  os.path.join(self.root, 'report.json'), '--timeout', '1', *words])
        self.assertEqual(status, 0)
        return out.getvalue()

    def test_seen_code_is_killed_and_unseen_survives(self):
        text = self.run_tool('--seed', '3', '--count', '1000', '--seeds', '3')
        with open(os.path.join(self.root, 'report.json'), encoding='utf-8') as f:
            report = json.load(f)
        rows = report['mutants']
        seen = [row for row in rows if int(row['place'].split(':')[1]) < 9]
        unseen = [row for row in rows if int(row['place'].split(':')[1]) > 9]
        self.assertGreaterEqual(len(seen), 4)
        self.assertGreaterEqual(len(unseen), 6)
        self.assertEqual([row['place'] for row in unseen if row['killer']], [])
        self.assertEqual({row['killer'] for row in unseen}, {None})
        self.assertIn('arithmetic', {row['killer'] for row in seen})
        lives = [(row['before'], row['after']) for row in seen if not row['killer']]
        self.assertEqual([after for _, after in lives if 'i <= n' in after or 'i >' in after], [])
        self.assertEqual(report['seeds_failing_unchanged'], [2])
        self.assertEqual(len(report['survivors']), len(unseen) + len(lives))
        self.assertEqual(len({(row['place'], row['after']) for row in rows}), len(rows))
        self.assertTrue(all(row['before'] != row['after'] for row in rows))
        self.assertIn('- src/base/sum.c:13, ', text)
        self.assertFalse(glob.glob(os.path.join(self.root, 'build', 'm', 'm0*')), 'its programs are gone')

    def test_count_and_repetition(self):
        first = self.run_tool('--seed', '4', '--count', '5', '--show')
        self.assertEqual(len(first.splitlines()), 5)
        self.assertEqual(self.run_tool('--seed', '4', '--count', '5', '--show'), first)

    def test_same_code_is_refused(self):
        tree = mutate.Tree(os.path.join(self.root, 'build', 'm'), 'sim', 1)
        sources = mutate.read_sources(tree.directory, '')
        self.assertEqual(list(sources), ['src/base/sum.c'])
        text = sources['src/base/sum.c']
        at = text.index('n * 2')
        maker = mutate.Maker(tree, sources, [mutate.Site('src/base/sum.c', at, at + 5, '2 * n', 'same'),
                                             mutate.Site('src/base/sum.c', at, at + 5, 'n * ', 'broken'),
                                             mutate.Site('src/base/sum.c', at, at + 5, 'n * 3', 'good')], 3)
        changes = maker.all(2)
        self.assertEqual([change.area for change in changes], ['good'])
        self.assertEqual(dict(maker.refused), {'same code': 1, 'does not compile': 1})


if __name__ == '__main__':
    unittest.main()
