#!/usr/bin/python3
"""What concurrent clients may never see, whatever the number of shards: each test runs clients against each other for
a while and checks an invariant that only atomic, isolated, ordered execution keeps.

    torn MSET, torn EXEC, torn FLUSHALL          readers would see a mixture
    a lost or doubled member                     SMOVE, LMOVE, RENAME, SUNIONSTORE conserve
    a reordered session                          SET job:i; LPUSH queue i  and the litmus tests of memory models
    a lost update                                WATCH/EXEC counters and transfers

Keys are spread over slots (no common tag), so with several shards nearly every command crosses shards. On weft each
test runs a second time while CONFIG SET shards hands the partitions over. selftest.py shows that every one of these
checkers fails on a server which breaks its promise.
"""
import itertools
import os
import random
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import Skip, Suite, equal, true  # noqa: E402

suite = Suite('concurrency')
SECONDS = float(os.environ.get('WEFT_CONCURRENCY_S', '3'))


class Crowd:
    """Threads which run until the time is over or one of them finds something wrong."""

    def __init__(self, server):
        self.server = server
        self.stop = threading.Event()
        self.problems = []
        self.threads = []
        self.counts = {}

    def add(self, name, body, *args):
        """body(conn, stop, *args) -> how often it did its thing."""
        def run():
            try:
                with self.server.conn() as c:
                    n = body(c, self.stop, *args)
                self.counts[name] = self.counts.get(name, 0) + (n or 0)
            except Exception as e:     # whatever happened, it is a finding
                self.problems.append('%s: %s: %s' % (name, type(e).__name__, e))
                self.stop.set()
        self.threads.append(threading.Thread(target=run, daemon=True))

    def run(self, seconds=SECONDS):
        for thread in self.threads:
            thread.start()
        self.stop.wait(seconds)
        self.stop.set()
        for thread in self.threads:
            thread.join(60)
            true(not thread.is_alive(), 'a client hangs')
        if self.problems:
            raise AssertionError(self.problems[0])
        for name, count in self.counts.items():
            true(count > 0, '%s did nothing: the test would prove nothing' % name)


def reshard(c, stop):
    """Keeps moving partitions."""
    done = 0
    for n in itertools.cycle([2, 4, 1, 3, 7, 2]):
        if stop.is_set():
            c('CONFIG', 'SET', 'shards', 2)
            return done
        equal(c.call('CONFIG', 'SET', 'shards', n), ('+', b'OK'))
        done += 1
        time.sleep(0.1)


def scenario(body):
    """Registers the body as a test, and once more while the shards change."""
    suite.test(body)

    def moving(t):
        if not t.server.is_weft:
            raise Skip('only weft changes its number of shards')
        body(t, lambda crowd: crowd.add('reshard', reshard))
    moving.__name__ = body.__name__ + '_while_resharding'
    suite.test(moving)
    return body


def nothing(crowd):
    pass


KEYS = [b'key:%d' % i for i in range(10)]


# ---------------------------------------------------------------- torn writes

@scenario
def torn_mset(t, also=nothing):
    """Writers set all keys to one token, readers find one token in all keys, and a writer's own tokens in order."""
    def writer(c, stop, me):
        n = 0
        while not stop.is_set():
            batch = []
            for _ in range(5):
                n += 1
                token = b'%d:%d' % (me, n)
                keys = random.sample(KEYS, len(KEYS))
                batch.append([b'MSET'] + [w for k in keys for w in (k, token)])
            for reply in c.pipeline(batch):
                equal(reply, ('+', b'OK'))
        return n

    def reader(c, stop):
        n = 0
        last = {}
        read = [b'MGET'] + KEYS
        multi = [[b'MULTI']] + [[b'GET', k] for k in KEYS] + [[b'EXEC']]
        while not stop.is_set():
            if n % 3:
                values = c.call(*read)[1]
            else:
                values = c.pipeline(multi)[-1][1]
            if len(set(values)) != 1:
                raise AssertionError('torn: %r' % (values,))
            me, count = values[0][1].split(b':')
            # One writer's writes cannot be seen backwards.
            if int(count) < last.get(me, 0):
                raise AssertionError('writer %s went back from %d to %s' % (me, last[me], count))
            last[me] = int(count)
            n += 1
        return n

    with t.server.conn() as c:
        c.call(*[b'MSET'] + [w for k in KEYS for w in (k, b'0:0')])
    crowd = Crowd(t.server)
    for i in range(3):
        crowd.add('writer', writer, i + 1)
        crowd.add('reader', reader)
    also(crowd)
    crowd.run()


