#!/usr/bin/python3
"""DUMP and RESTORE against real servers (tools/peers.sh): values of every type, size and encoding move from
Redis 8.0 and 7.0 to weft and back and stay what they were; the packed forms of older versions, made here, are read as
Redis reads them; RESTORE's options and errors get the same replies; damaged payloads do no harm; DEBUG RELOAD keeps
everything.
"""
import os
import random
import struct
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import server as servers  # noqa: E402
from harness import Skip, Suite, equal, true  # noqa: E402
from resp import ReplyError, split  # noqa: E402

suite = Suite('dump')
_peers = {}


def peer(name):
    """A real server, started once."""
    if name not in _peers:
        got = subprocess.run(['sh', os.path.join(servers.ROOT, 'tools', 'peers.sh'), name], stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE)
        path = got.stdout.decode().strip()
        _peers[name] = servers.Server(path, args=['--enable-debug-command', 'yes']) if got.returncode == 0 else None
    if _peers[name] is None:
        raise Skip('no ' + name)
    return _peers[name].conn()


# ---------------------------------------------------------------- values

def strings():
    yield [b'SET', b'k', b'']
    for v in (0, -1, 127, -129, 32768, -2 ** 31, 2 ** 31, 2 ** 63 - 1, -2 ** 63):
        yield [b'SET', b'k', b'%d' % v]
    for v in (b'01', b'-0', b'3.5', b'x' * 20, b'ab' * 40, b'y' * 44, b'z' * 45, bytes(range(256)) * 9,
              b'w' * 100000):
        yield [b'SET', b'k', v]
    r = random.Random(1)
    yield [b'SET', b'k', bytes(r.randrange(256) for _ in range(70000))]


def elements(r, n, longest):
    kinds = (lambda: b'%d' % r.randrange(-2 ** r.randrange(1, 63), 2 ** r.randrange(1, 63)),
             lambda: bytes(r.randrange(97, 123) for _ in range(r.randrange(longest))),
             lambda: b'%d' % r.randrange(100),
             lambda: bytes(r.randrange(256) for _ in range(r.randrange(longest))))
    return [r.choice(kinds)() for _ in range(n)]


def collections():
    """Commands that build key k: small and large, short and long elements, integers only."""
    r = random.Random(7)
    for n, longest in ((1, 5), (3, 60), (20, 30), (100, 65), (130, 20), (600, 40), (5000, 12), (3, 9000)):
        items = elements(r, n, longest)
        distinct = list(dict.fromkeys(items))
        ints = [b'%d' % (i * 7919 % 10007 - 3000) for i in range(n)]
        yield [[b'RPUSH', b'k'] + items]
        yield [[b'SADD', b'k'] + distinct]
        yield [[b'SADD', b'k'] + ints]
        scores = [r.choice([b'%d' % r.randrange(-99, 99), b'%.17g' % r.uniform(-1e5, 1e5), b'inf', b'-inf',
                            b'1e-300'])
                  for _ in distinct]
        yield [[b'ZADD', b'k'] + [w for pair in zip(scores, distinct) for w in pair]]
        values = elements(r, len(distinct), longest)
        fields = [w for pair in zip(distinct, values) for w in pair]
        yield [[b'HSET', b'k'] + fields]
        some = [f for f in distinct if r.random() < 0.5][:200] or distinct[:1]
        yield [[b'HSET', b'k'] + fields,
               [b'HPEXPIREAT', b'k', b'%d' % (4102444800000 + n), b'FIELDS', b'%d' % len(some)] + some,
               [b'HPEXPIREAT', b'k', b'4102444800999', b'FIELDS', b'1', some[0]]]


def content(c, key=b'k'):
    """All that clients can see of a key, whatever order its encoding gives."""
    kind = c('TYPE', key)
    deadline = c('PEXPIRETIME', key)
    if kind == b'string':
        return kind, deadline, c('GET', key)
    if kind == b'list':
        return kind, deadline, c('LRANGE', key, 0, -1)
    if kind == b'set':
        return kind, deadline, sorted(c('SMEMBERS', key))
    if kind == b'zset':
        flat = c('ZRANGE', key, 0, -1, 'WITHSCORES')  # 7.0 writes the same scores otherwise
        return kind, deadline, list(zip(flat[::2], map(float, flat[1::2])))
    if kind == b'hash':
        flat = c('HGETALL', key)
        fields = list(flat[::2])
        try:
            ends = c('HPEXPIRETIME', key, 'FIELDS', len(fields), *fields)
        except ReplyError:  # Redis 7.0
            ends = [-1] * len(fields)
        return kind, deadline, sorted(zip(fields, flat[1::2], ends))
    return kind, deadline, None


