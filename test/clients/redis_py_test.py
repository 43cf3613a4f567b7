#!/usr/bin/python3
"""redis-py (Debian's python3-redis): pipelines are MULTI, WATCH, big and binary values, iterators, reconnects."""
import os
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'blackbox'))
from harness import Suite, equal, true, wait_until  # noqa: E402
import redis  # noqa: E402

suite = Suite('redis-py ' + redis.__version__)


def client(t, **kw):
    return redis.Redis(port=t.server.port, socket_timeout=30, **kw)


@suite.test
def strings_and_expiry(t):
    r = client(t)
    equal(r.set('k', 'v', ex=100), True)
    equal(r.get('k'), b'v')
    true(98 <= r.ttl('k') <= 100, 'ttl')
    equal(r.set('k', 'w', nx=True), None)
    equal(r.set('k', 'w', xx=True, keepttl=True, get=True), b'v')
    true(r.pttl('k') > 90000, 'the deadline was kept')
    equal(r.incrbyfloat('f', 1.25), 1.25)
    equal(r.mget('k', 'none', 'f'), [b'w', None, b'1.25'])
    equal(r.set('short', 'x', px=60), True)
    wait_until(lambda: r.get('short') is None, 2, 'expiry')
    equal(r.expiretime('k') > time.time() if hasattr(r, 'expiretime') else True, True)


@suite.test
def pipeline_is_a_transaction(t):
    r = client(t)
    p = r.pipeline()
    p.set('a', 1).incr('a').lpush('l', 'x', 'y').lrange('l', 0, -1).hset('h', mapping={'f': 'v'}).hgetall('h')
    equal(p.execute(), [True, 2, 2, [b'y', b'x'], 1, {b'f': b'v'}])
    # An error inside does not stop the others; redis-py raises it only if told to.
    p = r.pipeline()
    p.set('s', 'x').lpush('s', 'no').set('after', '1')
    out = p.execute(raise_on_error=False)
    true(isinstance(out[1], redis.ResponseError) and str(out[1]).startswith('WRONGTYPE'), out)
    equal(out[2], True)
    # A command that cannot be queued aborts all.
    p = r.pipeline()
    p.set('aborted', '1').execute_command('SET', 'too few')
    try:
        p.execute()
        raise AssertionError('EXECABORT expected')
    except redis.exceptions.ResponseError:
        pass
    equal(r.exists('aborted'), 0)


@suite.test
def deep_pipeline_without_transaction(t):
    r = client(t)
    p = r.pipeline(transaction=False)
    for i in range(30000):
        p.set('key:%d' % i, i)
        p.get('key:%d' % i)
    out = p.execute()
    equal(len(out), 60000)
    true(all(out[2 * i + 1] == b'%d' % i for i in range(30000)), 'a pipeline\'s replies are in order')


