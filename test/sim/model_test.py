#!/usr/bin/python3
"""Proves the simulator's model of Redis right: a real Redis 8.0 executes random commands, the model judges its replies.

    test/sim/model_test.py [--model-check PATH] [--seeds N] [--seed S] [--commands N] [--only NAME,...] [--tape FILE]

The commands come from test/differential's language and from EXTRA below. Each seed's commands and replies are recorded
on a tape (sim/tape.h); `model-check` plays it to the model, which must have no complaint. A few lies are then written
into the tape's replies: the model must complain about each.

The model is told the exact time by which the server executed a command. A real server does not tell it, except that all
commands of one MULTI/EXEC see the same time: so a chunk of commands is sent as MULTI, SET @clock x PX 1000000000,
PEXPIRETIME @clock, commands, EXEC. In every second sequence each command is sent by itself between two such probes, and
when they do not show the same millisecond the sequence ends there (nothing is known of that command's time).

Scripted tapes come on top: iterations and trimmed streams of which the model must believe some and must not believe
others.
Tapes made by hand (model_scripts.py) cover what a real server does not offer.

Ends with "N passed, N failed": one test per seed, lie and scripted tape, and one for every command that never
succeeded.
"""
import argparse
import collections
import os
import random
import re
import struct
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, 'test', 'differential'))
sys.path.insert(0, os.path.join(ROOT, 'test', 'blackbox'))
import commands as language  # noqa: E402
import model_scripts  # noqa: E402
import resp  # noqa: E402
import server as servers  # noqa: E402

CLOCK = b'@clock'
CLOCK_PX = 1000000000
CHUNK = 12
SEQUENCE = 150

# Beside the differential test's language: (weight, template). <cursor> is one the server gave, <payload> one of DUMP.
EXTRA = '''
6 SCAN <cursor> [MATCH <pat>] [COUNT <cnt>] [TYPE <type>]
4 HSCAN <h> <cursor> [MATCH <pat>] [COUNT <cnt>] [NOVALUES]
4 SSCAN <t> <cursor> [MATCH <pat>] [COUNT <cnt>]
4 ZSCAN <z> <cursor> [MATCH <pat>] [COUNT <cnt>]
6 DUMP <k>
5 RESTORE <k> (0|<px>) <payload> [REPLACE]
1 RESTORE <k> <pxat> <payload> REPLACE ABSTTL
2 SET <k> <v> PX <short>
2 PEXPIRE <k> <short>
2 HPEXPIRE <h> <short> FIELDS 1 <m>
2 HSETEX <h> PX <short> <fvs>
2 BITCOUNT <s> <idx> <idx> [BYTE|BIT]
2 BITPOS <s> <bit> [<idx>|<idx> <idx>|<idx> <idx> BYTE|<idx> <idx> BIT]
1 BITOP (AND|OR|XOR|NOT) <s> <b> [<s>] [<b>]
1 GETRANGE <k> <idx> <idx>
1 INCRBYFLOAT <s> <score>
1 HINCRBYFLOAT <h> <m> <score>
1 CONFIG GET maxmemory*
1 INFO server
1 CLIENT (ID|INFO|LIST|GETNAME)
1 OBJECT (ENCODING|HELP|NOSUCH|REFCOUNT) [<k>]
1 NOSUCHCOMMAND <v> <v>
2 UNLINK <k>+
2 EXISTS <k>+
2 DBSIZE
1 RANDOMKEY
1 KEYS <pat>
4 XADD <x> [(MAXLEN|MINID) [~|=] <slen>] * <m> <v>
2 XADD <x> (MAXLEN|MINID) ~ <trim> [LIMIT <cnt>] * <m> <v>
2 XADD <x> <odd_id> <m> <v>
2 XTRIM <x> (MAXLEN|MINID) [~|=] <trim> [LIMIT <cnt>]
2 XRANGE <x> <odd_end> <odd_end> [COUNT <scnt>]
2 XRANGE <x> - + [COUNT <cnt>]
2 XREVRANGE <x> + - [COUNT <cnt>]
1 XREVRANGE <x> <odd_end> <odd_end> [COUNT <scnt>]
1 XDEL <x> <odd_id>+
3 ZADD <lx> (0 <m>)+
2 ZADD <lx> <many_alike>
2 ZREMRANGEBYLEX <lx> <lmin> <lmax>
2 ZRANGESTORE <lx> <lx> <lmin> <lmax> BYLEX [REV] [LIMIT <idx> <scnt>]
2 ZRANGE <lx> <lmin> <lmax> BYLEX [REV] [LIMIT <idx> <scnt>]
2 ZRANGEBYLEX <lx> <lmin> <lmax> [LIMIT <idx> <scnt>]
2 ZREVRANGEBYLEX <lx> <lmax> <lmin> [LIMIT <idx> <scnt>]
2 ZLEXCOUNT <lx> <lmin> <lmax>
2 ZREVRANGEBYSCORE <z> <smax> <smin> [WITHSCORES] [LIMIT <idx> <scnt>]
2 ZUNION <nz> WEIGHTS <weight>+ [AGGREGATE (SUM|MIN|MAX)] WITHSCORES
2 ZINTER <nz> WEIGHTS <weight>+ [AGGREGATE (SUM|MIN|MAX)] WITHSCORES
2 ZADD <z> CH (<score> <m>)+
4 SET (w_a|w_b|w_1|w_2|w_10|w_3) (<f>|<v>|<n>)
2 SADD <t> <many_ints>
3 SORT (<l>|<t>|<z>) BY w_* [LIMIT <idx> <cnt>] [GET <get>] [GET #] [ASC|DESC] [ALPHA]
2 SORT_RO (<l>|<t>|<z>) BY nosort [LIMIT <idx> <cnt>] [GET <get>] [ASC|DESC] [ALPHA]
1 SORT <t> BY nosort STORE <l>
2 SORT (<l>|<t>|<z>) ALPHA [LIMIT <idx> <cnt>] [DESC] [STORE <l>]
2 LPOS <l> <e> RANK <idx> [COUNT <cnt>] [MAXLEN <cnt>]
1 LMPOP <nl> <dir> [COUNT <cnt>]
2 SPOP <t> <scnt>
2 SRANDMEMBER <t> <scnt>
2 ZRANDMEMBER <z> <scnt> [WITHSCORES]
1 OBJECT ENCODING (<l>|<t>|<z>|<x>)
'''