def build(c, commands):
    for command in commands:
        reply = c.call(*command)
        true(reply[0] != '-', '%r: %r' % (command[:3], reply))


def move(a, b, name, encodings):
    """k goes from a to b as a payload."""
    want = content(a)
    payload = a('DUMP', b'k')
    b('DEL', b'k')
    equal(b.call('RESTORE', b'k', 0, payload), ('+', b'OK'), name)
    equal(content(b), want, name)
    if encodings:
        equal(b('OBJECT', 'ENCODING', b'k'), a('OBJECT', 'ENCODING', b'k'), name)


def move_all(real, ours):
    for commands in [[s] for s in strings()] + list(collections()):
        name = b' '.join(commands[0][:5])[:60].decode('latin-1') + ' (%d words)' % len(commands[0])
        for a, b in ((real, ours), (ours, real)):
            a('FLUSHALL')
            b('FLUSHALL')
            build(a, commands)
            move(a, b, name, True)
            move(b, a, name, True)  # and home again


@suite.test
def redis8_both_ways(t):
    move_all(peer('redis8'), t.server.conn())


@suite.test
def redis7_both_ways(t):
    # 7.0 has no small sets of strings, so that encodings differ.
    real, ours = peer('redis7'), t.server.conn()
    for commands in [[s] for s in strings()] + [c for c in collections() if len(c) == 1]:
        real('FLUSHALL')
        ours('FLUSHALL')
        build(real, commands)
        move(real, ours, repr(commands[0][:3]), False)
        build(ours, [[b'DEL', b'k']] + commands)
        # What we dump has the lowest version that knows its form, so an older server takes it.
        move(ours, real, repr(commands[0][:3]), False)


@suite.test
def to_valkey(t):
    """Valkey 9 writes a version of its own; it takes what we write."""
    ours, real = t.server.conn(), peer('valkey9')
    for commands in [[s] for s in strings()] + [c for c in collections() if len(c) == 1]:
        ours('FLUSHALL')
        real('FLUSHALL')
        build(ours, commands)
        move(ours, real, repr(commands[0][:3]), False)


@suite.test
def edited_strings(t):
    """A string that was edited keeps its bytes."""
    real, ours = peer('redis8'), t.server.conn()
    for a, b in ((real, ours), (ours, real)):
        a('DEL', b'k')
        a('SET', b'k', b'12')
        a('APPEND', b'k', b'34')
        move(a, b, 'appended', False)
        a('SETRANGE', b'k', 5000, b'end')
        move(a, b, 'zero-filled', False)


# ---------------------------------------------------------------- the forms of older versions

CRC_POLYNOMIAL = 0x95ac9329ac4bc9b5


def crc64(data):
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ CRC_POLYNOMIAL if crc & 1 else crc >> 1
    return crc


def payload(body, version=10):
    body += struct.pack('<H', version)
    return body + struct.pack('<Q', crc64(body))


def length(n):
    if n < 64:
        return bytes([n])
    if n < 16384:
        return struct.pack('>H', n | 0x4000)
    return b'\x80' + struct.pack('>I', n)


def string(s):
    return length(len(s)) + s


def integer_or_none(s):
    try:
        v = int(s)
    except ValueError:
        return None
    return v if b'%d' % v == s and -2 ** 63 <= v < 2 ** 63 else None


def ziplist(items):
    out, previous, last = b'', 0, 10
    for item in items:
        entry = bytes([previous]) if previous < 254 else b'\xfe' + struct.pack('<I', previous)
        v = integer_or_none(item)
        if v is None:
            n = len(item)
            entry += (bytes([n]) if n < 64 else struct.pack('>H', 0x4000 | n) if n < 16384 else
                      b'\x80' + struct.pack('>I', n)) + item
        elif 0 <= v <= 12:
            entry += bytes([0xf1 + v])
        else:
            for code, size in ((0xfe, 1), (0xc0, 2), (0xf0, 3), (0xd0, 4), (0xe0, 8)):
                if -2 ** (8 * size - 1) <= v < 2 ** (8 * size - 1):
                    entry += bytes([code]) + struct.pack('<q', v)[:size]
                    break
        last = 10 + len(out)
        out += entry
        previous = len(entry)
    return struct.pack('<IIH', 11 + len(out), last, len(items)) + out + b'\xff'


def zipmap(pairs):
    out = bytes([len(pairs) if len(pairs) < 254 else 254])
    for field, value in pairs:
        def size(s):
            return bytes([len(s)]) if len(s) < 254 else b'\xfe' + struct.pack('<I', len(s))
        out += size(field) + field + size(value) + b'\0' + value
    return out + b'\xff'


def intset(numbers):
    numbers = sorted(numbers)
    width = next(w for w in (2, 4, 8) if all(-2 ** (8 * w - 1) <= v < 2 ** (8 * w - 1) for v in numbers))
    return struct.pack('<II', width, len(numbers)) + b''.join(struct.pack('<q', v)[:width] for v in numbers)


