#!/usr/bin/python3
"""The command table and COMMAND against a real server.

TableFacts compares every row of src/command/table/ and what tools/gen_commands.py derives from it (flags, ACL
categories, first and last key, movablekeys) with COMMAND INFO and COMMAND DOCS of Redis 8.0: no command
missing, none too many, nothing different but the sentences. It needs no weft.

Introspection runs COMMAND and its subcommands on weft and on Redis 8.0, in RESP2 and RESP3, and compares the
replies with their types on the wire, for everything that weft supports: only the sentences and the order of
commands may differ. GETKEYS and GETKEYSANDFLAGS are compared over random command lines; the seed is printed.

    python3 test/blackbox/command_table_test.py [-v]     environment: WEFT_SERVER, WEFT_REFERENCE, WEFT_SEED

Another reference than Redis 8 knows other facts: then all is skipped, and says so.
"""
import os
import random
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import server as servers  # noqa: E402

sys.path.insert(0, os.path.join(servers.ROOT, 'tools'))
import gen_commands  # noqa: E402

SENTENCES = {b'summary', b'complexity', b'replaced_by', b'notes'}
RANDOM_LINES = 10000

reference = None


def setUpModule():
    global reference
    binary = servers.find_reference()
    if binary is None:
        raise unittest.SkipTest('no reference server')
    reference = servers.Server(binary)
    version = reference.info('server').get('redis_version', '?')
    if not version.startswith('8.0'):
        reference.stop()
        reference = None
        raise unittest.SkipTest('the reference is not Redis 8.0 but ' + version)


def tearDownModule():
    if reference is not None:
        reference.stop()


# ---------------------------------------------------------------- replies without what may differ

def pairs(node):
    """The key-value pairs of a map, which RESP2 sends as a flat array."""
    kind, flat = node
    return kind, [(flat[i][1], flat[i + 1]) for i in range(0, len(flat), 2)]


def neutral_map(node, inner):
    """A map whose sentences are blank; inner maps a key to a function for its value. Keeps the order."""
    kind, items = pairs(node)
    out = []
    for key, value in items:
        if key == b'complexity':     # weft has one for all commands, Redis does not
            continue
        out.append((key, '...' if key in SENTENCES else inner.get(key, lambda v: v)(value)))
    return kind, tuple(out)


def neutral_history(node):
    kind, entries = node
    return kind, tuple((entry[0], entry[1][0]) for entry in entries)


def neutral_args(node):
    kind, args = node
    return kind, tuple(neutral_map(arg, {b'arguments': neutral_args}) for arg in args)


def neutral_docs(node, supported):
    def subcommands(sub):
        kind, items = pairs(sub)
        return kind, {name: neutral_docs(doc, supported) for name, doc in items if name in supported}
    return neutral_map(node, {b'history': neutral_history, b'arguments': neutral_args,
                              b'subcommands': subcommands})


def neutral_info(node, supported):
    if node[1] is None:
        return node
    fields = list(node[1])
    fields[8] = (fields[8][0], tuple(neutral_map(spec, {}) for spec in fields[8][1]))
    subs = {sub[1][0]: neutral_info(sub, supported) for sub in fields[9][1] if sub[1][0][1] in supported}
    fields[9] = (fields[9][0], tuple(sorted(subs.items())))
    return node[0], tuple(fields)


def rows_of(groups):
    for _, rows in groups:
        for top in rows:
            yield top
            yield from top.subs


def is_module_command(doc):
    return doc[b'group'] == b'module' and b'module' in doc


