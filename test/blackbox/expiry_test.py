#!/usr/bin/python3
"""Expiry on time: a million keys with deadlines within one second neither stall the server for more than 2 ms nor
stay for more than a second; nothing goes early; the index does not grow with repeated deadlines.

Stalls are measured from outside, by a client that asks all the time. What the machine adds is taken off: the time for
which a thread of the server, or the client's own, was ready but had no CPU (schedstat); a disturbed test is repeated.
On a real Redis (whose active cycle is allowed 25 ms and
works by sampling) the bounds are wider: there the test only shows that the measuring works.
"""
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import Suite, equal, out_of_bounds, true, wait_until  # noqa: E402
from server import Machine  # noqa: E402

suite = Suite('expiry')
KEYS = int(os.environ.get('WEFT_EXPIRY_KEYS', '1000000'))


def waited_ns(files):
    """How long the threads were ready to run but had no CPU, so far."""
    total = 0
    for f in files:
        f.seek(0)
        total += int(f.read().split()[1])
    return total


def probe(server, until_s, look=None):
    """Round trips of a GET, one after the other, until the time; in ms without waiting for a CPU, with when each
    began. look() is called between them, every 20 ms: a second thread would make this one wait for the interpreter."""
    out = []
    folder = '/proc/%d/task' % server.pid
    files = [open('/proc/thread-self/schedstat')]
    files += [open('%s/%s/schedstat' % (folder, task)) for task in os.listdir(folder)]
    looked = 0
    with server.conn() as c:
        while True:
            began = time.time()
            if began > until_s:
                break
            if look and began > looked + 0.02:
                looked = began
                look(began)
                continue
            waited = waited_ns(files)
            before = time.perf_counter()
            c.call(b'GET', b'probe')
            took = time.perf_counter() - before
            out.append((began, max(0, took * 1000 - (waited_ns(files) - waited) / 1e6)))
            time.sleep(0.0002)
    for f in files:
        f.close()
    return out


def load(server, deadline_ms, window_ms, count):
    """count keys in three families whose deadlines are spread over the window."""
    with server.conn(timeout=120) as c:
        for at in range(0, count, 2000):
            parts = []
            for i in range(at, min(at + 2000, count)):
                key = b'dying:%d' % i
                when = b'%d' % (deadline_ms + i * 7919 % window_ms)
                parts.append(b'*5\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$1\r\nv\r\n$4\r\nPXAT\r\n$%d\r\n%s\r\n' % (
                    len(key), key, len(when), when))
            c.send_raw(b''.join(parts))
            for _ in parts:
                if c.read() != ('+', b'OK'):
                    raise AssertionError('SET failed')


def quantile(values, q):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * q))]


def mass_expiry(t, shards):
    stall_ms, linger_s = (2.0, 1.0) if t.server.is_weft else (60.0, 15.0)
    problems = []
    machine = Machine()
    for attempt in range(4):
        s = t.start(shards=shards)
        # Long enough to load them all; a slow machine shifts the window, it does not thin it out.
        start = time.time()
        load(s, int((start + 3600) * 1000), 1000, 20000)
        per_key = (time.time() - start) / 20000
        with s.conn() as c:
            c('FLUSHALL')
            c('SET', 'probe', 'x')
        due = time.time() + per_key * KEYS * (1.3 + attempt) + 1.0
        load(s, int(due * 1000), 1000, KEYS)
        if time.time() > due:
            problems.append('loading took too long')
            s.stop()
            continue
        with s.conn() as c:
            equal(c('DBSIZE'), KEYS + 1, 'nothing goes early')
        quiet = [ms for _, ms in probe(s, time.time() + 0.5)] if time.time() + 0.5 < due else [0.3]
        noise = max(quiet)
        gone = None
        with s.conn() as c:
            def count(now):
                nonlocal gone
                if gone is None and now > due + 1.0 and c('DBSIZE') == 1:
                    gone = time.time() - (due + 1.0)
            time.sleep(max(0, due - time.time() - 0.1))
            found = probe(s, due + 2.0 + linger_s, count)
            stats = c('INFO', 'stats')
        window = [ms for began, ms in found if due - 0.05 <= began <= due + 1.0 + linger_s]
        worst, p999 = max(window), quantile(window, 0.999)
        line = ('%d shards: worst round trip %.2f ms (p99.9 %.2f, quiet before %.2f), '
                'gone %s after the last deadline') % (
            shards or 1, worst, p999, noise, '%.2f s' % gone if gone is not None else 'NOT')
        print('    ' + line, flush=True)
        true(b'expired_keys:%d' % KEYS in stats or gone is None, 'expired_keys counts them: %r' % stats)
        s.stop()
        if gone is not None and gone <= linger_s and worst <= stall_ms + noise:
            return
        problems.append(line)
    raise out_of_bounds(machine, 'four times out of bounds (%g ms, %g s): %s' % (
        stall_ms, linger_s, '; '.join(problems)))