def old_payloads():
    r = random.Random(11)
    for n, longest in ((1, 4), (9, 70), (60, 300), (250, 20), (3, 20000)):
        items = elements(r, n, longest)
        distinct = list(dict.fromkeys(items))
        values = elements(r, len(distinct), longest)
        pairs = [w for p in zip(distinct, values) for w in p]
        # An old sorted set's ziplist is in order.
        scored = sorted((r.choice([r.randrange(-500, 500), r.uniform(-9, 9)]), m) for m in distinct)
        members = [w for s, m in scored for w in (m, b'%.17g' % s)]
        plain = [w for s, m in scored for w in (string(m), bytes([len(b'%.17g' % s)]), b'%.17g' % s)]
        numbers = {r.randrange(-2 ** 40, 2 ** 40) for _ in range(n)}
        yield 'list of ziplist', payload(b'\x0a' + string(ziplist(items)), 6)
        yield 'quicklist', payload(b'\x0e' + length(2) + string(ziplist(items)) + string(ziplist(items[::-1])), 7)
        yield 'hash of ziplist', payload(b'\x0d' + string(ziplist(pairs)), 6)
        yield 'zset of ziplist', payload(b'\x0c' + string(ziplist(members)), 6)
        yield 'zset as text', payload(b'\x03' + length(len(distinct)) + b''.join(plain), 6)
        yield 'zipmap', payload(b'\x09' + string(zipmap(list(zip(distinct, values)))), 6)
        yield 'intset', payload(b'\x0b' + string(intset(numbers)), 6)
        yield 'list', payload(b'\x01' + length(n) + b''.join(map(string, items)), 6)
        yield 'set', payload(b'\x02' + length(len(distinct)) + b''.join(map(string, distinct)), 6)
        yield 'hash', payload(b'\x04' + length(len(distinct)) + b''.join(map(string, pairs)), 6)


@suite.test
def older_forms(t):
    real, ours = peer('redis8'), t.server.conn()
    for name, bytes_ in old_payloads():
        seen = []
        for c in (real, ours):
            c('DEL', b'k')
            equal(c.call('RESTORE', b'k', 0, bytes_), ('+', b'OK'), name)
            seen.append(content(c))
        equal(seen[1], seen[0], name)


# ---------------------------------------------------------------- replies

RESTORES = """
    RESTORE k 0 {good}; RESTORE k 0 {good}; RESTORE k 0 {good} REPLACE; PTTL k; RESTORE k 0 {bad_sum} replace;
    RESTORE k 0 {newer} REPLACE; RESTORE k 0 {cut} REPLACE; RESTORE k 0 {nothing} REPLACE; RESTORE k 0 x
    REPLACE; GET k; RESTORE k -1 {good} REPLACE; RESTORE k x {good} REPLACE; RESTORE k x {good}; RESTORE k -1
    {good}; RESTORE k 0 {good} REPLACE FOO; RESTORE k 0 {good} IDLETIME; RESTORE k 0 {good} REPLACE IDLETIME -1;
    RESTORE k 0 {good} REPLACE IDLETIME x; RESTORE k 0 {good} REPLACE IDLETIME 10 FREQ 1; RESTORE k 0 {good}
    REPLACE FREQ 256; RESTORE k 0 {good} REPLACE FREQ 1 IDLETIME 10; RESTORE k 0 {good} FREQ; RESTORE k 0 {good}
    REPLACE IDLETIME 10; RESTORE k 0 {good} REPLACE FREQ 255; RESTORE k 4102444800123 {good} REPLACE ABSTTL;
    PEXPIRETIME k; RESTORE k 1 {good} REPLACE ABSTTL; EXISTS k; RESTORE k 1 {good} ABSTTL; EXISTS k; RESTORE k 1
    {bad_sum} ABSTTL; RESTORE k 1 {cut} ABSTTL; RPUSH k a; RESTORE k 1 {cut} REPLACE ABSTTL; EXISTS k; RESTORE k
    1 {good} REPLACE ABSTTL; EXISTS k; DUMP none; DUMP; RESTORE k 0; RPUSH k a; RESTORE k 0 {good} REPLACE; TYPE
    k; RESTORE k 0 {empty_set} REPLACE; RESTORE k 0 {twice} REPLACE; GET k
"""