# Sorted sets whose scores are all the same: elsewhere ranges by bytes are not defined.
LEX_KEYS = [b'lx1', b'{t}lx2']
POOLS = {
    'lx': LEX_KEYS,
    'trim': [b'0', b'1', b'5', b'50', b'99', b'100', b'150', b'101', b'5-3', b'99999999999999'],
    'odd_id': [b'0-0', b'0-*', b'5', b'5-', b'-5', b'+5-1', b'7- 3', b'5--3', b'*-1', b'-', b'+',
               b'1-18446744073709551615',
               b'18446744073709551615-1', b'18446744073709551615-18446744073709551615', b'18446744073709551615-*',
               b'18446744073709551616', b'05-01', b' 5-1', b'1-2-3', b'(5', b'99999999999999-*', b'x' * 128],
    'odd_end': [b'-', b'+', b'(5', b'(5-3', b'(0-0', b'(-', b'(', b'(18446744073709551615-18446744073709551615', b'0',
                b'5',
                b'99999999999999', b'18446744073709551615', b'1-1', b'(1-18446744073709551615', b'x'],
}

DIRECTIONS = (b'@SLEEP', b'@RELOAD', b'@DUMPCROSS')
NOT_IN_MULTI = {b'MULTI', b'EXEC', b'DISCARD', b'WATCH', b'UNWATCH', b'HELLO', b'RESET', b'QUIT'} | set(DIRECTIONS)


class Chance:
    """What language.Draw is to hypothesis, from a plain random generator."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def int(self, low, high):
        return self.random.randint(low, high)

    def pick(self, pool):
        return pool[self.int(0, len(pool) - 1)]

    def one_in(self, n):
        return self.int(1, n) == n


class RawConn(resp.Conn):
    """Keeps the bytes of the reply that was read last."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.raw = []

    def _line(self):
        line = super()._line()
        self.raw.append(line + b'\r\n')
        return line

    def _exactly(self, n):
        data = super()._exactly(n)
        self.raw.append(data + b'\r\n')
        return data

    def reply(self):
        """(tree, bytes)"""
        self.raw = []
        tree = self.read()
        return tree, b''.join(self.raw)

    def items(self):
        """The reply as a tree, and the bytes of each item if it is an array."""
        self.raw = []
        line = self._line()
        if line[:1] != b'*' or line == b'*-1':
            return (line[:1].decode(), line[1:]), None
        return ('*', None), [self.reply() for _ in range(int(line[1:]))]


def bulk(data):
    return struct.pack('<I', len(data)) + data