class TableFacts(unittest.TestCase):
    """The data files against the real server's COMMAND."""
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.rows = {row.full_name: row for row in rows_of(gen_commands.read_table())}
        cls.infos, cls.docs = {}, {}
        with reference.conn() as conn:
            conn('HELLO', 3)
            docs = conn('COMMAND', 'DOCS')
            for info in conn('COMMAND'):
                doc = docs[info[0]]
                if not is_module_command(doc):
                    cls.add(info, doc)

    @classmethod
    def add(cls, info, doc):
        name = info[0].decode()
        cls.infos[name], cls.docs[name] = info, doc
        for sub in info[9]:
            cls.add(sub, doc[b'subcommands'][sub[0]])

    def test_same_commands(self):
        self.assertGreater(len(self.rows), 350)
        self.assertEqual(sorted(self.rows), sorted(self.infos))

    def test_info(self):
        def names(bits, order):
            return [name.encode() for bit, name in enumerate(order) if bits >> bit & 1]

        def spec(data):
            def part(value, kinds):
                if value == 'unknown':
                    return {b'type': b'unknown', b'spec': {}}
                (kind, numbers), = value.items()
                numbers = numbers if isinstance(numbers, list) else [numbers]
                numbers = [n.encode() if isinstance(n, str) else n for n in numbers]
                return {b'type': kind.encode(), b'spec': dict(zip(kinds[kind], numbers))}
            return (data['flags'],
                    part(data['begin'], {'index': [b'index'], 'keyword': [b'keyword', b'startfrom']}),
                    part(data['find'], {'range': [b'lastkey', b'keystep', b'limit'],
                                        'keynum': [b'keynumidx', b'firstkey', b'keystep']}), 'notes' in data)

        for name, row in self.rows.items():
            with self.subTest(command=name):
                info = self.infos[name]
                hidden = gen_commands.FLAGS[gen_commands.FLAGS.index('may_replicate'):]
                flags = [flag for flag in names(row.flags, gen_commands.FLAGS) if flag.decode() not in hidden]
                categories = [b'@' + category for category in names(row.categories, gen_commands.CATEGORIES)]
                tips = [tip.encode() for tip in row.data.get('tips', [])]
                self.assertEqual([row.data['arity'], flags, row.key_first, row.key_last, row.key_step, categories,
                                  tips], info[1:8])
                self.assertEqual([spec(data) for data in row.specs],
                                 [([flag.decode() for flag in key[b'flags']], key[b'begin_search'],
                                   key[b'find_keys'], b'notes' in key) for key in info[8]])

    def test_docs(self):
        def arg(data):
            out = {b'name': data['name'], b'type': data['type']}
            if 'args' in data:
                out[b'arguments'] = [arg(inner) for inner in data['args']]
            else:
                out[b'display_text'] = data.get('display', data['name'])
            for key in ('token', 'since', 'deprecated_since'):
                if key in data:
                    out[key.encode()] = data[key]
            if 'spec' in data:
                out[b'key_spec_index'] = data['spec']
            flags = [flag.encode() for flag in gen_commands.ARG_FLAGS if data.get(flag)]
            if flags:
                out[b'flags'] = flags
            return {key: value.encode() if isinstance(value, str) else value for key, value in out.items()}

        for name, row in self.rows.items():
            with self.subTest(command=name):
                doc, data = self.docs[name], row.data
                flags = ['deprecated'] * ('deprecated_since' in data) + ['syscmd'] * data.get('syscmd', False)
                self.assertEqual([data['since'], row.group, flags, data.get('deprecated_since'),
                                  [version for version, _ in data.get('history', [])]],
                                 [doc[b'since'].decode(), doc[b'group'].decode(),
                                  [flag.decode() for flag in doc.get(b'doc_flags', [])],
                                  doc[b'deprecated_since'].decode() if b'deprecated_since' in doc else None,
                                  [version.decode() for version, _ in doc.get(b'history', [])]])
                self.assertEqual('replaced_by' in data, b'replaced_by' in doc)
                self.assertEqual([arg(inner) for inner in row.args], doc.get(b'arguments', []))

    def test_sentences_are_our_own(self):
        for name, row in self.rows.items():
            theirs = self.docs[name][b'summary'].decode()
            self.assertNotEqual(row.data['summary'].rstrip('.'), theirs.rstrip('.'), name)


