#!/usr/bin/python3
"""Hashes (with field deadlines) and sets against a real server: every corner of the argument checks, then random
command lines, in RESP2 and RESP3; every reply must be the same. Then, without one: random members and fields are
fair, distinct and complete in all forms; fields die on time; large collections survive growing and shrinking under
a scan.

Deadlines are far away or absolute, so that the clock does not matter to the comparison.
"""
import os
import random
import shlex
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from harness import Suite, equal, reference, true, wait_until  # noqa: E402
from resp import show  # noqa: E402

suite = Suite('hash and set')
COMMANDS = 20000
PIPELINE = 50


UNORDERED = {b'SMEMBERS', b'SUNION', b'SINTER', b'SDIFF', b'HKEYS', b'HVALS', b'SRANDMEMBER', b'SPOP'}
PAIRS = {b'HGETALL', b'HSCAN', b'HRANDFIELD'}


def pairs_of(items):
    return list(items) if items and items[0][0] == '*' else list(zip(items[::2], items[1::2]))


def normal(line, reply):
    """What has no order is sorted."""
    name, (kind, items) = line[0].upper(), reply
    if kind not in '*~%' or items is None:
        return reply
    if name in UNORDERED:
        return kind, sorted(items, key=repr)
    if name in (b'SSCAN', b'HSCAN') and len(items) == 2 and items[1][0] == '*':
        inner = items[1][1]
        flat = name == b'SSCAN' or b'NOVALUES' in [w.upper() for w in line]
        return kind, items[0], sorted(inner if flat else pairs_of(inner), key=repr)
    if name in PAIRS and (name == b'HGETALL' or b'WITHVALUES' in [w.upper() for w in line]):
        return kind, sorted(pairs_of(items), key=repr)
    if name == b'HRANDFIELD':
        return kind, sorted(items, key=repr)
    return reply


def compare(real, ours, lines):
    """Runs the lines on both. Returns the differences, and which commands succeeded."""
    problems, succeeded, done = [], set(), []
    for line, want, got in zip(lines, real.pipeline(lines), ours.pipeline(lines)):
        done.append(line)
        if want[0] != '-':
            succeeded.add(line[0].upper().decode())
        if normal(line, want) != normal(line, got):
            problems.append('%r: %s, not %s; before it: %r' % (line, show(got), show(want), done[-6:-1]))
    return problems, succeeded


# ---------------------------------------------------------------- corners