class Tape:
    def __init__(self, path):
        self.file = open(path, 'wb')
        self.file.write(b'weft-tape 1\n')
        self.commands = 0
        self.replies = []       # (offset of the reply's length, words, reply, about), for lies
        self.execs = []         # (offset of the record, ran), of sessions that watched
        self.about = False      # a stream was trimmed with '~' in this sequence

    def record(self, kind, body=b''):
        self.file.write(kind + struct.pack('<I', len(body)) + body)

    def command(self, state, words, now, reply, in_multi=False):
        body = struct.pack('<BBHqII', state.resp, in_multi, state.db, now, state.session, len(words))
        body += b''.join(bulk(w) for w in words)
        self.about |= words[0].upper() in (b'XADD', b'XTRIM') and b'~' in words
        self.replies.append((self.file.tell() + 5 + len(body), words, reply, self.about))
        self.record(b'C', body + bulk(reply))
        self.commands += CLOCK not in words

    def reset(self):
        self.about = False
        self.record(b'R')

    def watch(self, state, now, key):
        self.record(b'W', struct.pack('<IHq', state.session, state.db, now) + bulk(key))

    def unwatch(self, state):
        self.record(b'U', struct.pack('<I', state.session))

    def exec(self, state, ran, now, watched=False):
        if watched:
            self.execs.append((self.file.tell(), ran))
        self.record(b'E', struct.pack('<IBq', state.session, ran, now))

    def close(self):
        self.file.close()


class State:
    """One connection of the sequence."""

    def __init__(self, session, conn):
        self.session = session
        self.conn = conn
        self.db = 0
        self.resp = 2
        self.queued = None      # words, while a transaction is open
        self.broken = False     # it will be refused
        self.watching = False


class Ambiguous(Exception):
    """It is not known when the last command was executed."""


def is_error(tree):
    return tree[0] in '-!'