@scenario
def torn_msetnx(t, also=nothing):
    """MSETNX sets all or nothing; DEL of all removes all."""
    def claim(c, stop, me):
        n = 0
        while not stop.is_set():
            won = c('MSETNX', *[w for k in random.sample(KEYS, len(KEYS)) for w in (k, me)])
            values = set(v[1] for v in c.call(b'MGET', *KEYS)[1])
            if len(values) != 1:
                raise AssertionError('torn: %r' % values)
            if won:
                equal(values, {b'%d' % me}, 'the winner\'s own view')
                equal(c('DEL', *random.sample(KEYS, len(KEYS))), len(KEYS))
                n += 1
        return n

    crowd = Crowd(t.server)
    for i in range(4):
        crowd.add('claim', claim, i)
    also(crowd)
    crowd.run()


@scenario
def torn_transaction(t, also=nothing):
    """Transfers between accounts in MULTI: every snapshot has the same sum, also across databases."""
    accounts = [b'account:%d' % i for i in range(8)]

    def transfer(c, stop):
        n = 0
        while not stop.is_set():
            a, b = random.sample(accounts, 2)
            amount = b'%d' % random.randrange(1, 100)
            out = c.pipeline([[b'MULTI'], [b'DECRBY', a, amount], [b'INCRBY', b, amount], [b'EXEC']])
            equal(out[-1][0], '*')
            n += 1
        return n

    def audit(c, stop):
        n = 0
        while not stop.is_set():
            balances = [int(v) for v in c('MGET', *accounts)]
            equal(sum(balances), 8000, 'the sum of %r' % balances)
            n += 1
        return n

    with t.server.conn() as c:
        c.call(*[b'MSET'] + [w for k in accounts for w in (k, b'1000')])
    crowd = Crowd(t.server)
    for _ in range(3):
        crowd.add('transfer', transfer)
    crowd.add('audit', audit)
    crowd.add('audit', audit)
    also(crowd)
    crowd.run()


@scenario
def torn_flushall(t, also=nothing):
    """FLUSHALL and SWAPDB are one step for everybody."""
    def fill(c, stop):
        n = 0
        while not stop.is_set():
            n += 1
            c.call(*[b'MSET'] + [w for k in KEYS for w in (k, b'%d' % n)])
        return n

    def flush(c, stop):
        n = 0
        while not stop.is_set():
            c(*random.choice([('FLUSHALL',), ('SWAPDB', '0', '1'), ('FLUSHDB', 'ASYNC')]))
            n += 1
            time.sleep(0.001)
        return n

    def look(c, stop):
        n = 0
        while not stop.is_set():
            values = c('MGET', *KEYS)
            if len(set(values)) != 1:
                raise AssertionError('torn: %r' % values)
            n += 1
        return n

    crowd = Crowd(t.server)
    crowd.add('fill', fill)
    crowd.add('flush', flush)
    crowd.add('look', look)
    crowd.add('look', look)
    also(crowd)
    crowd.run()


# ---------------------------------------------------------------- conservation

@scenario
def smove_keeps_members(t, also=nothing):
    """Members wander between sets; no snapshot misses one or has one twice."""
    sets = [b'set:%d' % i for i in range(6)]
    members = [b'm%d' % i for i in range(40)]

    def move(c, stop):
        n = 0
        while not stop.is_set():
            batch = [[b'SMOVE'] + random.sample(sets, 2) + [random.choice(members)] for _ in range(10)]
            n += sum(r[1] for r in c.pipeline(batch))
        return n

    def union(c, stop):
        n = 0
        while not stop.is_set():
            equal(len(c('SUNION', *sets)), len(members), 'the union of all sets')
            cards = c.pipeline([[b'MULTI']] + [[b'SCARD', s] for s in sets] + [[b'EXEC']])[-1]
            equal(sum(r[1] for r in cards[1]), len(members), 'the sum of all cardinalities %r' % (cards,))
            equal(c('SUNIONSTORE', b'copy of all', *sets), len(members))
            n += 1
        return n

    with t.server.conn() as c:
        c('SADD', sets[0], *members)
    crowd = Crowd(t.server)
    for _ in range(3):
        crowd.add('move', move)
    crowd.add('union', union)
    crowd.add('union', union)
    also(crowd)
    crowd.run()
    with t.server.conn() as c:
        everything = sorted(m for s in sets for m in c('SMEMBERS', s))
        equal(everything, sorted(members), 'each member in exactly one set at the end')