@suite.test
def a_million_keys_one_shard(t):
    mass_expiry(t, 1)


@suite.test
def a_million_keys_two_shards(t):
    mass_expiry(t, 2)


@suite.test
def never_early_never_late(t):
    """Deadlines over one second: before its own a key is there, after it it is not."""
    c = t.server.conn()
    n = 2000
    start = int(time.time() * 1000) + 300
    deadlines = [start + i * 911 % 1000 for i in range(n)]
    c.pipeline([[b'SET', b'k:%d' % i, b'v', b'PXAT', b'%d' % d] for i, d in enumerate(deadlines)])
    while True:
        before = int(time.time() * 1000)
        replies = c.call(b'MGET', *[b'k:%d' % i for i in range(n)])[1]
        after = int(time.time() * 1000)
        for i, (reply, deadline) in enumerate(zip(replies, deadlines)):
            if reply[1] is None and after < deadline:
                raise AssertionError('k:%d went %d ms early' % (i, deadline - after))
            # The server's clock may be read once per turn.
            if reply[1] is not None and before > deadline + 5:
                raise AssertionError('k:%d is %d ms late' % (i, before - deadline))
        if before > start + 1010:
            break
    wait_until(lambda: c('DBSIZE') == 0, 1.0, 'all are gone without being touched')


@suite.test
def untouched_keys_and_fields_go_by_themselves(t):
    c = t.server.conn()
    c.pipeline([[b'SET', b's', b'v', b'PX', b'100'], [b'RPUSH', b'l', b'1'], [b'PEXPIRE', b'l', b'120'],
                [b'HSET', b'h', b'a', b'1', b'b', b'2'], [b'HPEXPIRE', b'h', b'100', b'FIELDS', b'1', b'a'],
                [b'HSET', b'h2', b'a', b'1'], [b'HPEXPIRE', b'h2', b'100', b'FIELDS', b'1', b'a']])
    equal(c('DBSIZE'), 4)
    # DBSIZE and HLEN touch nothing: only the active cycle can make them fall.
    wait_until(lambda: c('DBSIZE') == 1, 2.5, 'keys, and the hash whose last field went, disappear')
    wait_until(lambda: c('HLEN', 'h') == 1, 2.5, 'the field disappears')
    equal(c('HGETALL', 'h'), [b'b', b'2'])


@suite.test
def set_active_expire_off_leaves_lazy_expiry(t):
    c = t.server.conn()
    c('DEBUG', 'SET-ACTIVE-EXPIRE', '0')
    try:
        c('SET', 'k', 'v', 'PX', '50')
        time.sleep(0.4)
        equal(c('DBSIZE'), 1, 'nothing is removed by itself')
        equal(c('GET', 'k'), None)
        equal(c('DBSIZE'), 0, 'the access removed it')
    finally:
        c('DEBUG', 'SET-ACTIVE-EXPIRE', '1')


@suite.test
def renewed_deadlines_cost_no_memory(t):
    """SET EX on the same keys again and again (sessions): memory must not grow with the number of renewals."""
    s = t.start(shards=2)
    c = s.conn()

    def used():
        return int(next(x for x in c('INFO', 'memory').split(b'\r\n') if x.startswith(b'used_memory:'))[12:])
    batch = [[b'SET', b'session:%d' % i, b'v' * 20, b'EX', b'1800'] for i in range(5000)]
    for _ in range(10):
        c.pipeline(batch)
    first = used()
    for _ in range(60):
        c.pipeline(batch)
    second = used()
    true(second < first * 1.15 + (1 << 20), 'used_memory went from %d to %d by 300,000 renewals' % (first, second))
    # A later deadline given by EXPIRE is the one that counts, an earlier one too.
    c.pipeline([[b'PEXPIRE', b'session:1', b'60'], [b'PEXPIRE', b'session:1', b'100000'],
                [b'PEXPIRE', b'session:2', b'100000'],
                [b'PEXPIRE', b'session:2', b'60'], [b'PEXPIRE', b'session:3', b'60'], [b'PERSIST', b'session:3']])
    time.sleep(0.15)
    if s.is_weft:     # Redis finds two of five thousand by luck only
        wait_until(lambda: c('DBSIZE') == 4999, 2.5, 'exactly one expires')
    equal([c('EXISTS', b'session:%d' % i) for i in (1, 2, 3)], [1, 0, 1])


if __name__ == '__main__':
    suite.main()
