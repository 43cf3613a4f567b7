#!/usr/bin/python3
"""Streams against a real Redis 8.0 (tools/peers.sh): random commands, good and bad, get the same replies and leave
the same stream; what a stream is to OBJECT, TYPE, COPY, RENAME and EXPIRE; XADD's own IDs ascend.
"""
import os
import random
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from harness import Suite, equal, reference, true  # noqa: E402

suite = Suite('stream', ['--enable-debug-command', 'yes'])

def both(weft, peer, command):
    """One command for both; returns weft's reply, kind and value."""
    mine = weft.call(*command)
    equal(mine, peer.call(*command), b' '.join(command)[:300].decode('latin1'))
    return mine


BAD_IDS = [b'', b'-', b'+', b'*', b'x', b'1-', b'-1', b'1-x', b'1-2-3', b'1--1', b'(1', b'(', b' 1', b'01-02', b'+5-1',
           b'18446744073709551616', b'1-18446744073709551616', b'9' * 130, b'0-0', b'0', b'1-*', b'0-*', b'*-1']
EDGE_IDS = [b'18446744073709551615-18446744073709551615', b'18446744073709551615-*', b'18446744073709551615']
NUMBERS = [b'0', b'1', b'5', b'99', b'100', b'150', b'1000', b'-1', b'x', b'1.5']


class Maker:
    def __init__(self, seed, longest):
        self.r = random.Random(seed)
        self.longest = longest
        self.ms = 1
        self.ids = [b'1-1']

    def some_id(self):
        r = self.r
        if r.random() < 0.05:
            return r.choice(BAD_IDS)
        if r.random() < 0.6:
            return r.choice(self.ids[-300:])
        return b'%d-%d' % (r.randrange(self.ms + 3), r.randrange(4))

    def end(self):
        r = self.r
        return r.choice([b'-', b'+', self.some_id(), self.some_id(), b'(' + self.some_id(),
                         b'%d' % r.randrange(self.ms + 2), r.choice(EDGE_IDS), b'(' + r.choice(EDGE_IDS)])

    def trim(self):
        r = self.r
        words = [r.choice([b'MAXLEN', b'maxlen', b'MINID'])]
        words += r.choice([[], [b'='], [b'~'], [b'~']])
        if r.random() < 0.1:
            words.append(r.choice(NUMBERS + BAD_IDS))
        elif words[0] == b'MINID':
            words.append(self.ids[max(0, len(self.ids) - r.randrange(1, 400))])
        else:
            words.append(b'%d' % r.randrange(50, 400))
        if words[1] == b'~':
            # Which entries may go depends on chunks, whose borders deletions move: approximately() compares that.
            words[2] = b'100000' if words[0] != b'MINID' else b'0-1'
        if r.random() < 0.2:
            words += [b'LIMIT', r.choice(NUMBERS)]
        if r.random() < 0.03:
            words += r.choice([[b'MAXLEN', b'5'], [b'LIMIT'], [b'~'], [b'NOMKSTREAM'], [b'MINID']])
        return words

    def fields(self):
        r = self.r
        n = 2 * r.choice([1, 1, 1, 2, 3, 8])
        if r.random() < 0.02:
            n += r.choice([-1, 1])
        return [bytes([r.randrange(256)]) * r.randrange(self.longest) for _ in range(n)]

    def add(self):
        r = self.r
        command = [b'XADD', b's']
        if r.random() < 0.1:
            command.append(b'NOMKSTREAM')
        if r.random() < 0.1:
            command += self.trim()
        if r.random() < 0.03:
            command.append(self.some_id())
        else:
            self.ms += r.choice([0, 0, 1, 1, 5])
            command.append(b'%d-*' % self.ms)
        return command + self.fields()

    def make(self):
        r = self.r
        dice = r.random()
        if dice < 0.6:
            return self.add()
        if dice < 0.64:
            return [b'XTRIM', b's'] + (self.trim() if r.random() < 0.95 else [r.choice(NUMBERS), b'5'])
        if dice < 0.74:
            return [b'XDEL', b's'] + [self.some_id() for _ in range(r.choice([1, 1, 2, 5]))]
        if dice < 0.76:
            return [b'XLEN', b's']
        words = [r.choice([b'XRANGE', b'XREVRANGE']), b's', self.end(), self.end()]
        for _ in range(r.choice([0, 1, 1, 1, 2])):
            words += [b'COUNT', r.choice(NUMBERS)] if r.random() < 0.95 else [r.choice([b'COUNT', b'x'])]
        return words


@suite.test
def random_commands(t):
    weft = t.server.conn()
    peer = reference().conn()
    for seed, longest, steps in ((1, 6, 3000), (2, 20, 1500), (3, 3, 2500)):
        make = Maker(seed, longest)
        for conn in (weft, peer):
            conn('DEL', b's')
        for _ in range(steps):
            command = make.make()
            got = both(weft, peer, command)
            if command[0] == b'XADD' and got[0] == '$' and got[1]:
                make.ids.append(got[1])
        both(weft, peer, [b'XRANGE', b's', b'-', b'+'])
        both(weft, peer, [b'DEBUG', b'DIGEST-VALUE', b's'])
        both(weft, peer, [b'XTRIM', b's', b'MAXLEN', b'0'])
        for command in ([b'EXISTS', b's'], [b'XLEN', b's'], [b'XRANGE', b's', b'-', b'+'], [b'TYPE', b's']):
            both(weft, peer, command)