CORNERS = """
HGETDEL
HGETDEL k FIELDS 1
HGETDEL k FIELDS 1 a
HGETDEL k FIELDS 2 a
HGETDEL k FIELDS 1 a b
HGETDEL k FIELDS 0 a
HGETDEL k FIELDS x a
HGETDEL k FIELDS -1 a
HGETDEL k XIELDS 1 a
HGETDEL k FIELDS 99999999999999999999 a
SET s 1
HGETDEL s FIELDS 1 a
HGETDEL s XIELDS 1 a
HSET h a 1 b 2 c 3
HGETDEL h FIELDS 3 a x a
HGETDEL h FIELDS 2 b c
EXISTS h
HGETEX k
HGETEX k FIELDS 1
HGETEX k FIELDS 1 a
HGETEX k FIELDS 1 a b
HGETEX k FIELDS 0 a
HGETEX k FIELDS x a
HGETEX k EX 10 FIELDS 1 a
HGETEX k EX x FIELDS 1 a
HGETEX k EX 0 FIELDS 1 a
HGETEX k EX -1 FIELDS 1 a
HGETEX k EX 10 PX 10 FIELDS 1 a
HGETEX k EX 10 PERSIST FIELDS 1 a
HGETEX k PERSIST PERSIST FIELDS 1 a
HGETEX k EX FIELDS 1 a
HGETEX k EX 10
HGETEX k BAD FIELDS 1 a
HGETEX k FIELDS 1 a EX 10
HGETEX k KEEPTTL FIELDS 1 a
HGETEX k EX 99999999999999 FIELDS 1 a
HGETEX k PX 99999999999999999 FIELDS 1 a
HGETEX k PXAT 70368744177665 FIELDS 1 a
HGETEX k PXAT 70368744177664 FIELDS 1 a
HGETEX k PXAT 70368744177663 FIELDS 1 a
HGETEX k PXAT 0 FIELDS 1 a
HGETEX s FIELDS 1 a
HGETEX s BAD FIELDS 1 a
HGETEX s EX -1 FIELDS 1 a
HSET h a 1 b 2 c 3
HGETEX h FIELDS 2 a x
HGETEX h EX 100 FIELDS 2 a x
HTTL h FIELDS 2 a b
HGETEX h PERSIST FIELDS 2 a b
HTTL h FIELDS 2 a b
HGETEX h PXAT 1 FIELDS 1 a
HGETALL h
HGETEX h EXAT 1 FIELDS 2 b c
EXISTS h
HSET h a 1
OBJECT ENCODING h
HGETEX h FIELDS 1 a
OBJECT ENCODING h
HGETEX h PERSIST FIELDS 1 a
OBJECT ENCODING h
HGETEX h EX 100 FIELDS 1 nosuch
OBJECT ENCODING h
HGETEX k EX 10 FIELDS
HGETEX k EX 10 FIELDS 1
HGETEX k PERSIST FIELDS 1
HGETEX k PERSIST FIELDS 0
HGETEX k PERSIST FIELDS
HGETEX k a b c d e
HGETEX k EX 10 b c d e
HGETEX k ex 10 fields 1 e
HGETEX s EX 10 FIELDS
HGETEX k PERSIST FIELDS 2 a
HGETEX k FIELDS EX 1
HGETEX k EX x FIELDS
HGETEX k EX -1 FOO 1 a
HGETEX k EX 10 FOO
HGETEX k PERSIST FOO 1
HGETEX k EX 10 FOO 1
HSETEX
HSETEX k FIELDS 1 a
HSETEX k FIELDS 1 a b
HSETEX k FIELDS 1 a b c
HSETEX k FIELDS 2 a b
HSETEX k FIELDS 0 a b
HSETEX k FIELDS x a b
HSETEX k BAD FIELDS 1 a b
HSETEX k FNX FXX FIELDS 1 a b
HSETEX k FXX FXX FIELDS 1 a b
HSETEX k NX FIELDS 1 a b
HSETEX k EX 10 PX 10 FIELDS 1 a b
HSETEX k KEEPTTL EX 10 FIELDS 1 a b
HSETEX k EX 10 KEEPTTL FIELDS 1 a b
HSETEX k PERSIST FIELDS 1 a b
HSETEX k EX 0 FIELDS 1 a b
HSETEX k EX -1 FIELDS 1 a b
HSETEX k EX x FIELDS 1 a b
HSETEX k EX FIELDS 1 a b
HSETEX k EX 10 FIELDS 1
HSETEX k EX 99999999999999 FIELDS 1 a b
HSETEX k PXAT 70368744177664 FIELDS 1 a b
HSETEX k PXAT 70368744177663 FIELDS 1 a b
HSETEX k PX 70368744177663 FIELDS 1 a b
HSETEX k FIELDS 1 a b EX 10
HSETEX k EX 10 FNX FIELDS 1 z b
HTTL k FIELDS 1 z
HSETEX k FNX EX 20 FIELDS 1 z b
HSETEX k FXX FIELDS 1 z c
HGETALL k
HTTL k FIELDS 1 z
HSETEX k FXX FIELDS 2 z d nope e
HSETEX k FNX FIELDS 2 z d nope e
HSETEX k FNX FIELDS 2 new d new e
HGETALL k
HSETEX k EX 10 FIELDS 1 new f
HSETEX k KEEPTTL FIELDS 1 new g
HTTL k FIELDS 1 new
HSETEX k FIELDS 1 new h
HTTL k FIELDS 1 new
HSETEX k EXAT 1 FIELDS 1 new h
HGETALL k
HSETEX nokey EXAT 1 FIELDS 1 new h
EXISTS nokey
HSETEX nokey FXX FIELDS 1 new h
HSETEX nokey FXX EXAT 1 FIELDS 1 new h
EXISTS nokey
HSETEX nokey FIELDS 1 new h
OBJECT ENCODING nokey
HSETEX nokey EX 10 FIELDS 1 new h
OBJECT ENCODING nokey
HSET enc a 1
HSETEX enc KEEPTTL FIELDS 1 a h
OBJECT ENCODING enc
HSETEX enc EX 10 FXX FIELDS 1 zz h
OBJECT ENCODING enc
HSETEX s FIELDS 1 a b
HSETEX s EX -1 FIELDS 1 a b
HSETEX k2 a b c d e
HSETEX k2 EX 10 a b c d e
HSETEX k2 FIELDS 1 a b FIELDS 1 a b
HSETEX k2 FNX FNX FNX FIELDS 1 a b
HSETEX k2 KEEPTTL FIELDS 1 a b
OBJECT ENCODING k2
DEL h
HEXPIRE h 10 FIELDS 1
HEXPIRE h 10 FIELDS 1 a
HEXPIRE h 10 FIELDS 2 a
HEXPIRE h 10 FIELDS 0 a
HEXPIRE h 10 FIELDS x a
HEXPIRE h x FIELDS x a
HEXPIRE h -1 FIELDS x a
HEXPIRE h 10 NX FIELDS 1 a
HEXPIRE h 10 NX FIELDS 1
HEXPIRE h 10 NX XX FIELDS 1 a
HEXPIRE h 10 QQ FIELDS 1 a
HEXPIRE h 10 FIELDS 1 a NX
HEXPIRE h 99999999999999 FIELDS 1 a
HEXPIRE h 70368744177 FIELDS 1 a
HEXPIREAT h 70368744178 FIELDS 1 a
HEXPIREAT h 70368744177 FIELDS 1 a
HPEXPIREAT h 70368744177663 FIELDS 1 a
HPEXPIREAT h 70368744177664 FIELDS 1 a
HPEXPIRE h 70368744177663 FIELDS 1 a
HEXPIRE s 10 FIELDS 1 a
HEXPIRE s x FIELDS 1 a
HSET h a 1
HEXPIRE h 10 FIELDS 1 x
OBJECT ENCODING h
HEXPIRE h 0 FIELDS 2 x a
EXISTS h
HSET h a 1 b 2 c 3
HEXPIRE h 10 XX FIELDS 2 a b
HEXPIRE h 10 GT FIELDS 2 a b
HEXPIRE h 10 LT FIELDS 2 a b
HEXPIRE h 10 NX FIELDS 2 a c
HEXPIRE h 20 GT FIELDS 2 a b
HEXPIRE h 20 LT FIELDS 2 a b
HEXPIRE h 0 LT FIELDS 2 a a
HTTL h FIELDS 3 a b c
HEXPIRE h 10 FIELDS 3 b b b
HTTL h FIELDS 1
HTTL h FIELDS 0 a
HTTL h FIELDS 2 a
HTTL h FOO 1 a
HTTL nokey2 FIELDS 2 a b
HTTL s FOO 1 a
HPTTL h FIELDS 2 a q
HPERSIST h FIELDS 3 a b c
HPERSIST h FIELDS 0 a
HPERSIST nokey2 FIELDS 2 a b
HPERSIST h FOO 2 a b
HEXPIRETIME h FIELDS 2 a b
HPEXPIRETIME h FIELDS 2 a b
HEXPIREAT h 99999 FIELDS 2 b b
HSETNX h a 1
HSET h a
HSET h a 1 b
HMSET h a 1 b
HMSET h a 1
HINCRBY h a x
HINCRBY h a 9223372036854775807
HINCRBY h a -9223372036854775808
HINCRBYFLOAT h a x
HINCRBYFLOAT h a inf
HINCRBYFLOAT h a nan
HINCRBYFLOAT h a -inf
HINCRBYFLOAT h a 1.5
HINCRBYFLOAT h zz 1e400
HINCRBYFLOAT h zz 1e4932
HINCRBYFLOAT h zz 1e4932
HDEL h zz
HINCRBY h a 1
HSET h str abc sp " 1" inf inf
HINCRBY h str 1
HINCRBYFLOAT h str 1
HINCRBYFLOAT h sp 1
HINCRBYFLOAT h inf 1
HINCRBY s str 1
HINCRBY s str x
HRANDFIELD h x
HRANDFIELD h 1 withvalue
HRANDFIELD h 1 withvalues x
HRANDFIELD h -9223372036854775808
HRANDFIELD h -9223372036854775807 WITHVALUES
HRANDFIELD h 9223372036854775807 WITHVALUES
HRANDFIELD nokey2
HRANDFIELD nokey2 3
HRANDFIELD s 3
HRANDFIELD s
HRANDFIELD h 0
HSTRLEN h str
HSTRLEN h nope
HSTRLEN nokey2 a
HLEN h
HEXISTS h a
HDEL h a nope a
HMGET h a b
HMGET s a b
HMGET nokey2 a b
HGETALL nokey2
HGETALL s
HGET s a
HSCAN h x
HSCAN h 0 NOVALUES
HSCAN h 0 COUNT 0
HSCAN h 0 MATCH s* COUNT 100
HSCAN nokey2 0 BAD
SCARD nokey
SADD s x
SADD ss
SADD ss a b a c
SCARD ss
SISMEMBER ss a
SISMEMBER ss q
SISMEMBER nokey q
SMISMEMBER ss a q
SMISMEMBER nokey q
SMISMEMBER s q
SMEMBERS ss
SMEMBERS nokey
SMEMBERS s
SREM ss a q a
SREM nokey a
SREM s a
SPOP nokey
SPOP nokey 1
SPOP ss 0
SPOP ss -1
SPOP ss x
SPOP ss 1 2
SPOP s
SPOP s x
SRANDMEMBER nokey
SRANDMEMBER nokey 1
SRANDMEMBER nokey x
SRANDMEMBER ss 0
SRANDMEMBER ss -9223372036854775808
SRANDMEMBER ss 1 2
SRANDMEMBER s
SMOVE nokey s a
SMOVE ss s b
SMOVE s ss b
SMOVE ss ss b
SMOVE ss ss q
SMOVE ss dd q
SMOVE ss dd b
SMEMBERS dd
SMEMBERS ss
SMOVE ss dd c
EXISTS ss
SADD i1 1 2 3 4 5
SADD i2 3 4 5 6 7
SADD t1 a b c 3 4
OBJECT ENCODING i1
OBJECT ENCODING t1
SINTER i1 i2
SINTER i1 nokey
SINTER i1 s
SINTER nokey s
SINTER nokey nokey
SUNION i1 i2 t1
SUNION i1 s
SUNION nokey
SDIFF i1 i2
SDIFF i1 nokey i1
SDIFF nokey i1
SDIFF i1 s
SDIFF i1
SINTERSTORE d i1 t1
OBJECT ENCODING d
SINTERSTORE d t1 i1 t1
OBJECT ENCODING d
SINTERSTORE d i1 nokey
EXISTS d
SUNIONSTORE d i1 t1
OBJECT ENCODING d
SUNIONSTORE d i1 i2
OBJECT ENCODING d
SDIFFSTORE d i1 i2
SMEMBERS d
OBJECT ENCODING d
SDIFFSTORE d i1 i1
EXISTS d
SDIFFSTORE i1 i1 i2
SMEMBERS i1
SINTERSTORE s i2 t1
SMEMBERS s
TYPE s
SINTERCARD 0 a
SINTERCARD x a
SINTERCARD 2 i2
SINTERCARD 2 i2 t1
SINTERCARD 2 i2 t1 LIMIT
SINTERCARD 2 i2 t1 LIMIT 1
SINTERCARD 2 i2 t1 LIMIT 0
SINTERCARD 2 i2 t1 LIMIT -1
SINTERCARD 2 i2 t1 LIMIT x
SINTERCARD 2 i2 t1 FOO 1
SINTERCARD 2 i2 t1 LIMIT 5 LIMIT 1
SINTERCARD 2 i2 nokey
SSCAN i2 0
SSCAN i2 x
SSCAN i2 0 NOVALUES
SSCAN t1 0 MATCH [ab] COUNT 1
SSCAN nokey 0
HGETALL h
HGETALL nokey2
HKEYS nokey2
SMEMBERS t1
SUNION i2
SPOP nokey 2
SINTER i2 nokey
HRANDFIELD nokey
HRANDFIELD nokey 2 WITHVALUES
SRANDMEMBER i2 100
HSCAN h 0
HGET h nope
HMGET h a nope
SMISMEMBER t1 a z
HINCRBYFLOAT h q 1.5
SPOP i2 100
"""