@suite.test
def watch_conflict(t):
    r, other = client(t), client(t)
    r.set('balance', 10)
    for why in ('another value', 'the same value again: WATCH is by change'):
        with r.pipeline() as p:
            p.watch('balance')
            other.set('balance', 11)
            p.multi()
            p.set('balance', 12)
            try:
                p.execute()
                raise AssertionError('WatchError expected, ' + why)
            except redis.WatchError:
                pass
        equal(r.get('balance'), b'11')

    def increment(p):
        now = int(p.get('balance'))
        p.multi()
        p.set('balance', now + 1)
    threads = [threading.Thread(target=lambda: [client(t).transaction(increment, 'balance') for _ in range(20)])
               for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    equal(r.get('balance'), b'111', 'five times twenty optimistic increments')


@suite.test
def binary_and_big(t):
    r = client(t)
    every_byte = bytes(range(256)) * 3
    r.set(every_byte, every_byte)
    equal(r.get(every_byte), every_byte)
    big = os.urandom(1 << 20) * 20
    r.set('big', big)
    true(r.get('big') == big, 'a 20 MB value')
    equal(r.getrange('big', 5 << 20, (5 << 20) + 99), big[5 << 20:(5 << 20) + 100])
    r.append('big', b'tail')
    equal(r.strlen('big'), len(big) + 4)
    r.hset('h', mapping={b'\x00': b'\r\n', b'': b''})
    equal(r.hgetall('h'), {b'\x00': b'\r\n', b'': b''})


@suite.test
def iterators(t):
    r = client(t)
    p = r.pipeline(transaction=False)
    for i in range(5000):
        p.set('it:%d' % i, i)
    for i in range(2000):
        p.hset('h', i, i)
        p.sadd('s', i)
        p.zadd('z', {i: i})
    p.execute()
    equal({k for k in r.scan_iter('it:*', count=100)}, {b'it:%d' % i for i in range(5000)})
    equal(dict(r.hscan_iter('h')), {b'%d' % i: b'%d' % i for i in range(2000)})
    equal(set(r.sscan_iter('s', match='1*')), {b'%d' % i for i in range(2000) if str(i).startswith('1')})
    equal(dict(r.zscan_iter('z')), {b'%d' % i: float(i) for i in range(2000)})
    equal(set(r.scan_iter(_type='zset')), {b'z'})


@suite.test
def collections(t):
    r = client(t)
    r.rpush('l', *range(10))
    equal(r.lpos('l', '7'), 7)
    equal(r.lmove('l', 'm', 'RIGHT', 'LEFT'), b'9')
    equal(r.lrange('m', 0, -1), [b'9'])
    r.sadd('a', 1, 2, 3)
    r.sadd('b', 2, 3, 4)
    equal(r.sinter('a', 'b'), {b'2', b'3'})
    equal(r.sunionstore('u', 'a', 'b'), 4)
    equal(r.smove('a', 'b', 1), True)
    r.zadd('z', {'x': 1, 'y': 2.5, 'w': float('inf')})
    equal(r.zrange('z', 0, -1, withscores=True), [(b'x', 1.0), (b'y', 2.5), (b'w', float('inf'))])
    equal(r.zrange('z', '(1', '+inf', byscore=True), [b'y', b'w'])
    equal(r.zadd('z', {'x': 5}, gt=True, ch=True), 1)
    equal(r.zpopmin('z'), [(b'y', 2.5)])
    equal(r.bitfield('bits').set('u8', 0, 255).incrby('u8', 0, 1).execute(), [0, 0])
    equal(sorted(r.sort('u', desc=True)), sorted([b'4', b'3', b'2', b'1']))
    payload = r.dump('z')
    equal(r.restore('copy', 0, payload), b'OK')
    equal(r.zrange('copy', 0, -1, withscores=True), r.zrange('z', 0, -1, withscores=True))


@suite.test
def hash_field_expiry(t):
    r = client(t)
    r.hset('h', mapping={'a': 1, 'b': 2})
    equal(r.execute_command('HPEXPIRE', 'h', 80, 'FIELDS', 2, 'a', 'none'), [1, -2])
    true(0 < r.execute_command('HPTTL', 'h', 'FIELDS', 1, 'a')[0] <= 80, 'HPTTL')
    wait_until(lambda: r.hget('h', 'a') is None, 2, 'the field expires')
    equal(r.hgetall('h'), {b'b': b'2'})


@suite.test
def error_replies(t):
    r = client(t)
    r.lpush('l', 1)
    for call, text in ((lambda: r.get('l'), 'WRONGTYPE'), (lambda: r.execute_command('NOSUCH'), 'unknown command'),
                       (lambda: r.incr('big'), 'not an integer'), (lambda: r.expire('l', 'x'), 'not an integer'),
                       (lambda: r.execute_command('EXEC'), 'EXEC without MULTI')):
        r.set('big', 'no number')
        try:
            call()
            raise AssertionError('an error with %r expected' % text)
        except redis.ResponseError as e:
            true(text in str(e), '%r in %r' % (text, str(e)))


@suite.test
def reconnects(t):
    r = client(t, retry_on_timeout=True)
    r.set('k', 'v')
    victim = r.client_id()
    killer = client(t)
    equal(killer.client_kill_filter(_id=victim), 1)
    time.sleep(0.3)  # the end of the connection has to be there before redis-py looks
    # redis-py opens a new connection by itself.
    equal(r.get('k'), b'v')
    true(r.client_id() != victim, 'a new connection')


@suite.test
def clients_and_configuration(t):
    r = client(t, client_name='tester')
    r.ping()
    equal(r.client_getname(), 'tester')
    mine = [c for c in r.client_list() if c['name'] == 'tester']
    equal(len(mine), 1)
    equal(mine[0]['db'], '0')
    old = r.config_get('slowlog-max-len')
    true('slowlog-max-len' in old, old)
    r.config_set('slowlog-max-len', 77)
    equal(r.config_get('slowlog-max-len'), {'slowlog-max-len': '77'})
    r.config_set('slowlog-max-len', old['slowlog-max-len'])
    info = r.info()
    true(info['redis_version'].split('.')[0] in ('7', '8'), info['redis_version'])
    for field in ('used_memory', 'connected_clients', 'total_commands_processed', 'uptime_in_seconds', 'db0'):
        if field != 'db0':
            true(field in info, field)
    r.set('x', 1)
    equal(r.info('keyspace')['db0']['keys'], 1)
    true(abs(r.time()[0] - time.time()) < 5, 'TIME')


@suite.test
def databases(t):
    a, b = client(t, db=3), client(t, db=4)
    a.set('k', 'three')
    equal(b.exists('k'), 0)
    equal(a.move('k', 4), True)
    equal(b.get('k'), b'three')
    equal(b.swapdb(3, 4), True)
    equal(a.get('k'), b'three')
    equal(a.dbsize(), 1)
    a.flushdb()
    equal(a.dbsize(), 0)


@suite.test
def many_threads(t):
    """One pool under many threads: each sees only its own replies."""
    r = client(t)
    wrong = []

    def work(n):
        for i in range(300):
            key, value = 'thread:%d:%d' % (n, i % 7), b'%d-%d' % (n, i)
            r.set(key, value)
            got = r.get(key)
            if got != value:
                wrong.append((key, value, got))
    threads = [threading.Thread(target=work, args=(n,)) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    equal(wrong, [])


if __name__ == '__main__':
    suite.main()