@suite.test
def options_and_errors(t):
    real, ours = peer('redis8'), t.server.conn()
    good = payload(b'\0\2ab')
    bad_sum = good[:-1] + bytes([good[-1] ^ 1])
    newer = payload(b'\0\2ab', 13)
    cut = payload(b'\0\x20ab')  # Redis would take a little more from the footer
    payloads = {b'{good}': good, b'{bad_sum}': bad_sum, b'{newer}': newer, b'{cut}': cut, b'{nothing}': b'',
                b'{empty_set}': payload(b'\2\0'), b'{twice}': payload(b'\2\2\1a\1a')}
    lines = [[payloads.get(w, w) for w in split(line)] for line in RESTORES.replace('\n', ' ').split(';')]
    for version in ('2', '3'):
        for c in (real, ours):
            c.call('HELLO', version)
            c('FLUSHALL')
        for line in lines:
            equal(ours.call(*line), real.call(*line), repr(line[:4]))


@suite.test
def ttl_counts_from_now(t):
    c = t.server.conn()
    for old in ([], ['SET', 'k', 'old'], ['RPUSH', 'k', 'old'], ['SET', 'k', 'old', 'EX', 500]):
        c('DEL', 'k')
        if old:
            c(*old)
        equal(c.call('RESTORE', 'k', 100000, payload(b'\1\2\1a\1b'), 'REPLACE'), ('+', b'OK'))
        equal(c('LRANGE', 'k', 0, -1), [b'a', b'b'])
        true(90000 < c('PTTL', 'k') <= 100000, 'TTL')
        c('RESTORE', 'k', 0, payload(b'\1\1\1a'), 'REPLACE')
        equal(c('PTTL', 'k'), -1)
        equal(c('DBSIZE'), 1)
    c('RESTORE', 'k', 50, payload(b'\1\1\1a'), 'REPLACE')
    time.sleep(0.2)
    equal(c('EXISTS', 'k'), 0)


@suite.test
def fields_that_have_expired(t):
    c = t.server.conn()
    body = b'\x16\2\x81' + struct.pack('>Q', 1000) + b'\1f\1v' + b'\0\1g\1w'  # f died in 1970
    equal(c.call('RESTORE', 'k', 0, payload(body, 12)), ('+', b'OK'))
    equal(c('HGETALL', 'k'), [b'g', b'w'])
    body = b'\x16\1\x81' + struct.pack('>Q', 1000) + b'\1f\1v'
    equal(c.call('RESTORE', 'k', 0, payload(body, 12), 'REPLACE'), ('+', b'OK'))
    equal(c('EXISTS', 'k'), 0)
    soon = int(time.time() * 1000) + 300
    body = b'\x16\2\x81' + struct.pack('>Q', soon) + b'\1f\1v' + b'\0\1g\1w'
    equal(c.call('RESTORE', 'k', 0, payload(body, 12)), ('+', b'OK'))
    equal(sorted(c('HKEYS', 'k')), [b'f', b'g'])
    time.sleep(0.5)
    equal(c('HGETALL', 'k'), [b'g', b'w'])


@suite.test
def damaged_payloads(t):
    """Every byte of real payloads changed, checksums mended: refused, or read as some value that can be used."""
    real, ours = peer('redis8'), t.server.conn()
    r = random.Random(13)
    accepted = refused = 0
    commands = [[s] for s in strings()][:12] + [c for c in collections() if sum(map(len, c[0])) < 3000]
    for build_commands in commands:
        real('DEL', b'k')
        build(real, build_commands)
        good = bytearray(real('DUMP', b'k')[:-10])
        for at in r.sample(range(len(good)), min(len(good), 60)):
            damaged = bytearray(good)
            for _ in range(r.randrange(1, 3)):
                damaged[at] = r.randrange(256)
                at = r.randrange(len(good))
            reply = ours.call('RESTORE', b'k', 0, payload(bytes(damaged), 12), 'REPLACE')
            if reply[0] == '-':
                refused += 1
            else:
                accepted += 1
                content(ours)
                ours('OBJECT', 'ENCODING', b'k')
    equal(ours.call('PING'), ('+', b'PONG'))
    true(accepted > 50 and refused > 50, '%d accepted, %d refused' % (accepted, refused))


@suite.test
def reload_keeps_everything(t):
    c = t.server.conn()
    want = {}
    for db in (0, 3):
        c('SELECT', db)
        for i, commands in enumerate([[s] for s in strings()] + list(collections())):
            key = b'key:%d' % i
            build(c, [[command[0], key] + command[2:] for command in commands])
            if i % 3 == 0:
                c('PEXPIREAT', key, 4102444800000 + i)
            want[db, key] = content(c, key)
    if c.call('DEBUG', 'RELOAD')[0] == '-':
        raise Skip('no DEBUG RELOAD')
    for db in (0, 3):
        c('SELECT', db)
        equal(c('DBSIZE'), len(want) // 2)
        for (at, key), before in want.items():
            if at == db:
                equal(content(c, key), before, repr(key))


if __name__ == '__main__':
    suite.main()