class Driver:
    """Runs random sequences on a server and records them."""

    def __init__(self, port, tape, seed, only):
        self.port = port
        self.tape = tape
        self.chance = Chance(seed)
        self.language = language.Language()
        self.cursors = [b'0']
        self.payloads = [b'garbage']
        language.GENERATORS['cursor'] = lambda g: [g.pick(self.cursors) if g.int(0, 2) else b'0']
        language.GENERATORS['payload'] = lambda g: [g.pick(self.payloads)]
        language.pool('short', [b'5', b'12', b'20', b'30'])
        for name, words in POOLS.items():
            language.pool(name, words)
        self.extra = []
        for line in EXTRA.strip().split('\n'):
            weight, text = line.split(None, 1)
            self.extra += [language.compile_template(text)] * int(weight)
        self.only = only
        self.states = []
        self.short_fields = True

    # -- sequences

    def sequence(self, alone):
        """One sequence on an empty server; `alone`: each command outside of MULTI."""
        for state in self.states:
            state.conn.close()
        self.states = [State(i, RawConn(self.port, timeout=60)) for i in range(2)]
        self.states[0].conn.send([[b'FLUSHALL']])
        self.states[0].conn.reply()
        self.tape.reset()
        for i in range(2):
            self.tape.unwatch(self.states[i])
        self.cursors, self.payloads = [b'0'], [b'garbage']
        self.short_fields = not self.chance.one_in(3)
        steps = []
        if self.chance.one_in(2):
            steps.append((0, [b'HELLO', b'3']))
        for _ in range(self.chance.int(0, 8)):
            steps.append((0, self.chance.pick(self.language.fills)(self.chance)))
        if self.chance.one_in(8):
            key = self.chance.pick(language.KEYS['x'])
            steps += [(0, [b'XADD', key, b'*', b'n', b'%d' % i]) for i in range(self.chance.pick([20, 99, 130, 250]))]
        end = len(steps) + SEQUENCE
        while len(steps) < end:
            steps += self.step()
        try:
            self.walk(steps, alone)
        except Ambiguous:
            pass

    def step(self):
        if self.chance.one_in(4):
            words = self.chance.pick(self.extra)(self.chance)
            if self.chance.one_in(8) and not set(words) & set(LEX_KEYS):
                words = language.mutate(self.chance, words)
            steps = [(0, language.tame(words))]
        else:
            steps = self.language.step(self.chance)
        return [step for conn, words in steps if self.wanted(words) for step in self.defined(conn, self.tame(words))]

    def tame(self, words):
        """HSETEX with KEEPTTL of a field that is past its deadline revives the field without its deadline, or leaves it
        dead, by when Redis gets to removing it, and nothing shows which. So a sequence has short-lived fields or
        KEEPTTL."""
        name = words[0].upper() if words else b''
        if self.short_fields:
            return [w for w in words if w.upper() != b'KEEPTTL'] if name == b'HSETEX' else words
        if name in (b'HPEXPIRE', b'HSETEX', b'HGETEX', b'HEXPIRE'):
            return [b'100000' if i in (2, 3, 4) and words[i - 1].upper() != b'FIELDS' and w.isdigit() and
                    int(w) < 100000 else w for i, w in enumerate(words)]
        return words

    @staticmethod
    def defined(conn, words):
        """The step, and what it takes to make Redis's answers to it and after it defined."""
        name = words[0].upper() if words else b''
        if (name == b'ZREMRANGEBYLEX' or (name == b'ZRANGESTORE' and b'BYLEX' in [w.upper() for w in words])) and \
                len(words) > 1 and words[1] not in LEX_KEYS:
            return [(conn, words), (conn, [b'SET', words[1], b'x'])]
        if name.startswith(b'SORT'):
            # Redis looks at the errno that a number out of range may have left long ago. A ZADD clears it.
            return [(conn, [b'ZADD', b'@errno', b'1.5', b'a']), (conn, words)]
        return [(conn, words)]

    def wanted(self, words):
        if not self.only:
            return True
        return words[0].decode('latin-1').upper() in self.only or words[0].upper() in NOT_IN_MULTI

    def walk(self, steps, alone):
        at = 0
        while at < len(steps):
            state = self.states[steps[at][0]]
            words = steps[at][1]
            name = words[0].upper() if words else b''
            if name.startswith(b'@'):
                self.direction(state, name, words)
                at += 1
            elif name in NOT_IN_MULTI or state.queued is not None:
                self.one(state, words)
                at += 1
            elif alone or state.watching:
                self.probed(state, words)
                at += 1
            else:
                chunk = []
                while at < len(steps) and self.states[steps[at][0]] is state and len(chunk) < CHUNK:
                    if steps[at][1][0].upper() in NOT_IN_MULTI:
                        break
                    chunk.append(steps[at][1])
                    at += 1
                self.chunk(state, chunk)

    def direction(self, state, name, words):
        if state.queued is not None or (name == b'@DUMPCROSS' and state.watching):
            return
        if name == b'@SLEEP':
            time.sleep(self.chance.pick([0.012, 0.02, 0.05]))
        elif name == b'@DUMPCROSS':
            self.chunk(state, [[b'DUMP', words[1]]])
            self.chunk(state, [[b'RESTORE', b'restored', b'0', self.payloads[-1], b'REPLACE']])

    # -- commands at a known time

    def probe_words(self):
        return [b'SET', CLOCK, b'x', b'PX', b'%d' % CLOCK_PX], [b'PEXPIRETIME', CLOCK]

    def executed(self, state, words, now, tree, raw, in_multi=False):
        """Takes down what was executed, and learns from it."""
        name = words[0].upper()
        if name == b'HELLO' and not is_error(tree) and len(words) > 1:
            state.resp = 3 if tree[0] == '%' else 2
        if name == b'RESET' and not is_error(tree):
            state.resp = 2
        self.tape.command(state, words, now, raw, in_multi)
        if name == b'SELECT' and tree == ('+', b'OK'):
            state.db = int(words[1])
        if name == b'RESET' and not is_error(tree):
            state.db = 0
        if name == b'DUMP' and tree[0] == '$' and tree[1] is not None:
            self.payloads = self.payloads[-10:] + [tree[1]]
        if name.endswith(b'SCAN') and tree[0] == '*':
            cursor = tree[1][0][1]
            if cursor != b'0':
                self.cursors = self.cursors[-3:] + [cursor]

    def chunk(self, state, chunk):
        """All commands in one MULTI; what it refuses to queue is taken down as executed, the others are sent again."""
        while chunk:
            lines = [[b'MULTI'], *self.probe_words(), *chunk, [b'EXEC']]
            state.conn.send(lines)
            head = [state.conn.reply() for _ in range(3)]
            assert head[0][0] == ('+', b'OK') and head[2][0] == ('+', b'QUEUED'), head
            queued = [state.conn.reply() for _ in chunk]
            tree, items = state.conn.items()
            good = []
            for words, (reply, raw) in zip(chunk, queued):
                if is_error(reply):
                    self.executed(state, words, 1, reply, raw, in_multi=True)
                else:
                    good.append(words)
            if items is None:
                assert tree[1].startswith(b'EXECABORT'), tree
                chunk = good
                continue
            now = items[1][0][1] - CLOCK_PX
            self.tape.exec(state, True, now)
            for words, (reply, raw) in zip([*self.probe_words(), *chunk], items):
                self.executed(state, words, now, reply, raw, in_multi=True)
            return

    def probed(self, state, words):
        """One command outside of MULTI, between two probes on the same connection."""
        probe = self.probe_words()
        state.conn.send([*probe, words, *probe])
        replies = [state.conn.reply() for _ in range(5)]
        before, after = replies[1][0][1] - CLOCK_PX, replies[4][0][1] - CLOCK_PX
        if not replies[4][0][0] == ':' or before != after:
            raise Ambiguous()
        for line, (tree, raw) in zip([*probe, words, *probe], replies):
            self.executed(state, line, before, tree, raw)

    def one(self, state, words):
        """What opens, fills or ends a transaction of the sequence's own, or changes the connection."""
        name = words[0].upper()
        if name == b'EXEC' and state.queued is not None:
            self.exec(state)
            return
        in_multi = state.queued is not None
        if name == b'WATCH' and not in_multi:
            self.watch(state, words)
            return
        state.conn.send([words])
        tree, raw = state.conn.reply()
        if tree == ('+', b'QUEUED'):
            state.queued.append(words)
            return
        # Nested MULTI and WATCH inside of MULTI do no harm.
        if in_multi and is_error(tree) and b'nested' not in tree[1] and b'WATCH inside' not in tree[1]:
            state.broken = True
        self.executed(state, words, 1, tree, raw, in_multi)
        if name == b'MULTI' and not is_error(tree):
            state.conn.send([*self.probe_words()])
            for _ in range(2):
                assert state.conn.reply()[0] == ('+', b'QUEUED')
            state.queued, state.broken = [*self.probe_words()], False
        elif (tree[1].startswith(b'EXECABORT') if is_error(tree) else name in (b'DISCARD', b'RESET')):
            # An EXEC with too many words discards, too.
            state.queued, state.watching = None, False
            self.tape.unwatch(state)
        elif name == b'UNWATCH' and not is_error(tree):
            state.watching = False
            self.tape.unwatch(state)

    def watch(self, state, words):
        probe = self.probe_words()
        state.conn.send([*probe, words, *probe])
        replies = [state.conn.reply() for _ in range(5)]
        before, after = replies[1][0][1] - CLOCK_PX, replies[4][0][1] - CLOCK_PX
        if before != after:
            raise Ambiguous()
        for line, (tree, raw) in zip([*probe, words], replies):
            self.executed(state, line, before, tree, raw)
        if not is_error(replies[2][0]):
            state.watching = True
            for key in words[1:]:
                self.tape.watch(state, before, key)
        for line, (tree, raw) in zip(probe, replies[3:]):
            self.executed(state, line, before, tree, raw)

    def exec(self, state):
        """Between probes of another connection: they bracket the time by which EXEC looked at the watched keys."""
        before = self.ask_clock()
        state.conn.send([[b'EXEC']])
        tree, items = state.conn.items()
        after = self.ask_clock()
        queued, state.queued = state.queued, None
        watching, state.watching = state.watching, False
        if items is None:
            aborted = tree[0] == '-'
            assert not aborted or tree[1].startswith(b'EXECABORT'), tree
            assert aborted == state.broken, (tree, state.broken)
            if aborted:
                self.tape.unwatch(state)
                return
            assert watching, tree
            if before != after:
                raise Ambiguous()
            self.tape.exec(state, False, before, watched=True)
            return
        now = items[1][0][1] - CLOCK_PX
        self.tape.exec(state, True, now, watched=watching)
        for words, (reply, raw) in zip(queued, items):
            self.executed(state, words, now, reply, raw, in_multi=True)

    def ask_clock(self):
        """The server's time; leaves the clock key of database 15 alone but there."""
        if not hasattr(self, 'asker'):
            self.asker = RawConn(self.port, timeout=60)
        self.asker.send([[b'TIME']])
        tree, _ = self.asker.reply()
        return int(tree[1][0][1]) * 1000 + int(tree[1][1][1]) // 1000