@suite.test
def corners(t):
    for resp in (2, 3):
        real, ours = reference().conn(), t.server.conn()
        for c in (real, ours):
            c.call('FLUSHALL')
            c.call('HELLO', resp)
        lines = [[w.encode() for w in shlex.split(x)] for x in CORNERS.strip().split('\n')]
        problems, _ = compare(real, ours, lines)
        true(not problems, '\n'.join(problems[:10]))


# ---------------------------------------------------------------- random lines

class Lines:
    """Random command lines from a seed."""

    KEYS = ['a', 'b', '{a}c', 'd', '{b}e', 'string']
    TIMES = ['4102444800', '4102444801', '4102444802']
    BAD_TIMES = ['0', '1', '-1', 'x', '', '70368744177', '70368744178', '9223372036854775807']

    def __init__(self, seed):
        self.r = random.Random(seed)

    def one(self, pool):
        return self.r.choice(pool)

    def key(self):
        return self.one(self.KEYS)

    def keys(self):
        return [self.key() for _ in range(self.one([1, 2, 2, 3]))]

    def member(self):
        kind = self.r.random()
        if kind < 0.35:
            return str(self.r.randrange(-20, 40))
        if kind < 0.5:
            return str(self.one([0, 32767, 32768, -32769, 2**31 - 1, 2**31, -2**31 - 1, 2**63 - 1, -2**63, 2**63]))
        if kind < 0.9:
            return self.one('abcdefghij') + self.one(['', 'x', '\0', '\xff'])
        return self.one(['01', '+1', ' 1', '-0', '1.0', '', '1e3', 'L' * 63, 'L' * 64, 'L' * 65, 'L' * 300])

    def members(self):
        return [self.member() for _ in range(self.one([1, 1, 2, 3, 5]))]

    def value(self):
        return self.one([self.member(), self.member(), '3.5', '-1.25e3', '0x10', 'inf'])

    def pairs(self):
        return [w for m in self.members() for w in (m, self.value())]

    def fields(self):
        names = self.members()
        count = len(names) + (self.one([-1, 1]) if self.r.random() < 0.05 else 0)
        return ['FIELDS', str(count)] + names

    def time(self, milliseconds):
        if self.r.random() < 0.2:
            return self.one(self.BAD_TIMES)
        return self.one(self.TIMES) + ('000' if milliseconds else '')

    def lifetime(self, *words):
        word = self.one(['', '', 'EXAT', 'PXAT'] + list(words))
        if word in ('EXAT', 'PXAT'):
            return [word, self.time(word == 'PXAT')]
        return [word] if word else []

    def many(self):
        kind, n = self.r.randrange(3), self.one([100, 127, 128, 129, 200, 511, 512, 513, 600])
        if kind == 0:
            return ['SADD', self.key()] + [str(self.r.randrange(100000)) for _ in range(n)]
        if kind == 1:
            return ['SADD', self.key()] + ['m%d' % self.r.randrange(100000) for _ in range(n)]
        return ['HSET', self.key()] + [w for _ in range(n) for w in ('f%d' % self.r.randrange(100000), 'v')]

    def hash_line(self):
        name = self.one('HSET HSET HMSET HSETNX HGET HMGET HDEL HLEN HEXISTS HSTRLEN HGETALL HKEYS HVALS HINCRBY '
                        'HINCRBYFLOAT HSCAN HEXPIREAT HPEXPIREAT HEXPIRETIME HPEXPIRETIME HPERSIST HGETEX HGETDEL '
                        'HSETEX HRANDFIELD'.split())
        conditions = [[], [], ['NX'], ['XX'], ['GT'], ['lt']]
        extra = {
            'HSET': self.pairs, 'HMSET': self.pairs,
            'HSETNX': lambda: [self.member(), self.value()],
            'HGET': lambda: [self.member()], 'HEXISTS': lambda: [self.member()], 'HSTRLEN': lambda: [self.member()],
            'HMGET': self.members, 'HDEL': self.members,
            'HINCRBY': lambda: [self.member(), self.one([self.member(), '1', '-3', str(2**62)])],
            'HINCRBYFLOAT': lambda: [self.member(), self.one([self.value(), '0.1', '1e10'])],
            'HSCAN': lambda: ['0', 'COUNT', '100000'] + self.one([[], ['MATCH', 'a*'], ['NOVALUES']]),
            'HEXPIREAT': lambda: [self.time(False)] + self.one(conditions) + self.fields(),
            'HPEXPIREAT': lambda: [self.time(True)] + self.one(conditions) + self.fields(),
            'HEXPIRETIME': self.fields, 'HPEXPIRETIME': self.fields, 'HPERSIST': self.fields, 'HGETDEL': self.fields,
            'HGETEX': lambda: self.lifetime('PERSIST') + self.fields(),
            'HRANDFIELD': lambda: ['100000'] + self.one([[], ['WITHVALUES']]),
        }
        if name == 'HSETEX':
            pairs = self.pairs()
            condition = self.one([[], ['FNX'], ['FXX']])
            return [name, self.key()] + condition + self.lifetime('KEEPTTL') + ['FIELDS', str(len(pairs) // 2)] + pairs
        return [name, self.key()] + extra.get(name, list)()

    def set_line(self):
        name = self.one('SADD SADD SADD SREM SREM SCARD SISMEMBER SMISMEMBER SMEMBERS SMOVE SINTER SUNION SDIFF '
                        'SINTERSTORE SUNIONSTORE SDIFFSTORE SINTERCARD SSCAN SPOP SRANDMEMBER'.split())
        if name in ('SINTER', 'SUNION', 'SDIFF', 'SINTERSTORE', 'SUNIONSTORE', 'SDIFFSTORE'):
            return [name] + self.keys() + ([self.key()] if name.endswith('STORE') else [])
        if name == 'SINTERCARD':
            keys = self.keys()
            return [name, str(len(keys))] + keys + self.one([[], ['LIMIT', str(self.r.randrange(4))]])
        extra = {
            'SADD': self.members, 'SREM': self.members, 'SMISMEMBER': self.members,
            'SISMEMBER': lambda: [self.member()],
            'SMOVE': lambda: [self.key(), self.member()],
            'SSCAN': lambda: ['0', 'COUNT', '100000'] + self.one([[], ['MATCH', '[a-c]*']]),
            'SPOP': lambda: [self.one(['0', '100000'])],
            'SRANDMEMBER': lambda: ['100000'],
        }
        return [name, self.key()] + extra.get(name, list)()

    def __call__(self):
        kind = self.r.random()
        if kind < 0.45:
            line = self.hash_line()
        elif kind < 0.85:
            line = self.set_line()
        elif kind < 0.87:
            return self.many()
        else:
            line = self.one([['DEL', self.key()], ['OBJECT', 'ENCODING', self.key()], ['TYPE', self.key()],
                             ['COPY', self.key(), self.key()], ['RENAME', self.key(), self.key()],
                             ['SET', 'string', 'x']])
        cut = len(line) > 2 and line[0] not in ('SPOP', 'SRANDMEMBER', 'HRANDFIELD') and self.r.random() < 0.02
        return line[:-1] if cut else line


@suite.test
def random_lines(t):
    lines, real, ours = Lines(1), reference().conn(), t.server.conn()
    problems, succeeded = [], set()
    for number in range(0, COMMANDS, PIPELINE):
        if number % 5000 == 0:
            for c in (real, ours):
                c.call('FLUSHALL')
                c.call('HELLO', 2 + number // 5000 % 2)
        batch = [[w.encode('latin-1') for w in lines()] for _ in range(PIPELINE)]
        bad, good = compare(real, ours, batch)
        problems += bad
        succeeded |= good
    true(not problems, '\n'.join(problems[:10]))
    wanted = {w for n in (lines.hash_line, lines.set_line) for w in (n()[0] for _ in range(2000))}
    equal(sorted(wanted - succeeded), [], 'never succeeded')


# ---------------------------------------------------------------- properties

FORMS = [('1', 5), ('m', 5), ('1', 300), ('m', 100), ('m', 1000), ('1', 3000)]


def fill_set(c, key, kind, n):
    members = [(b'%d' % i) if kind == '1' else b'member:%d' % i for i in range(n)]
    c('DEL', key)
    for i in range(0, n, 500):
        c('SADD', key, *members[i:i + 500])
    return set(members)


@suite.test
def random_members(t):
    c = t.server.conn()
    for kind, n in FORMS:
        members = fill_set(c, 'set', kind, n)
        for count in sorted({1, 2, n // 20 + 1, n // 2, n - 1, n, n + 5}):
            got = c('SRANDMEMBER', 'set', count)
            equal(len(got), min(count, n), 'count')
            true(len(set(got)) == len(got) and set(got) <= members, 'repeated or foreign members')
        got = c('SRANDMEMBER', 'set', -3 * n)
        equal(len(got), 3 * n)
        true(set(got) <= members, 'foreign members')
        seen = {m for _ in range(60) for m in c('SRANDMEMBER', 'set', n // 2 + 1)}
        equal(seen, members, 'what 60 draws of half saw')


@suite.test
def random_fields(t):
    c = t.server.conn()
    for kind, n in FORMS:
        fields = {(b'%d' % i if kind == '1' else b'field:%d' % i): b'v%d' % i for i in range(n)}
        c('DEL', 'hash')
        c('HSET', 'hash', *[w for pair in fields.items() for w in pair])
        for count in sorted({1, 2, n // 20 + 1, n // 2, n - 1, n, n + 5}):
            got = c('HRANDFIELD', 'hash', count, 'WITHVALUES')
            equal(len(got), 2 * min(count, n), 'count')
            got = dict(zip(got[::2], got[1::2]))
            true(len(got) == min(count, n) and all(fields[k] == v for k, v in got.items()), 'wrong pairs')
        equal(len(c('HRANDFIELD', 'hash', -3 * n)), 3 * n)


@suite.test
def pop_takes_each_once(t):
    c = t.server.conn()
    for kind, n in FORMS:
        for batch in (1, n // 10 + 1, n // 2 + 1, n - 1, n):
            left = fill_set(c, 'set', kind, n)
            while left:
                got = c('SPOP', 'set', batch)
                true(got and len(set(got)) == len(got) and set(got) <= left, 'repeated or foreign members')
                left -= set(got)
                if batch > 1:
                    equal(set(c('SMEMBERS', 'set')), left)
            equal(c('EXISTS', 'set'), 0)


@suite.test
def scan_while_changing(t):
    """Members that stay are seen exactly once or more, whatever comes and goes meanwhile."""
    c = t.server.conn()
    stay = fill_set(c, 'set', 'm', 2000)
    cursor, seen, number = b'0', [], 0
    while True:
        cursor, got = c('SSCAN', 'set', cursor)
        seen += got
        if cursor == b'0':
            break
        if number < 20000:      # grows tenfold, then shrinks again
            c('SADD', 'set', *['other:%d' % i for i in range(number, number + 400)])
        elif number < 40000:
            c('SREM', 'set', *['other:%d' % i for i in range(number - 20000, number - 19600)])
        number += 400
    true(stay <= set(seen), '%d members were not seen' % len(stay - set(seen)))
    equal(len(seen), len(set(seen)), 'seen twice')


@suite.test
def fields_die_on_time(t):
    c = t.server.conn()
    n = 3000
    for key in ('small', 'large'):
        count = 20 if key == 'small' else n
        fields = ['f%d' % i for i in range(count)]
        c('HSET', key, 'stays', 1, *[w for f in fields for w in (f, 'v')])
        for i in range(0, count, 500):
            part = fields[i:i + 500]
            equal(c('HPEXPIRE', key, 150, 'FIELDS', len(part), *part), [1] * len(part))
        equal(c('HLEN', key), count + 1)
    time.sleep(0.16)
    for key in ('small', 'large'):      # hidden from the moment on
        equal(c('HGETALL', key), [b'stays', b'1'])
        equal(c('HGET', key, 'f7'), None)
        equal(c('HEXISTS', key, 'f8'), 0)
        equal(c('HMGET', key, 'f1', 'stays'), [None, b'1'])
        equal(c('HRANDFIELD', key, 10), [b'stays'])
    wait_until(lambda: c('HLEN', 'large') == 1 and c('HLEN', 'small') == 1, 1, 'expired fields are gone')
    equal(c('HSETEX', 'gone', 'PX', 50, 'FIELDS', 2, 'a', 1, 'b', 2), 1)
    wait_until(lambda: c('EXISTS', 'gone') == 0, 1, 'a hash whose fields all died is gone')


@suite.test
def field_deadlines_survive_moves(t):
    c = t.server.conn()
    for n in (3, 2000):
        fields = ['f%d' % i for i in range(n)]
        c('DEL', 'hash', '{other}hash', 'copy')
        c('HSET', 'hash', *[w for f in fields for w in (f, 'v')])
        for i in range(0, n, 500):
            c('HEXPIREAT', 'hash', 4102444800, 'FIELDS', len(fields[i:i + 500]), *fields[i:i + 500])
        c('COPY', 'hash', 'copy')
        c('RENAME', 'hash', '{other}hash')
        for key in ('copy', '{other}hash'):
            equal(c('HEXPIRETIME', key, 'FIELDS', 2, 'f0', 'f%d' % (n - 1)), [4102444800] * 2)
        c('HSET', 'copy', 'f1', 'new')
        equal(c('HTTL', 'copy', 'FIELDS', 1, 'f1'), [-1])


if __name__ == '__main__':
    suite.main()