@scenario
def lists_keep_elements(t, also=nothing):
    """LMOVE and RPOPLPUSH between lists; nothing is lost or doubled."""
    lists = [b'list:%d' % i for i in range(5)]

    def move(c, stop):
        n = 0
        while not stop.is_set():
            batch = []
            for _ in range(10):
                a, b = random.choice(lists), random.choice(lists)
                batch.append([b'RPOPLPUSH', a, b] if random.random() < 0.3 else
                             [b'LMOVE', a, b, random.choice([b'LEFT', b'RIGHT']), random.choice([b'LEFT', b'RIGHT'])])
            n += sum(1 for r in c.pipeline(batch) if r[1] is not None)
        return n

    def count(c, stop):
        n = 0
        while not stop.is_set():
            out = c.pipeline([[b'MULTI']] + [[b'LRANGE', l, b'0', b'-1'] for l in lists] + [[b'EXEC']])[-1]
            elements = sorted(int(e[1]) for r in out[1] for e in r[1])
            equal(elements, list(range(50)), 'all elements in one snapshot')
            n += 1
        return n

    with t.server.conn() as c:
        c('RPUSH', lists[0], *range(50))
    crowd = Crowd(t.server)
    for _ in range(3):
        crowd.add('move', move)
    crowd.add('count', count)
    also(crowd)
    crowd.run()


@scenario
def rename_passes_one_key_on(t, also=nothing):
    """One value wanders through names by RENAME and RENAMENX: it always has exactly one name, and its content."""
    names = [b'name:%d' % i for i in range(7)]
    content = [b'%d' % i for i in range(200)]

    def rename(c, stop):
        n = 0
        while not stop.is_set():
            a, b = random.sample(names, 2)
            reply = c.call(random.choice([b'RENAME', b'RENAMENX']), a, b)
            if reply in (('+', b'OK'), (':', 1)):
                n += 1
            else:
                equal(reply, ('-', b'ERR no such key'))
        return n

    def look(c, stop):
        n = 0
        while not stop.is_set():
            equal(c('EXISTS', *names), 1, 'names that exist')
            out = c.pipeline([[b'MULTI']] + [[b'LRANGE', k, b'0', b'-1'] for k in names] + [[b'EXEC']])[-1]
            whole = [r[1] for r in out[1] if r[1]]
            equal(len(whole), 1)
            equal([e[1] for e in whole[0]], content)
            n += 1
        return n

    with t.server.conn() as c:
        c('RPUSH', names[0], *content)
    crowd = Crowd(t.server)
    for _ in range(3):
        crowd.add('rename', rename)
    crowd.add('look', look)
    crowd.add('look', look)
    also(crowd)
    crowd.run()


@scenario
def copy_is_a_snapshot(t, also=nothing):
    """A hash whose two fields always change together; COPY, DUMP and HGETALL never catch them apart."""
    def change(c, stop):
        n = 0
        while not stop.is_set():
            n += 1
            c('HSET', 'source', 'a', n, 'b', n)
        return n

    def copy(c, stop, me):
        n = 0
        while not stop.is_set():
            target = b'target:%d' % random.randrange(20)
            out = c.pipeline([[b'COPY', b'source', target, b'REPLACE'], [b'HMGET', target, b'a', b'b']])
            a, b = out[1][1]
            equal(a, b, 'the two fields of a copy')
            n += 1
        return n

    with t.server.conn() as c:
        c('HSET', 'source', 'a', 0, 'b', 0)
    crowd = Crowd(t.server)
    crowd.add('change', change)
    crowd.add('copy', copy, 1)
    also(crowd)
    crowd.run()