# ---------------------------------------------------------------- playing tapes

def play(model_check, path, *options):
    """(exit status, output lines)"""
    got = subprocess.run([model_check, *options, path], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=600)
    return got.returncode, got.stdout.decode('utf-8', 'replace').strip().split('\n')


def record(reference, path, seed, commands, only, shards):
    with servers.Server(reference, shards=shards,
                        args=['--proto-max-bulk-len', '512mb', '--databases', '16']) as server:
        tape = Tape(path)
        driver = Driver(server.port, tape, seed, only)
        alone = False
        while tape.commands < commands:
            driver.sequence(alone)
            alone = not alone
        tape.close()
        for state in driver.states:
            state.conn.close()
        return tape


# How to spoil a reply: something else of the same kind.
LIES = {b':': lambda r: b':%d\r\n' % (int(r[1:]) + 1), b'+': lambda r: b'+' + r[1:-2] + b'x\r\n',
        b'$': lambda r: b'$1\r\n?\r\n' if r != b'$1\r\n?\r\n' else b'$-1\r\n',
        b'-': lambda r: b'-' + r[1:-2] + b'x\r\n',
        b'*': lambda r: b'*0\r\n' if r != b'*0\r\n' else b'*1\r\n:1\r\n', b'_': lambda r: b'+OK\r\n',
        b'%': lambda r: b'%0\r\n' if r != b'%0\r\n' else b'%1\r\n:1\r\n:1\r\n',
        b'~': lambda r: b'~0\r\n' if r != b'~0\r\n' else b'~1\r\n:1\r\n', b',': lambda r: b',123456.5\r\n'}
