#!/usr/bin/python3
"""maxmemory: honoured within 2 % under every policy, on one and on four shards, with keys spread over all slots and
with all keys in one slot; noeviction answers -OOM; INFO's figures follow what is stored.
"""
import binascii
import os
import random
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import Suite, equal, true, wait_until  # noqa: E402

suite = Suite('maxmemory')
MB = 1 << 20
LIMIT = 48 * MB
VALUE = 1000
OOM = ('-', b"OOM command not allowed when used memory > 'maxmemory'.")


def used(c):
    for line in c('INFO', 'memory').split(b'\r\n'):
        if line.startswith(b'used_memory:'):
            return int(line[12:])
    raise AssertionError('no used_memory in INFO')


def stat(c, section, name):
    for line in c('INFO', section).split(b'\r\n'):
        if line.startswith(name + b':'):
            return line.split(b':', 1)[1]
    raise AssertionError('no %s in INFO %s' % (name.decode(), section))


def fill(c, names, value=None, ttl=None, check=None):
    """SETs in pipelines; `check` runs after each pipeline."""
    value = value or os.urandom(VALUE)
    names = list(names)
    step = max(1, min(500, 200000 // len(value)))  # the server's buffers for a pipeline count as used memory, too
    for at in range(0, len(names), step):
        batch = [[b'SET', n, value] + ([b'EX', b'%d' % ttl(i)] if ttl else [])
                 for i, n in enumerate(names[at:at + step], at)]
        for reply in c.pipeline(batch):
            if reply != ('+', b'OK') and reply != OOM:
                raise AssertionError('SET: %r' % (reply,))
        if check:
            check()


def within(c, low=True):
    now = used(c)
    true(now <= LIMIT * 1.02, 'used_memory %d is at most 2 %% above %d' % (now, LIMIT))
    if low:
        true(now >= LIMIT * 0.95, 'used_memory %d: not more than needed is evicted below %d' % (now, LIMIT))


SHAPES = {'spread': b'key:%d', 'one_slot': b'{x}key:%d'}
EVICTING = ['allkeys-lru', 'allkeys-lfu', 'allkeys-random', 'volatile-lru', 'volatile-lfu', 'volatile-random',
            'volatile-ttl']


def add(policy, shards, shape):
    def body(t):
        s = t.start(['--maxmemory', LIMIT, '--maxmemory-policy', policy], shards=shards)
        c = s.conn()
        name = SHAPES[shape]
        volatile = policy.startswith('volatile')
        kept = [b'{x}keep:%d' % i if shape == 'one_slot' else b'keep:%d' % i for i in range(2000)]
        if volatile:
            fill(c, kept)
        peak = [0]

        def check():
            peak[0] = max(peak[0], used(c))
        rng = random.Random(3)
        fill(c, (name % i for i in range(120000)), ttl=(lambda i: rng.randrange(1000, 100000)) if volatile else None,
             check=check)
        true(peak[0] <= LIMIT * 1.02, 'the peak of used_memory, %d, is at most 2 %% above %d' % (peak[0], LIMIT))
        within(c)
        true(int(stat(c, 'stats', b'evicted_keys')) > 50000, 'evicted_keys counts')
        if volatile:
            equal(c('EXISTS', *kept), len(kept), 'keys without a deadline are not evicted by ' + policy)
        # The youngest are there, whatever the policy (but random and ttl may take them).
        if policy.endswith('lru'):
            last = [name % i for i in range(119000, 120000)]
            true(c('EXISTS', *last) > 900, 'the youngest keys are kept by ' + policy)
        # Replacing values by larger ones stays within the limit.
        fill(c, [name % i for i in range(119000, 120000)], value=b'x' * 5000,
             ttl=(lambda i: 1000) if volatile else None)
        within(c)
        # A lower limit takes effect by itself.
        equal(c.call('CONFIG', 'SET', 'maxmemory', LIMIT // 2), ('+', b'OK'))
        wait_until(lambda: used(c) <= LIMIT // 2 * 1.02, 10, 'eviction down to a lower limit')
    body.__name__ = '%s_%s_%d_shards' % (policy.replace('-', '_'), shape, shards)
    suite.test(body)


for _shards in (1, 4):
    for _shape in SHAPES:
        _all = _shards == 1 and _shape == 'spread'
        for _policy in EVICTING if _all else ['allkeys-lru', 'allkeys-lfu', 'volatile-ttl']:
            add(_policy, _shards, _shape)


def no_eviction(t, shards, shape):
    s = t.start(['--maxmemory', LIMIT], shards=shards)
    c = s.conn()
    name = SHAPES[shape]
    value = b'v' * VALUE
    written = 0
    while written < 120000:
        replies = c.pipeline([[b'SET', name % i, value] for i in range(written, written + 500)])
        good = sum(r == ('+', b'OK') for r in replies)
        written += good
        if good < 500:
            equal(set(r for r in replies if r[0] == '-'), {OOM})
            # Buffers of the pipeline count too: when they are free again, some more may fit.
            time.sleep(0.25)
            extra = c.call('SET', name % written, value)
            if extra == OOM:
                break
            written += 1
    within(c)
    equal(c('DBSIZE'), written, 'nothing was evicted')
    for words in (['SET', 'a', 'b'], ['LPUSH', 'l', 'x'], ['APPEND', name % 1, 'x'], ['INCR', 'n'],
                  ['ZADD', 'z', '1', 'm'],
                  ['HSET', 'h', 'f', 'v'], ['SADD', 's', 'm'], ['COPY', name % 1, 'copy'], ['SETRANGE', 'r', '0', 'x']):
        equal(c.call(*words), OOM, str(words))
    # A queued write over the limit aborts its transaction.
    out = c.pipeline([[b'MULTI'], [b'SET', b'a', b'b'], [b'EXEC']])
    equal(out[1], OOM)
    equal(out[2], ('-', b'EXECABORT Transaction discarded because of previous errors.'))
    # Reads and what frees memory work.
    equal(c('GET', name % 1), value)
    equal(c('EXPIRE', name % 1, 100), 1)
    equal(c('DEL', *[name % i for i in range(3000)]), 3000)
    wait_until(lambda: used(c) < LIMIT, 5, 'freed memory is counted')
    equal(c.call('SET', 'a', 'b'), ('+', b'OK'))
    equal(int(stat(c, 'stats', b'evicted_keys')), 0)


for _shards in (1, 4):
    for _shape in SHAPES:
        def _body(t, shards=_shards, shape=_shape):
            no_eviction(t, shards, shape)
        _body.__name__ = 'noeviction_%s_%d_shards' % (_shape, _shards)
        suite.test(_body)


@suite.test
def hot_keys_survive(t):
    """LRU and LFU keep what is used: a hot set, read between writes, is still there at the end."""
    for policy in ('allkeys-lru', 'allkeys-lfu'):
        s = t.start(['--maxmemory', LIMIT, '--maxmemory-policy', policy], shards=2)
        c = s.conn()
        hot = [b'hot:%d' % i for i in range(1000)]
        fill(c, hot)
        for _ in range(20):
            c('MGET', *hot[:500])
            c('MGET', *hot[500:])

        def touch():
            c('MGET', *random.sample(hot, 200))
            time.sleep(0.02)        # Redis's LRU clock has seconds
        fill(c, (b'cold:%d' % i for i in range(100000)), check=touch)
        left = c('EXISTS', *hot)
        true(left >= 900, '%d of 1000 hot keys survived %s' % (left, policy))


@suite.test
def nearest_deadline_goes_first(t):
    s = t.start(['--maxmemory', LIMIT, '--maxmemory-policy', 'volatile-ttl'], shards=2)
    c = s.conn()
    # Half die soon, half late, interleaved.
    fill(c, (b'key:%d' % i for i in range(60000)), ttl=lambda i: 1000 if i % 2 else 100000)
    soon = sum(c('EXISTS', *[b'key:%d' % i for i in range(at, at + 1000, 2)]) for at in range(1, 60000, 1000))
    late = sum(c('EXISTS', *[b'key:%d' % i for i in range(at, at + 1000, 2)]) for at in range(0, 60000, 1000))
    true(late > 1.5 * soon, 'of the early ones %d are left, of the late ones %d' % (soon, late))


@suite.test
def writes_wait_for_other_shards(t):
    """One shard holds nearly everything, all writes come to the other: it has nothing to evict, but none is refused."""
    s = t.start(['--maxmemory', 8 * MB, '--maxmemory-policy', 'allkeys-lru'], shards=2)
    c, other = s.conn(), s.conn()
    fill(c, (b'{x}key:%d' % i for i in range(8000)))
    def shard(tag):
        return (binascii.crc_hqx(tag, 0) & 16383) // 8192
    tag = next(b'{%d}' % i for i in range(100) if shard(b'%d' % i) != shard(b'x'))
    value = os.urandom(100000)
    for i in range(0, 60, 10):
        writer = [c, other][i // 10 % 2]
        for reply in writer.pipeline([[b'SET', b'%s%d' % (tag, at), value] for at in range(i, i + 10)]):
            equal(reply, ('+', b'OK'), 'the other shard makes room')


@suite.test
def closed_clients_make_room(t):
    """What clients hold that do not read evicts all keys; as soon as they are closed there is room again."""
    s = t.start(['--maxmemory', 11 * MB, '--maxmemory-policy', 'allkeys-lru'], shards=2)
    c = s.conn()
    for _ in range(3):
        c('FLUSHDB')
        for i in range(50):
            equal(c('SETRANGE', i, 100000, 'x'), 100001, 'there is room')
        c('CONFIG', 'RESETSTAT')
        mute = [s.conn() for _ in range(20)]
        deadline = time.time() + 20
        while stat(c, 'stats', b'evicted_keys') == b'0' and time.time() < deadline:
            for m in mute:
                m.send([[b'MGET', b'1']])
        true(c('DBSIZE') < 50, 'output buffers evict keys')
        for m in mute:
            m.close()


@suite.test
def a_field_that_expires_makes_no_key_volatile(t):
    """volatile-ttl takes keys with a deadline of their own, never a hash of which only a field has one."""
    s = t.start(['--maxmemory', 8 * MB, '--maxmemory-policy', 'volatile-ttl'], shards=2)
    c = s.conn()
    for i in range(100):
        c('HSET', b'hash:%d' % i, 'f', 'v', 'g', 'v')
        c('HEXPIRE', b'hash:%d' % i, 1000 + i, 'FIELDS', 1, 'f')
    fill(c, (b'key:%d' % i for i in range(20000)), ttl=lambda i: 5000 + i)
    fill(c, (b'stays:%d' % i for i in range(20000)))
    equal(c('EXISTS', *[b'hash:%d' % i for i in range(100)]), 100, 'no hash was evicted')
    true(int(stat(c, 'stats', b'evicted_keys')) > 1000, 'keys with deadlines were')


@suite.test
def big_collections_count(t):
    """The limit holds for collections and for one huge key, too."""
    s = t.start(['--maxmemory', LIMIT, '--maxmemory-policy', 'allkeys-lru'], shards=2)
    c = s.conn()
    member = b'm' * 60
    for kind in (b'RPUSH', b'SADD', b'ZADD', b'HSET'):
        for key in range(60):
            words = []
            for i in range(8000 if kind == b'RPUSH' else 3000):
                m = b'%d:' % i + member
                words += [b'%d' % i, m] if kind == b'ZADD' else [m, b'v'] if kind == b'HSET' else [m]
            c.call(kind, b'%s:%d' % (kind, key), *words)
        within(c, low=False)
    equal(int(stat(c, 'stats', b'evicted_keys')) > 50, True, 'collections were evicted')


@suite.test
def accounting_follows_contents(t):
    """used_memory rises by what is stored and falls back to where it was; no drift over rounds."""
    s = t.start(shards=2)
    c = s.conn()
    fill(c, (b'warm:%d' % i for i in range(20000)))
    c('FLUSHALL')
    time.sleep(0.3)
    base = used(c)
    for _ in range(3):
        fill(c, (b'key:%d' % i for i in range(30000)))
        full = used(c)
        true(30000 * VALUE <= full - base <= 30000 * VALUE * 1.35,
             '30,000 values of 1000 bytes: %d bytes' % (full - base))
        for at in range(0, 30000, 1000):
            c('DEL', *[b'key:%d' % i for i in range(at, at + 1000)])
        wait_until(lambda: used(c) < base + 3 * MB, 5, 'memory falls back after DEL: %d, base %d' % (used(c), base))
    c('SET', 'k', 'v' * 10000)
    usage = c('MEMORY', 'USAGE', 'k')
    true(10000 <= usage <= 14000, 'MEMORY USAGE of a 10,000 byte string: %d' % usage)
    true(int(stat(c, 'memory', b'used_memory_peak')) >= 30000 * VALUE, 'used_memory_peak')
    true(int(stat(c, 'memory', b'maxmemory')) == 0, 'maxmemory 0')


if __name__ == '__main__':
    suite.main()