@suite.test
def long_entries(t):
    """Entries about as long as a chunk, and longer."""
    weft = t.server.conn()
    peer = reference().conn()
    r = random.Random(4)
    for conn in (weft, peer):
        conn('DEL', b's')
    for i in range(300):
        n = r.choice([0, 900, 1000, 1024, 2000, 4000, 4050, 4096, 5000, 100000 if i % 50 == 0 else 10])
        both(weft, peer, [b'XADD', b's', b'%d-1' % (i + 1), b'f', b'v' * n])
        if i % 3 == 0:
            both(weft, peer, [b'XDEL', b's', b'%d-1' % r.randrange(1, i + 2)])
    both(weft, peer, [b'XRANGE', b's', b'-', b'+'])
    both(weft, peer, [b'XREVRANGE', b's', b'+', b'-'])


@suite.test
def approximately(t):
    """Trimming with '~' of a stream that has lost nothing otherwise: whole chunks, as Redis's nodes."""
    weft = t.server.conn()
    peer = reference().conn()
    r = random.Random(9)
    for conn in (weft, peer):
        conn('DEL', b's')
    for i in range(1, 3000):
        add = [b'XADD', b's', b'%d-1' % i, b'f', b'%d' % i]
        if r.random() < 0.01:
            add[2:2] = r.choice([[b'MAXLEN', b'~', b'%d' % r.randrange(900)],
                                 [b'MINID', b'~', b'%d' % r.randrange(i + 10), b'LIMIT', b'%d' % r.randrange(400)],
                                 [b'MAXLEN', b'~', b'%d' % r.randrange(900), b'LIMIT', b'%d' % r.randrange(400)]])
        both(weft, peer, add)
        if r.random() < 0.01:
            both(weft, peer, [b'XTRIM', b's', b'MAXLEN', b'~', b'%d' % r.randrange(900)])
        if i % 10 == 0:
            both(weft, peer, [b'XLEN', b's'])
    both(weft, peer, [b'XRANGE', b's', b'-', b'+'])


@suite.test
def as_a_key(t):
    weft = t.server.conn()
    peer = reference().conn()
    both(weft, peer, [b'FLUSHALL'])
    for size in (3, 1000):
        for command in [[b'XADD', b'{t}s', b'%d-0' % (i + 1), b'f', b'v%d' % i] for i in range(size)]:
            both(weft, peer, command)
        for command in ([b'TYPE', b'{t}s'], [b'OBJECT', b'ENCODING', b'{t}s'], [b'COPY', b'{t}s', b'{t}c'],
                        [b'XRANGE', b'{t}c', b'-', b'+'], [b'XADD', b'{t}c', b'5000-*', b'a', b'b'],
                        [b'XLEN', b'{t}s'], [b'XLEN', b'{t}c'], [b'RENAME', b'{t}c', b'{t}r'],
                        [b'XREVRANGE', b'{t}r', b'+', b'-', b'COUNT', b'7'], [b'EXISTS', b'{t}c'],
                        [b'EXPIRE', b'{t}r', b'1000'], [b'TTL', b'{t}r'], [b'XADD', b'{t}r', b'1-1', b'a', b'b'],
                        [b'XTRIM', b'{t}r', b'MAXLEN', b'0'], [b'COPY', b'{t}r', b'{t}e'], [b'TYPE', b'{t}e'],
                        [b'XADD', b'{t}e', b'5000-0', b'a', b'b'], [b'XADD', b'{t}e', b'5000-*', b'a', b'b'],
                        [b'GET', b'{t}s'], [b'LPUSH', b'{t}s', b'x'], [b'UNLINK', b'{t}s', b'{t}r', b'{t}e'],
                        [b'SET', b'{t}x', b'1'], [b'XADD', b'{t}x', b'*', b'a', b'b'], [b'XLEN', b'{t}x'],
                        [b'XRANGE', b'{t}x', b'-', b'+'], [b'XTRIM', b'{t}x', b'MAXLEN', b'1'],
                        [b'XDEL', b'{t}x', b'bad'], [b'XDEL', b'{t}none', b'bad'],
                        [b'XADD', b'{t}none', b'NOMKSTREAM', b'*', b'a', b'b'], [b'EXISTS', b'{t}none'],
                        [b'DBSIZE'], [b'DEL', b'{t}x']):
            both(weft, peer, command)


@suite.test
def last_ids(t):
    weft = t.server.conn()
    peer = reference().conn()
    top = b'18446744073709551615'
    for ids in ([top + b'-' + top, b'*'], [top + b'-1', top + b'-*', top + b'-' + top, top + b'-*'],
                [b'5-' + top, b'5-*', b'6-*'], [b'0-*', b'0-*', b'0-1', b'0-3']):
        for conn in (weft, peer):
            conn('DEL', b's')
        for each in ids:
            both(weft, peer, [b'XADD', b's', each, b'a', b'b'])


@suite.test
def own_ids(t):
    weft = t.server.conn()
    weft('DEL', 's')
    before = (0, 0)
    for _ in range(300):
        ms, seq = weft('XADD', 's', '*', 'a', 'b').split(b'-')
        got = (int(ms), int(seq))
        true(got > before, '%s after %s' % (got, before))
        before = got


@suite.test
def not_serialised_yet(t):
    weft = t.server.conn()
    weft('DEL', 's')
    weft('XADD', 's', '1-1', 'a', 'b')
    true('cannot be dumped' in str(weft.call('DUMP', 's')), 'DUMP has a clear error')
    weft('DEBUG', 'RELOAD')
    equal(weft('XLEN', 's'), 1, 'stays over DEBUG RELOAD')


if __name__ == '__main__':
    suite.main()