# Replies which the model does not know better than the server.
UNJUDGED = {b'DBSIZE', b'HLEN', b'TIME', b'INFO', b'CONFIG', b'CLIENT', b'COMMAND', b'MEMORY', b'OBJECT', b'HELLO',
            b'ROLE',
            b'DUMP', b'RANDOMKEY', b'SCAN', b'HSCAN', b'NOSUCHCOMMAND', b'HRANDFIELD', b'MULTI', b'EXEC', b'DISCARD',
            b'WATCH'}
# ... and these not while a stream may have been trimmed about (~): it may be longer or shorter.
ABOUT = {b'XLEN', b'XDEL', b'XTRIM', b'XRANGE', b'XREVRANGE'}
# Ranges by bytes over different scores, which Redis does not define.
LEX = {b'ZRANGEBYLEX', b'ZREVRANGEBYLEX', b'ZLEXCOUNT', b'ZREMRANGEBYLEX'}


def is_judged(words, about):
    name = words[0].upper()
    upper = [w.upper() for w in words]
    if b'LIMIT' in upper[:-1] and upper[upper.index(b'LIMIT') + 1].startswith(b'-') and name.startswith(b'Z'):
        return False    # Redis's answer hangs on the encoding
    if name in LEX or b'BYLEX' in upper:
        return words[-1] in LEX_KEYS or (len(words) > 1 and words[1] in LEX_KEYS)
    return name not in UNJUDGED and not (about and name in ABOUT)


ORDERED = {b'LRANGE', b'ZRANGE', b'ZREVRANGE', b'ZRANGEBYSCORE', b'ZREVRANGEBYSCORE', b'LPOP', b'RPOP', b'MGET',
           b'HMGET'}
FLAT = re.compile(rb'([*~])(\d+)\r\n')


def bulks(reply):
    """The items of an array or set of nothing but bulks, each as it was sent; None if the reply is something else."""
    m = FLAT.match(reply)
    if not m:
        return None
    items, at = [], m.end()
    for _ in range(int(m.group(2))):
        n = re.compile(rb'\$(\d+)\r\n').match(reply, at)
        if not n:
            return None
        items.append(reply[at:n.end() + int(n.group(1)) + 2])
        at += len(items[-1])
    return items if at == len(reply) else None


def subtle_lies(words, reply):
    """Replies that differ from the true one in an item only."""
    scan = (words[0].upper() in (b'SSCAN', b'ZSCAN', b'HSCAN') and words[2:3] == [b'0'] and
            reply[:11] == b'*2\r\n$1\r\n0\r\n')
    head, rest = (reply[:11], reply[11:]) if scan else (b'', reply)
    items = bulks(rest)
    if not items or (words[0].upper().endswith(b'SCAN') and not scan):
        return []

    def made_of(changed):
        return head + rest[:1] + b'%d\r\n' % len(changed) + b''.join(changed)

    lies = [made_of(items[:-1]), made_of(items[1:]), made_of(items + items[-1:]),
            made_of(items[:-1] + [b'$3\r\n?!?\r\n'])]
    if words[0].upper() in ORDERED and len(items) > 1 and items[0] != items[1]:
        lies.append(made_of([items[1], items[0]] + items[2:]))
    return lies


def tell_lies(model_check, path, tape, chance, count, known):
    """Spoils single replies of the tape; returns descriptions of lies that the model believed."""
    with open(path, 'rb') as f:
        whole = f.read()
    candidates = [r for r in tape.replies if r[2][:1] in LIES and is_judged(r[1], r[3]) and r[1][0].upper() in known]
    believed = []
    by_name = collections.defaultdict(list)
    for r in candidates:
        by_name[r[1][0].upper()].append(r)
    for _ in range(count):
        offset, words, reply, _ = chance.pick(by_name[chance.pick(sorted(by_name))])
        lie = chance.pick(subtle_lies(words, reply) + [LIES[reply[:1]](reply)])
        # The record ends with the reply; its head is found from the end of the words.
        head = offset - record_size_before(words) - 5
        body = whole[head + 5:offset] + bulk(lie)
        spoilt = whole[:head] + b'C' + struct.pack('<I', len(body)) + body
        with open(path + '.lie', 'wb') as f:
            f.write(spoilt)
        status, _ = play(model_check, path + '.lie')
        if status != 1:
            believed.append('%s: %r for %r (status %d)' % (b' '.join(words)[:100], lie[:60], reply[:60], status))
    if count:
        os.unlink(path + '.lie')
    return believed