# ---------------------------------------------------------------- order within a session

@scenario
def job_before_queue_entry(t, also=nothing):
    """SET job:i; LPUSH queue i in one pipeline: who pops i finds its job."""
    def produce(c, stop, me):
        n = 0
        while not stop.is_set():
            batch = []
            for _ in range(20):
                n += 1
                job = b'%d-%d' % (me, n)
                batch += [[b'SET', b'job:' + job, job], [b'LPUSH', b'queue', job]]
            c.pipeline(batch)
        return n

    def work(c, stop):
        n = 0
        while not stop.is_set():
            job = c('LPOP', 'queue')       # the newest: the narrowest race
            if job is None:
                continue
            equal(c('GET', b'job:' + job), job, 'the job of a queue entry')
            c('DEL', b'job:' + job)
            n += 1
        return n

    crowd = Crowd(t.server)
    crowd.add('produce', produce, 1)
    crowd.add('produce', produce, 2)
    for _ in range(3):
        crowd.add('work', work)
    also(crowd)
    crowd.run()


@scenario
def own_writes_are_read(t, also=nothing):
    """In one pipeline: every read sees the session's own last write, in order, over many keys."""
    def session(c, stop, me):
        n = 0
        keys = [b'own:%d:%d' % (me, i) for i in range(8)]
        while not stop.is_set():
            batch, wanted = [], []
            for _ in range(30):
                n += 1
                k, k2 = random.sample(keys, 2)
                value = b'%d' % n
                batch += [[b'SET', k, value], [b'GET', k], [b'RENAME', k, k2], [b'GET', k2], [b'EXISTS', k]]
                wanted += [('+', b'OK'), ('$', value), ('+', b'OK'), ('$', value), (':', 0)]
            equal(c.pipeline(batch), wanted)
        return n

    crowd = Crowd(t.server)
    for i in range(4):
        crowd.add('session', session, i)
    also(crowd)
    crowd.run()


@scenario
def message_passing(t, also=nothing):
    """Litmus MP: one session writes data then flag; whoever sees the flag sees the data."""
    pairs = [(b'data:%d' % i, b'flag:%d' % i) for i in range(5)]

    def write(c, stop):
        n = 0
        while not stop.is_set():
            batch = []
            for data, flag in pairs:
                n += 1
                batch += [[b'SET', data, b'%d' % n], [b'SET', flag, b'%d' % n]]
            c.pipeline(batch)
        return n

    def read(c, stop):
        n = 0
        while not stop.is_set():
            data, flag = random.choice(pairs)
            seen = int(c('GET', flag) or 0)
            then = int(c('GET', data) or 0)
            if then < seen:
                raise AssertionError('saw the flag of %d, then the data of %d' % (seen, then))
            n += 1
        return n

    crowd = Crowd(t.server)
    crowd.add('write', write)
    for _ in range(3):
        crowd.add('read', read)
    also(crowd)
    crowd.run()


@scenario
def store_buffering(t, also=nothing):
    """Litmus SB: A does SET x; GET y, B does SET y; GET x. Not both may miss the other's write."""
    gate = threading.Barrier(2)
    seen = {}

    def side(c, stop, me, mine, other):
        for n in itertools.count():
            if stop.is_set():
                gate.abort()
            try:
                gate.wait(20)
            except threading.BrokenBarrierError:
                return n
            key = b'%d' % n
            out = c.pipeline([[b'SET', mine + key, b'1'], [b'GET', other + key]])
            seen[me, n] = out[1][1]

    crowd = Crowd(t.server)
    crowd.add('a', side, 'a', b'x:', b'y:')
    crowd.add('b', side, 'b', b'y:', b'x:')
    also(crowd)
    crowd.run()
    both = [n for side_, n in seen if side_ == 'a' and ('b', n) in seen]
    true(len(both) > 20, 'enough rounds')
    for n in both:
        true(seen['a', n] is not None or seen['b', n] is not None, 'round %d: both missed the other\'s write' % n)


# ---------------------------------------------------------------- WATCH

