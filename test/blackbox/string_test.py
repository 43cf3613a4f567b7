#!/usr/bin/python3
"""Strings and bits against a real server: random command lines with every option, boundary numbers and wrong types,
in RESP2 and RESP3, plus the corner cases that random lines seldom hit. Every reply must be the same, byte for byte.

Deadlines are far away or absolute, so that the clock does not matter; strings stay small, so that a run is quick.
"""
import os
import random
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from harness import Suite, equal, reference, true  # noqa: E402
import resp  # noqa: E402
from resp import show  # noqa: E402

suite = Suite('string')
COMMANDS = 20000
PIPELINE = 50


class Lines:
    """Random command lines from a seed."""

    KEYS = ['a', 'b', '{a}c', 'd', 'list']
    INTEGERS = ['0', '1', '-1', '2', '3', '5', '7', '8', '10', '-5', '-100', '100', '9223372036854775807', 'x',
                '', '-9223372036854775808', '9223372036854775808', '1.5', ' 1', '01', '-0', '+1']
    INDICES = ['0', '1', '2', '3', '4', '7', '8', '9', '10', '15', '16', '20', '-1', '-2', '-3', '-5', '-8',
               '-20', '100']
    VALUES = ['', 'foo', 'bar', '10', '-3', '9223372036854775807', '1.5', '3.0e3', 'hello world', 'x' * 50,
              '\xff\0\1', 'abcabc', '0', 'ab\r\ncd', '1e400', 'inf', 'nan', '0x10', ' 5',
              '12345678901234567890', 'ohmytext', 'mynewtext']
    FLOATS = ['1', '0.1', '-0.5', '1.5e3', '1e17', 'inf', '-inf', 'nan', 'x', '', '1e400', '5e-324', '3',
              '-1e17', '1.0e2', '0.00000000000000001', '0x1p3', '+1', '.5', '5.', '1e4932']
    DEADLINES = ['0', '-1', '9223372036854775807', 'x', '4102444800', '4102444800000', '9223372036854775']
    OPTIONS = [[], ['NX'], ['XX'], ['GET'], ['KEEPTTL'], ['EXAT'], ['PXAT'], ['EXAT', '4102444800'],
               ['PXAT', '4102444800123'], ['EX'], ['EX', 'x'], ['EX', '0'], ['PX', '-5'],
               ['EX', '9223372036854775'], ['FOO'], ['PERSIST'], ['nx', 'get'],
               ['EXAT', '4102444800', 'EXAT', '4102444801'], ['EXAT', '4102444800', 'PXAT', '4102444800123'],
               ['KEEPTTL', 'EXAT', '4102444800'], ['persist', 'EXAT', '4102444800'], ['PXAT', '1'],
               ['EXAT', '1']]
    OFFSETS = ['0', '1', '2', '7', '8', '9', '15', '16', '63', '100', '1000', '-1', '4294967296', 'x', '#0',
               '#1', '#3', '#-1', '#', '99999999999999999999', '34359738368', '#2305843009213693952',
               '#1152921504606846977']
    TYPES = ['u8', 'i8', 'u1', 'i1', 'u63', 'i64', 'u64', 'i5', 'u2', 'i16', 'u16', 'i32', 'u4', 'x', 'i0',
             'i65', 'u0', 'I8', 'u08', 'i', '8', 'u8\0x', '']
    OPERANDS = ['255', '-128', '127', '64', '-1', '1', '-9223372036854775808', '9223372036854775807', 'x',
                '300', '-200']

    def __init__(self, seed):
        self.r = random.Random(seed)

    def one(self, pool):
        return self.r.choice(pool)

    def key(self):
        return self.one(self.KEYS)

    def number(self):
        return self.one(self.INDICES if self.r.random() < 0.7 else self.INTEGERS)

    def options(self):
        return self.one(self.OPTIONS) + (self.one(self.OPTIONS) if self.r.random() < 0.3 else [])

    def keys(self, most):
        return [self.key() for _ in range(self.r.randrange(most))]

    def lcs_option(self):
        return self.one([['LEN'], ['IDX'], ['WITHMATCHLEN'], ['MINMATCHLEN', self.number()], ['idx'], ['MINMATCHLEN'],
                         ['FOO']])

    def string_line(self):
        name = self.one('SET SET GET GETSET APPEND STRLEN SETRANGE GETRANGE SUBSTR INCR DECR INCRBY DECRBY '
                        'INCRBYFLOAT INCRBYFLOAT MGET MSET MSETNX SETNX SETEX PSETEX GETDEL GETEX GETEX LCS LCS '
                        'DEL LPUSH OBJECT PERSIST PEXPIRETIME'.split())
        extra = {
            'SET': lambda: [self.one(self.VALUES)] + self.options(),
            'GETSET': lambda: [self.one(self.VALUES)],
            'APPEND': lambda: [self.one(self.VALUES)],
            'SETNX': lambda: [self.one(self.VALUES)],
            'SETRANGE': lambda: [self.one(['0', '1', '5', '40', '-1', '536870912', 'x', '2000',
                                           '9223372036854775807']),
                                 self.one(self.VALUES)],
            'GETRANGE': lambda: [self.number(), self.number()],
            'SUBSTR': lambda: [self.number(), self.number()],
            'INCRBY': lambda: [self.one(self.INTEGERS)],
            'DECRBY': lambda: [self.one(self.INTEGERS)],
            'INCRBYFLOAT': lambda: [self.one(self.FLOATS)],
            'SETEX': lambda: [self.one(['0', '-1', 'x', '9223372036854775807', '9223372036854775']),
                              self.one(self.VALUES)],
            'PSETEX': lambda: [self.one(['0', '-1', 'x', '9223372036854775807']), self.one(self.VALUES)],
            'GETEX': self.options,
            'LPUSH': lambda: ['x'],
            'LCS': lambda: [self.key()] + sum((self.lcs_option() for _ in range(self.r.randrange(4))), []),
        }
        if name == 'MGET':
            return [name] + self.keys(4)
        if name in ('MSET', 'MSETNX'):
            return [name] + [self.key() if i % 2 == 0 else self.one(self.VALUES) for i in range(self.r.randrange(7))]
        if name == 'OBJECT':
            return [name, 'ENCODING', self.key()]
        return [name, self.key()] + extra.get(name, list)()

    def range_of_bits(self):
        line = []
        for part in (self.number, self.number, lambda: self.one(['BYTE', 'BIT', 'bit', 'FOO']), lambda: '1'):
            if self.r.random() < 0.25:
                break
            line.append(part())
        return line

    def operations(self, read_only):
        line = []
        for _ in range(self.r.randrange(5)):
            op = self.one(['GET', 'SET', 'INCRBY', 'INCRBY', 'OVERFLOW', 'get'])
            if read_only and self.r.random() < 0.8:
                op = 'GET'
            line.append(op)
            if op == 'OVERFLOW':
                line.append(self.one(['WRAP', 'SAT', 'FAIL', 'sat', 'FOO']))
                continue
            line += [self.one(self.TYPES), self.one(self.OFFSETS)]
            if op.upper() != 'GET':
                line.append(self.one(self.OPERANDS))
        return line[:-1] if self.r.random() < 0.05 else line

    def bits_line(self):
        name = self.one('SETBIT GETBIT BITCOUNT BITPOS BITOP BITOP BITFIELD BITFIELD BITFIELD_RO SET GET DEL '
                        'LPUSH STRLEN APPEND OBJECT'.split())
        if name == 'SETBIT':
            return [name, self.key(), self.one(self.OFFSETS), self.one(['0', '1', '1', '2', 'x', '-1'])]
        if name == 'GETBIT':
            return [name, self.key(), self.one(self.OFFSETS)]
        if name == 'BITCOUNT':
            return [name, self.key()] + self.range_of_bits()
        if name == 'BITPOS':
            return [name, self.key(), self.one(['0', '1', '0', '1', '2', 'x'])] + self.range_of_bits()
        if name == 'BITOP':
            return [name, self.one(['AND', 'OR', 'XOR', 'NOT', 'and', 'DIFF', 'FOO']), self.key()] + self.keys(6)
        if name in ('BITFIELD', 'BITFIELD_RO'):
            return [name, self.key()] + self.operations(name != 'BITFIELD')
        if name == 'SET':
            size = self.one([1, 3, 8, 17, 33, 70, 130])
            bytes_ = [self.one([0, 255, 1, 128, self.r.randrange(256)]) for _ in range(size)]
            return [name, self.key(), ''.join(map(chr, bytes_))]
        if name == 'OBJECT':
            return [name, 'ENCODING', self.key()]
        if name in ('APPEND', 'LPUSH'):
            return [name, 'list' if name == 'LPUSH' else self.key(), self.one(self.VALUES)]
        return [name, self.key()]