class Scripted:
    """A tape of chosen commands, whose replies may be spoilt on the way."""

    def __init__(self, port, path):
        self.path = path
        self.tape = Tape(path)
        self.tape.reset()
        self.state = State(0, RawConn(port, timeout=60))
        self.run([b'FLUSHALL'])

    def run(self, words, spoil=lambda tree, raw: raw):
        self.state.conn.send([words])
        tree, raw = self.state.conn.reply()
        self.tape.command(self.state, words, 1000, spoil(tree, raw))
        return tree

    def is_believed(self, model_check):
        self.tape.close()
        self.state.conn.close()
        return play(model_check, self.path)[0] == 0


def iteration(port, path, model_check, command, lost_page, removed):
    """A whole SSCAN or ZSCAN, of which one page lacks a member (that is then removed, or not). Believed?"""
    script = Scripted(port, path)
    step = 2 if command == b'ZSCAN' else 1
    add = [b'ZADD', b'k'] if command == b'ZSCAN' else [b'SADD', b'k']
    script.run(add + [w for i in range(300) for w in (b'%d' % i, b'member:%d' % i)[2 - step:]])
    cursor, page = b'0', 0
    while page == 0 or cursor != b'0':
        def lose(tree, raw):
            items = [item[1] for item in tree[1][1][1]]
            if page == lost_page:
                items = items[step:]
            return b'*2\r\n$%d\r\n%s\r\n*%d\r\n' % (len(tree[1][0][1]), tree[1][0][1], len(items)) + \
                b''.join(b'$%d\r\n%s\r\n' % (len(item), item) for item in items)
        tree = script.run([command, b'k', cursor, b'COUNT', b'40'], lose)
        if page == lost_page and removed:
            script.run([b'ZREM' if command == b'ZSCAN' else b'SREM', b'k', tree[1][1][1][0][1]])
        cursor = tree[1][0][1]
        page += 1
    return script.is_believed(model_check)


def trimming(port, path, model_check, length, then):
    """250 entries trimmed to about 50: may the stream be that long, and the next look at it show `then` entries?"""
    script = Scripted(port, path)
    for i in range(250):
        script.run([b'XADD', b'k', b'%d' % (i + 1), b'n', b'%d' % i])
    script.run([b'XADD', b'k', b'MAXLEN', b'~', b'50', b'1000', b'n', b'last'])
    script.run([b'XLEN', b'k'], lambda tree, raw: b':%d\r\n' % length)
    script.run([b'XRANGE', b'k', b'-', b'+'], lambda tree, raw: b'*%d\r\n' % then + b''.join(
        b'*2\r\n$%d\r\n%s\r\n*2\r\n$1\r\nn\r\n$%d\r\n%s\r\n' % (len(i), i, len(v), v)
        for i, v in ([(b'%d-0' % (n + 1), b'%d' % n) for n in range(250)] + [(b'1000-0', b'last')])[251 - then:]))
    return script.is_believed(model_check)


def scripted(reference, path, model_check):
    """Failures of scripted tapes: the model must believe some and must not believe others."""
    failures = []
    count = 0
    with servers.Server(reference) as server:
        cases = [(iteration, (c, *case), believed) for c in (b'SSCAN', b'ZSCAN')
                 for *case, believed in ((None, False, True), (0, False, False), (3, False, False), (3, True, True))]
        cases += [(trimming, case, believed) for *case, believed in (
            (50, 50, True), (100, 100, True), (150, 150, True), (49, 49, False), (151, 151, False), (251, 251, False),
            (60, 61, False), (61, 60, False))]
        for run, case, believed in cases:
            count += 1
            if run(server.port, path, model_check, *case) != believed:
                failures.append('%s%r is %sbelieved' % (run.__name__, tuple(case), 'not ' if believed else ''))
    return count, failures