class Introspection:
    """COMMAND on weft against COMMAND on the real server; the protocol version comes from the subclasses."""
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.server = servers.Server(os.environ.get('WEFT_SERVER', servers.WEFT))
        cls.weft, cls.real = cls.server.conn(), reference.conn()
        for conn in (cls.weft, cls.real):
            conn('HELLO', cls.protocol)
        cls.supported = set(cls.weft('COMMAND', 'LIST'))

    @classmethod
    def tearDownClass(cls):
        cls.weft.close()
        cls.real.close()
        cls.server.stop()

    def same(self, *args):
        self.assertEqual(self.weft.call(*args), self.real.call(*args), args)

    def test_something_is_supported(self):
        self.assertIn(b'get', self.supported)
        self.assertIn(b'command|info', self.supported)

    def test_all_and_count(self):
        kind, infos = self.weft.call('COMMAND')
        self.assertEqual(kind, '*')
        names = {info[1][0][1] for info in infos}
        self.assertEqual(names, {name for name in self.supported if b'|' not in name})
        self.assertEqual(self.weft('COMMAND', 'COUNT'), len(names))
        self.assertEqual(self.weft.call('COMMAND', 'INFO'), (kind, infos))
        kind, docs = self.weft.call('COMMAND', 'DOCS')
        self.assertEqual({name for _, name in docs[::2]}, names)
        self.assertEqual(kind, '*' if self.protocol == 2 else '%')

    def test_info(self):
        names = sorted(self.supported) + [b'nosuch', b'get|nosuch', b'config|nosuch', b'', b'|']
        mine, theirs = (conn.call('COMMAND', 'INFO', *names) for conn in (self.weft, self.real))
        self.assertEqual(mine[0], theirs[0])
        for name, ours, real in zip(names, mine[1], theirs[1]):
            with self.subTest(command=name):
                self.assertEqual(neutral_info(ours, self.supported), neutral_info(real, self.supported))

    def test_docs(self):
        names = sorted(self.supported)
        docs = ['COMMAND', 'DOCS', 'nosuch', *names]
        mine, theirs = (pairs(conn.call(*docs)) for conn in (self.weft, self.real))
        self.assertEqual(mine[0], theirs[0])
        self.assertEqual([name for name, _ in mine[1]], [name for name, _ in theirs[1]])
        for (name, ours), (_, real) in zip(mine[1], theirs[1]):
            with self.subTest(command=name):
                self.assertEqual(neutral_docs(ours, self.supported), neutral_docs(real, self.supported))

    def test_list_filters(self):
        for filter_by in ('ACLCAT string', 'aclcat DANGEROUS', 'ACLCAT nosuch', 'ACLCAT @string', 'PATTERN Z*',
                          'pattern c*|*', 'PATTERN get', 'PATTERN ', 'MODULE nosuch', 'MODULE '):
            words = ['COMMAND', 'LIST', 'FilterBy', *filter_by.split(' ')]
            mine, theirs = (conn.call(*words) for conn in (self.weft, self.real))
            self.assertEqual(mine[0], theirs[0])
            self.assertEqual(sorted(mine[1]), sorted(item for item in theirs[1] if item[1] in self.supported))

    def test_errors(self):
        for line in ('COMMAND LIST FILTERBY', 'COMMAND LIST FILTERBY ACLCAT', 'COMMAND LIST FILTERBY nosuch x',
                     'COMMAND LIST FILTERBY ACLCAT a b', 'COMMAND LIST x', 'COMMAND COUNT x', 'COMMAND nosuch',
                     'COMMAND GETKEYS', 'COMMAND GETKEYSANDFLAGS', 'COMMAND GETKEYS nosuch', 'COMMAND GETKEYS ping',
                     'COMMAND GETKEYS get', 'COMMAND GETKEYS get a b', 'COMMAND GETKEYS config nosuch x',
                     'COMMAND GETKEYS config get x', 'COMMAND GETKEYS config', 'COMMAND GETKEYS zunion 0 a',
                     'COMMAND GETKEYS zunion a b', 'COMMAND GETKEYSANDFLAGS zunion 3 b'):
            self.same(*line.split())

    def test_keys_of_random_lines(self):
        seed = int(os.environ.get('WEFT_SEED', random.randrange(1 << 32)))
        print('WEFT_SEED=%d' % seed)
        rng = random.Random(seed)
        rows = [row for row in rows_of(gen_commands.read_table()) if row.full_name.encode() in self.supported
                and row.specs]
        tricky = [row for row in rows if row.full_name in gen_commands.SPECIAL_KEYS or
                  any('index' not in spec['begin'] or 'keynum' in spec['find'] for spec in row.specs)]
        options = ['STORE', 'store', 'StoreDist', 'GET', 'BY', 'LIMIT', 'KEYS', 'STREAMS', 'AUTH', 'AUTH2', 'COPY',
                   'OVERFLOW', 'INCRBY', 'SET', 'NX', '', '0', '1', '2', '3', '-1', '12', 'a', 'b', 'c*', '#']
        lines = []
        for _ in range(RANDOM_LINES):
            row = rng.choice(tricky if tricky and rng.random() < 0.7 else rows)
            arity = row.data['arity']
            name = row.full_name.split('|')
            wanted = abs(arity) + (0 if arity > 0 and rng.random() < 0.9 else rng.randrange(8)) - len(name)
            line = name + [rng.choice(options) for _ in range(wanted)]
            # An option's name where none may stand (STORE for a unit): both find keys, but different ones.
            for place, word in {'georadius': {5: 'km'}, 'migrate': {3: rng.choice(['', 'a']), 5: '1'},
                                'xreadgroup': {1: 'GROUP'}}.get(line[0], {}).items():
                line[place] = word
            lines.append(line)
        answered = 0
        for sub in ('GETKEYS', 'GETKEYSANDFLAGS'):
            for start in range(0, len(lines), 500):
                batch = [['COMMAND', sub] + line for line in lines[start:start + 500]]
                for line, mine, theirs in zip(batch, self.weft.pipeline(batch), self.real.pipeline(batch)):
                    self.assertEqual(mine, theirs, line)
                    answered += mine[0] == '*'
        self.assertGreater(answered, RANDOM_LINES // 2)

    def test_help(self):
        names = sorted(name for name in self.supported if name.endswith(b'|help'))
        self.assertIn(b'command|help', names)
        for name in names:
            container = name.split(b'|')[0]
            (kind, lines), real = self.weft.call(container, 'HELP'), self.real.call(container, 'HELP')
            if real[0] == '-':       # CLUSTER outside a cluster
                self.assertEqual((kind, lines), real)
                continue
            self.assertEqual((kind, {line[0] for line in lines}), ('*', {'+'}))
            self.assertEqual(lines[0], real[1][0])
            shown = {line.split(b' ')[0].lower() for _, line in lines[1:] if not line.startswith(b' ')}
            subs = {sub.split(b'|')[1] for sub in self.supported if sub.startswith(container + b'|')}
            self.assertEqual(shown, subs)


class IntrospectionResp2(Introspection, unittest.TestCase):
    protocol = 2


class IntrospectionResp3(Introspection, unittest.TestCase):
    protocol = 3


if __name__ == '__main__':
    unittest.main()