def compare(t, lines):
    """Both servers run the lines; every difference counts, the first ones are shown."""
    real, ours = reference().conn(), t.server.conn()
    problems, succeeded, done = [], set(), []
    for number in range(0, COMMANDS, PIPELINE):
        if number % 5000 == 0:
            for c in (real, ours):
                c.call('FLUSHALL')
                c.call('HELLO', 2 + number // 5000 % 2)
        batch = [[w.encode('latin-1') for w in lines()] for _ in range(PIPELINE)]
        for line, want, got in zip(batch, real.pipeline(batch), ours.pipeline(batch)):
            done.append(line)
            if want[0] != '-':
                succeeded.add(line[0].upper())
            if want != got and len(problems) < 10:
                problems.append('%r: %s, not %s; before it: %r' % (line, show(got), show(want), done[-5:-1]))
    true(not problems, '\n'.join(problems))
    return {name.decode() for name in succeeded}


@suite.test
def random_strings(t):
    names = compare(t, Lines(1).string_line)
    wanted = ('SET GET GETSET APPEND STRLEN SETRANGE GETRANGE SUBSTR INCR DECR INCRBY DECRBY INCRBYFLOAT MGET MSET '
              'MSETNX SETNX GETDEL GETEX LCS').split()
    equal(sorted(set(wanted) - names), [], 'never succeeded')


@suite.test
def random_bits(t):
    names = compare(t, Lines(2).bits_line)
    equal(sorted(n for n in 'SETBIT GETBIT BITCOUNT BITPOS BITOP BITFIELD BITFIELD_RO'.split() if n not in names), [],
          'never succeeded')


def same(t, lines):
    real, ours = reference().conn(), t.server.conn()
    for version in (2, 3):
        for c in (real, ours):
            c.call('HELLO', version)
            c.call('FLUSHALL')
        for line in lines:
            equal(ours.call(*line), real.call(*line), repr(line)[:200])


CORNERS = """
    SET n {most}; INCR n; INCRBY n 0; DECRBY n {least}; DECRBY n -1; SET n {least}; DECR n; INCRBY n {most};
    DECRBY n {least}; SET n {blank1}; INCR n; SET n 01; INCR n; SET f 3.0e3; INCRBYFLOAT f 200;
    INCRBYFLOAT f -5200; INCRBYFLOAT f 1e-17; GET f; OBJECT ENCODING f; INCRBYFLOAT f 1.5e3000;
    INCRBYFLOAT f 1e4933; STRLEN f; SETRANGE s 0 {empty}; EXISTS s; SETRANGE s 3 x; GET s; OBJECT ENCODING s;
    SETRANGE s 1 {empty}; SETRANGE s 536870911 xx; APPEND new {empty}; EXISTS new; OBJECT ENCODING new; APPEND num 12;
    OBJECT ENCODING num; APPEND num 3; OBJECT ENCODING num; INCR num; OBJECT ENCODING num; SETBIT num 1 0;
    GET num; MSETNX m1 x m1 y; GET m1; MSET m1; MSETNX m1 x m2; MSET m1 x m2; SET long {v*70000};
    GETRANGE long 69990 -1; APPEND long {w*70000}; STRLEN long; SETRANGE long 200000 end;
    GETRANGE long 199998 -1; BITCOUNT long; BITPOS long 1 199990; SET long 7; OBJECT ENCODING long;
    SET lcs1 ohmytext; SET lcs2 mynewtext; LCS lcs1 lcs2; LCS lcs1 lcs2 LEN;
    LCS lcs1 lcs2 IDX MINMATCHLEN 4 WITHMATCHLEN; LCS lcs1 none IDX; LCS none none; LCS lcs1 lcs2 LEN IDX;
    SET lcs3 {ab*6000}; LCS lcs3 lcs3 LEN; SET ttl x PXAT 4102444800123; SET ttl y KEEPTTL; PEXPIRETIME ttl;
    APPEND ttl z; PEXPIRETIME ttl; SETRANGE ttl 0 a; PEXPIRETIME ttl; GETSET ttl 5; PEXPIRETIME ttl;
    SET ttl 5 PXAT 4102444800123; INCR ttl; INCRBYFLOAT ttl 0.5; PEXPIRETIME ttl; GETEX ttl PERSIST;
    PEXPIRETIME ttl; GETEX ttl PXAT 1; EXISTS ttl; BITOP NOT none gone; EXISTS none; SET dest x EX 1000;
    BITOP OR dest n n; TTL dest; OBJECT ENCODING dest; RPUSH dest2 x; BITOP AND dest2 n; TYPE dest2;
    BITOP AND dest2 gone; EXISTS dest2; BITFIELD bf SET u8 100 1; STRLEN bf;
    BITFIELD bf2 OVERFLOW FAIL SET u8 100 256; STRLEN bf2; BITFIELD bf3; EXISTS bf3;
    BITFIELD bf OVERFLOW SAT SET i8 0 {least} GET i8 0; BITFIELD bf GET i64 3;
    BITFIELD_RO bf GET u8 100 GET u4 #25; BITFIELD_RO bf SET u8 0 1; SETBIT bit 4294967295 2;
    SETBIT bit 4294967296 1; GETBIT bit 4294967295;
"""
LONG = {b'{most}': b'9223372036854775807', b'{least}': b'-9223372036854775808', b'{v*70000}': b'v' * 70000,
        b'{w*70000}': b'w' * 70000, b'{ab*6000}': b'ab' * 6000, b'{empty}': b'', b'{blank1}': b' 1'}


@suite.test
def corner_cases(t):
    lines = []
    for line in CORNERS.replace('\n', ' ').split(';'):
        if line.strip():
            lines.append([LONG.get(w, w) for w in resp.split(line.strip())])
    true(len(lines) > 100, 'lines')
    same(t, lines)


if __name__ == '__main__':
    suite.main()