def tell_exec_lies(model_check, path, tape, chance):
    """Says of an EXEC after WATCH that it ran when it was refused, and the other way round. (lies told, those
    believed)"""
    with open(path, 'rb') as f:
        whole = f.read()
    told, believed = 0, []
    for ran in (True, False):
        offsets = [offset for offset, did in tape.execs if did == ran]
        if not offsets:
            continue
        told += 1
        offset = chance.pick(offsets)
        at = offset + 5 + 4
        with open(path + '.lie', 'wb') as f:
            f.write(whole[:at] + struct.pack('<B', not ran) + whole[at + 1:at + 9])
        status, _ = play(model_check, path + '.lie')
        if status != 1:
            believed.append('EXEC after WATCH at byte %d %s' % (offset, 'was refused' if ran else 'ran'))
        os.unlink(path + '.lie')
    return told, believed


def record_size_before(words):
    return struct.calcsize('<BBHqII') + sum(4 + len(w) for w in words)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--model-check', default=os.path.join(ROOT, 'build', 'model-check'))
    parser.add_argument('--seeds', type=int, default=3)
    parser.add_argument('--seed', type=int, default=None, help='of the first run; the others follow it')
    parser.add_argument('--commands', type=int, default=20000, help='per seed')
    parser.add_argument('--lies', type=int, default=30, help='per seed')
    parser.add_argument('--only', default='', help='names of commands')
    parser.add_argument('--tape', help='keep the last tape there')
    parser.add_argument('--keep-going', default='1')
    parser.add_argument('--server', help='judge this one (e.g. build/weft-server) instead of a real Redis')
    parser.add_argument('--shards', type=int, default=1, help='of weft')
    parser.add_argument('--strict', action='store_true',
                        help='fields past their deadline are gone (model-check --strict)')
    args = parser.parse_args()

    reference = args.server or servers.find_reference()
    if reference is None:
        print('no Redis to compare with')
        print('0 passed, 1 failed')
        return 1
    print('reference: %s' % servers.version(reference))
    only = {n.upper() for n in args.only.split(',') if n}
    seed = args.seed if args.seed is not None else random.randrange(1 << 31)
    passed, failed = model_scripts.run(args.model_check, Tape, State(1, None), play)
    used = collections.Counter()
    succeeded = collections.Counter()
    unknown = collections.Counter()
    execs = collections.Counter()
    with tempfile.TemporaryDirectory() as folder:
        path = args.tape or os.path.join(folder, 'tape')
        count, failures = scripted(reference, path, args.model_check)
        passed += count - len(failures)
        failed += len(failures)
        for failure in failures:
            print('  ' + failure)
        for n in range(seed, seed + args.seeds):
            started = time.monotonic()
            tape = record(reference, path, n, args.commands, only, args.shards)
            recorded = time.monotonic()
            strict = ['--strict'] if args.strict else []
            status, lines = play(args.model_check, path, '--unknown', '--used', '--keep-going', args.keep_going,
                                 *strict)
            print('seed %d: %s (%.1f s to record, %.1f s to judge)' % (
                n, lines[-1], recorded - started, time.monotonic() - recorded))
            known = set()
            for line in lines[:-1]:
                m = re.match(r'judged: (\S+) (\d+) (\d+)$', line)
                if m:
                    used[m.group(1)] += int(m.group(2))
                    succeeded[m.group(1)] += int(m.group(3))
                    known.add(m.group(1).upper().encode())
                elif line.startswith('not modelled: '):
                    name, count = line[len('not modelled: '):].rsplit(' ', 1)
                    unknown[name] += int(count)
                else:
                    print('  ' + line)
            if status == 0:
                passed += 1
            else:
                failed += 1
                continue
            believed = tell_lies(args.model_check, path, tape, Chance(n), args.lies, known)
            passed += args.lies - len(believed)
            failed += len(believed)
            told, believed_too = tell_exec_lies(args.model_check, path, tape, Chance(n)) if args.lies else (0, [])
            execs.update(ran for _, ran in tape.execs)
            passed += told - len(believed_too)
            failed += len(believed_too)
            for lie in believed + believed_too:
                print('  believed: ' + lie)
    print('judged: ' + ', '.join('%s %d' % (n, c) for n, c in sorted(used.items())))
    if unknown:
        print('not modelled: ' + ', '.join('%s %d' % (n, c) for n, c in sorted(unknown.items())))
    print('EXEC after WATCH: %d ran, %d refused' % (execs[True], execs[False]))
    never = sorted(n for n in used if not succeeded[n] and '|' not in n
                   and n not in ('exec', 'object', 'multi', 'client', 'config',
                                                                                           'memory', 'command'))
    if never and not only:
        print('never succeeded: ' + ', '.join(never))
        failed += len(never)
    print('%d passed, %d failed' % (passed, failed))
    return failed > 0


if __name__ == '__main__':
    sys.exit(main())