@scenario
def watched_counter(t, also=nothing):
    """Optimistic increments: as many as succeeded, none lost."""
    def increment(c, stop):
        n = 0
        while not stop.is_set():
            c('WATCH', 'counter')
            now = int(c('GET', 'counter') or 0)
            out = c.pipeline([[b'MULTI'], [b'SET', b'counter', b'%d' % (now + 1)], [b'EXEC']])[-1]
            if out[1] is not None:
                n += 1
        return n

    crowd = Crowd(t.server)
    for _ in range(5):
        crowd.add('increment', increment)
    also(crowd)
    crowd.run()
    with t.server.conn() as c:
        equal(int(c('GET', 'counter')), crowd.counts['increment'], 'the counter against the successful increments')


@scenario
def watched_pair(t, also=nothing):
    """Two keys on different shards, always changed together under WATCH of both."""
    def change(c, stop):
        n = 0
        while not stop.is_set():
            c('WATCH', 'left', 'right')
            a, b = c('MGET', 'left', 'right')
            # Both were read while watched: unequal values must not survive EXEC.
            out = c.pipeline([[b'MULTI'], [b'SET', b'left', b'%d' % (int(a) + 1)],
                              [b'SET', b'right', b'%d' % (int(b) + 1)],
                              [b'EXEC']])[-1]
            n += out[1] is not None
        return n

    def look(c, stop):
        n = 0
        while not stop.is_set():
            out = c.pipeline([[b'MULTI'], [b'GET', b'left'], [b'GET', b'right'], [b'EXEC']])[-1]
            equal(out[1][0], out[1][1], 'the pair')
            n += 1
        return n

    with t.server.conn() as c:
        c('MSET', 'left', 0, 'right', 0)
    crowd = Crowd(t.server)
    for _ in range(4):
        crowd.add('change', change)
    crowd.add('look', look)
    also(crowd)
    crowd.run()
    with t.server.conn() as c:
        equal(int(c('GET', 'left')), crowd.counts['change'])


@scenario
def watch_sees_every_kind_of_change(t, also=nothing):
    """A change between WATCH and EXEC always aborts: by RENAME, expiry, FLUSHALL, SWAPDB, MOVE, *STORE, the same
    value."""
    def watcher(c, stop):
        other = t.server.conn()
        changes = [[b'SET', b'w', b'same'], [b'RENAME', b'w', b'w2'], [b'RENAME', b'source', b'w'], [b'DEL', b'w'],
                   [b'FLUSHALL'], [b'FLUSHDB'], [b'SWAPDB', b'0', b'1'], [b'MOVE', b'w', b'5'],
                   [b'EXPIRE', b'w', b'100'],
                   [b'SUNIONSTORE', b'w', b'aset'], [b'SORT', b'alist', b'STORE', b'w'],
                   [b'COPY', b'source', b'w', b'REPLACE'],
                   [b'PEXPIRE', b'w', b'0'], [b'MSET', b'a', b'1', b'w', b'2'], [b'GETDEL', b'w'],
                   [b'APPEND', b'w', b''],
                   [b'APPEND', b'w', b'x'], [b'SETRANGE', b'w', b'0', b'x']]
        n = 0
        while not stop.is_set():
            for change in changes:
                other.pipeline([[b'FLUSHALL'], [b'SET', b'w', b'same'], [b'SET', b'source', b's'],
                                [b'SADD', b'aset', b'm'],
                                [b'RPUSH', b'alist', b'1', b'2']])
                c('WATCH', 'w')
                reply = other.call(*change)
                true(reply[0] != '-', '%r: %r' % (change, reply))
                out = c.pipeline([[b'MULTI'], [b'SET', b'mark', b'1'], [b'EXEC']])[-1]
                if change != [b'APPEND', b'w', b'']:
                    equal(out, ('*', None), 'EXEC after %r' % (change,))
                # A change of another key does not abort.
                c('WATCH', 'w')
                other.call('SET', 'unrelated', '1')
                out = c.pipeline([[b'MULTI'], [b'SET', b'mark', b'1'], [b'EXEC']])[-1]
                equal(out, ('*', (('+', b'OK'),)), 'EXEC after a change of another key')
                n += 1
        return n

    crowd = Crowd(t.server)
    crowd.add('watcher', watcher)
    also(crowd)
    crowd.run(min(SECONDS, 2))


if __name__ == '__main__':
    suite.main()
