#!/usr/bin/python3
"""Commands about the server and its clients, on any number of shards: CLIENT, INFO, SLOWLOG, LATENCY, MONITOR, MEMORY,
DEBUG, FLUSHALL, SWAPDB, SHUTDOWN, CONFIG SET shards. What is summed over the shards must be exact, what concerns every
shard must reach every shard, and what one client may see must come from all.

Runs on a real Redis, too (tests of weft's own are skipped there); replies are also compared with one in parity_test.py.
"""
import os
import re
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import resp  # noqa: E402
import server as servers  # noqa: E402
from harness import Skip, Suite, equal, reference, true, wait_until  # noqa: E402

suite = Suite('server commands')
OK = ('+', b'OK')
KEYS = [b'key:%d' % i for i in range(64)]    # on every shard of up to 16, for sure


def need_weft(t):
    if not t.server.is_weft:
        raise Skip('this is about weft')


def fields(c, *sections):
    text = c('INFO', *sections).decode()
    return dict(line.split(':', 1) for line in text.split('\r\n') if ':' in line)


def clients(c, *words):
    out = {}
    for line in c('CLIENT', 'LIST', *words).decode().strip().split('\n'):
        if line:
            f = dict(x.split('=', 1) for x in line.split(' '))
            out[int(f['id'])] = f
    return out


def closed(c):
    try:
        c.call('PING')
    except (resp.ConnectionClosed, OSError):
        return True
    return False


def several(t, count=9):
    """Connections on every shard (they are spread evenly)."""
    return [t.server.conn() for _ in range(count)]


# ---- CLIENT

@suite.test
def client_list_shows_all_shards(t):
    cs = several(t)
    ids = [c('CLIENT', 'ID') for c in cs]
    for i, c in enumerate(cs):
        c('CLIENT', 'SETNAME', 'c%d' % i)
        c('SELECT', i % 4)
    listed = clients(cs[0])
    true(set(ids) <= set(listed), 'of %s only %s are listed' % (ids, sorted(listed)))
    equal(list(listed), sorted(listed), 'the order of CLIENT LIST')
    for i, client_id in enumerate(ids):
        equal((listed[client_id]['name'], listed[client_id]['db']), ('c%d' % i, str(i % 4)))
    equal(set(clients(cs[3], 'ID', ids[1], ids[2], 987654)), {ids[1], ids[2]})
    equal(clients(cs[3], 'TYPE', 'pubsub'), {})
    true(set(ids) <= set(clients(cs[5], 'TYPE', 'normal')), 'TYPE normal lists too few')
    if t.server.is_weft:
        shards = int(fields(cs[0], 'weft')['shards'])
        equal(len({f['shard'] for f in listed.values()}), min(shards, len(cs)), 'shards that have clients')


@suite.test
def client_kill(t):
    cs = several(t, 12)
    ids = [c('CLIENT', 'ID') for c in cs]
    me = cs[0]
    equal(me.call('CLIENT', 'KILL', 'ID', ids[5]), (':', 1))
    equal(me.call('CLIENT', 'KILL', 'ID', ids[5]), (':', 0))
    true(closed(cs[5]), 'killed by ID and still served')
    address = clients(me)[ids[7]]['addr']
    equal(me.call('CLIENT', 'KILL', address), OK)
    equal(me.call('CLIENT', 'KILL', address), ('-', b'ERR No such client'))
    true(closed(cs[7]), 'killed by address and still served')
    equal(me.call('CLIENT', 'KILL', 'MAXAGE', 3600), (':', 0))
    left = set(ids) - {ids[5], ids[7]}
    killed = me('CLIENT', 'KILL', 'TYPE', 'normal')
    true(killed >= len(left) - 1, '%d killed, %d were there' % (killed, len(left) - 1))
    equal(me.call('PING'), ('+', b'PONG'), 'SKIPME is the default')
    for i, c in enumerate(cs):
        if i not in (0, 5, 7):
            true(closed(c), 'client %d is still served' % i)
    equal(list(clients(me)), [ids[0]])
    # The own connection is answered before it goes.
    equal(me.call('CLIENT', 'KILL', 'ID', ids[0], 'SKIPME', 'no'), (':', 1))
    true(me.at_end(), 'still open after killing itself')


@suite.test
def client_kill_by_local_address(t):
    a, b = several(t, 2)
    mine = clients(a)[a('CLIENT', 'ID')]
    equal(a.call('CLIENT', 'KILL', 'LADDR', '127.0.0.1:1'), (':', 0))
    true(a('CLIENT', 'KILL', 'LADDR', mine['laddr'], 'SKIPME', 'yes') >= 1, 'nobody at the own local address')
    true(closed(b), 'still served')


@suite.test
def client_reply_modes(t):
    c = t.server.conn()
    c.send([['CLIENT', 'REPLY', 'OFF'], ['SET', 'k', '1'], ['INFO'], ['NOSUCH'], ['MGET'] + KEYS, ['CLIENT', 'LIST'],
            ['CLIENT', 'REPLY', 'ON']])
    equal(c.read(), OK)
    c.send([['CLIENT', 'REPLY', 'SKIP'], ['INCR', 'k'], ['INCR', 'k'], ['CLIENT', 'REPLY', 'SKIP'], ['CLIENT', 'LIST'],
            ['ECHO', 'x']])
    equal([c.read(), c.read()], [(':', 3), ('$', b'x')])


@suite.test
def client_pause_holds_every_shard(t):
    cs = several(t, 8)
    equal(cs[0].call('CLIENT', 'PAUSE', 60000, 'WRITE'), OK)
    for i, c in enumerate(cs[1:]):
        equal(c.call('GET', KEYS[i]), ('$', None), 'reads go on')
        c.send([['SET', KEYS[i], 'x'], ['GET', KEYS[i]]])
    wait_until(lambda: fields(cs[0], 'clients')['blocked_clients'] == '7', 5, 'all writers are held back')
    time.sleep(0.1)
    equal(cs[0].call('DBSIZE'), (':', 0), 'keys written during the pause')
    equal(cs[0].call('CLIENT', 'UNPAUSE'), OK)
    for c in cs[1:]:
        equal([c.read(), c.read()], [OK, ('$', b'x')])
    # ALL holds reads; it ends by itself, and a weaker pause does not end it earlier.
    began = time.monotonic()
    equal(cs[0].call('CLIENT', 'PAUSE', 250), OK)
    for c in cs:
        c.send([['PING']])
    for c in cs:
        equal(c.read(), ('+', b'PONG'))
    took = time.monotonic() - began
    true(0.24 <= took < 2, 'a pause of 0.25 s took %.3f s' % took)


@suite.test
def pause_holds_transactions_that_write(t):
    a, b = several(t, 2)
    for command in (['MULTI'], ['SET', 'k', '1'], ['GET', 'k']):
        b.call(*command)
    a.call('CLIENT', 'PAUSE', 60000, 'WRITE')
    b.send([['EXEC']])
    time.sleep(0.1)
    equal(a.call('EXISTS', 'k'), (':', 0))
    a.call('CLIENT', 'UNPAUSE')
    equal(b.read(), ('*', (OK, ('$', b'1'))))


@suite.test
def dead_keys_stay_while_paused(t):
    a = t.server.conn()
    expired = int(fields(a, 'stats')['expired_keys'])
    a.pipeline([['SET', k, 'v', 'PX', '30'] for k in KEYS])
    a.call('CLIENT', 'PAUSE', 60000, 'WRITE')
    wait_until(lambda: a.call('EXISTS', *KEYS) == (':', 0), 5, 'the keys are hidden')
    equal(int(fields(a, 'stats')['expired_keys']), expired, 'expired_keys while paused')
    a.call('CLIENT', 'UNPAUSE')
    wait_until(lambda: int(fields(a, 'stats')['expired_keys']) == expired + len(KEYS), 5, 'the keys expire')
    equal(a.call('DBSIZE'), (':', 0))


@suite.test
def no_touch(t):
    """In this mode reads leave no trace for eviction; looking at a key never does."""
    a, b = several(t, 2)
    a('CONFIG', 'SET', 'maxmemory', '500mb', 'maxmemory-policy', 'allkeys-lfu', 'lfu-log-factor', 0, 'lfu-decay-time',
      0)
    try:
        a.pipeline([['SET', k, 'v'] for k in KEYS])
        equal(a.call('CLIENT', 'NO-TOUCH', 'ON'), OK)
        true('T' in clients(a)[a('CLIENT', 'ID')]['flags'], 'CLIENT LIST shows it')

        def used():
            return b('OBJECT', 'FREQ', KEYS[0]), b('OBJECT', 'FREQ', KEYS[1]), b('OBJECT', 'FREQ', KEYS[2])
        before = used()
        for c in (a, b):
            for look in ('TTL', 'TYPE', 'EXISTS', 'PTTL'):
                c.call(look, KEYS[0])
                c.call(look, KEYS[1])
        a.pipeline([['GET', KEYS[0]]] * 5)
        for command in (['MULTI'], ['GET', KEYS[1]], ['MGET', KEYS[0], KEYS[2]], ['EXEC']):
            a.call(*command)
        equal(used(), before)
        a.call('TOUCH', KEYS[2])
        a.call('CLIENT', 'NO-TOUCH', 'OFF')
        a.call('GET', KEYS[0])
        after = used()
        true(after[0] > before[0] and after[2] > before[2] and after[1] == before[1], '%s, then %s' % (before, after))
    finally:
        a('CONFIG', 'SET', 'maxmemory', 0, 'maxmemory-policy', 'noeviction', 'lfu-log-factor', 10, 'lfu-decay-time', 1)


# ---- whole databases

@suite.test
def flush_and_swap(t):
    c = t.server.conn()
    for db in (0, 1, 2):
        c.call('SELECT', db)
        c.pipeline([['SET', k, 'db%d' % db] for k in KEYS[:10 * (db + 1)]])
    equal(c.call('SWAPDB', 0, 2), OK)
    sizes = []
    for db in (0, 1, 2):
        c.call('SELECT', db)
        sizes.append(c('DBSIZE'))
    equal(sizes, [30, 20, 10])
    equal(c.call('GET', KEYS[5]), ('$', b'db0'))
    equal(c.call('FLUSHDB'), OK)
    c.call('SELECT', 0)
    equal(c.call('GET', KEYS[25]), ('$', b'db2'))
    equal(fields(c, 'keyspace').keys(), {'db0', 'db1'})
    equal(c.call('FLUSHALL', 'ASYNC'), OK)
    equal(fields(c, 'keyspace'), {})


@suite.test
def flush_touches_watched_keys(t):
    a, b = several(t, 2)
    a.call('SET', KEYS[0], 'x')
    for other, want in (('FLUSHALL', ('*', None)), ('SWAPDB 0 5', ('*', None)), ('DBSIZE', ('*', (('+', b'PONG'),)))):
        a.call('SET', KEYS[0], 'x')
        a.call('WATCH', KEYS[0])
        b.call(other)
        a.call('MULTI')
        a.call('PING')
        equal(a.call('EXEC'), want, other)
        b.call('FLUSHALL')


# ---- INFO

@suite.test
def info_counts_exactly(t):
    cs = several(t, 6)
    c = cs[0]
    equal(c.call('CONFIG', 'RESETSTAT'), OK)
    for i, other in enumerate(cs):
        other.pipeline([['SET', k, 'v'] for k in KEYS] + [['GET', k] for k in KEYS] + [['GET', 'none']])
        other.call('SADD', KEYS[0], 'x')
        other.call('SET', 'too', 'many', 'words', 'here')
        other.call('SET', 'k')
        other.call('NOSUCH')
    f = fields(c, 'everything')
    n = len(cs)
    stats = {k: dict(x.split('=') for x in v.split(',')) for k, v in f.items() if k.startswith('cmdstat_')}
    equal([stats['cmdstat_set'][x] for x in ('calls', 'rejected_calls', 'failed_calls')],
          [str(n * (len(KEYS) + 1)), str(n), str(n)])
    equal(stats['cmdstat_get']['calls'], str(n * (len(KEYS) + 1)))
    equal(stats['cmdstat_sadd']['failed_calls'], str(n))
    equal((f['keyspace_hits'], f['keyspace_misses']), (str(n * len(KEYS)), str(n)))
    equal(f['errorstat_WRONGTYPE'], 'count=%d' % n)
    equal(f['errorstat_ERR'], 'count=%d' % (3 * n))
    equal(f['total_error_replies'], str(4 * n))
    equal(f['db0'].split(',')[:2], ['keys=%d' % len(KEYS), 'expires=0'])
    equal(int(f['total_commands_processed']), 1 + n * (2 * len(KEYS) + 3))
    true(int(f['connected_clients']) >= n, 'connected_clients:%s' % f['connected_clients'])
    true(f['redis_version'].startswith('8.0.'), f['redis_version'])


@suite.test
def info_inside_a_transaction(t):
    """The transaction holds partitions of other shards: what it has changed in them is counted."""
    c = t.server.conn()
    c.call('MULTI')
    for k in KEYS[:20]:
        c.call('SET', k, 'v', 'EX', '100')
    c.call('INFO', 'keyspace')
    c.call('DBSIZE')
    c.call('DEL', *KEYS[:5])
    c.call('INFO', 'keyspace')
    replies = c.call('EXEC')[1]
    true(b'db0:keys=20,expires=20,' in replies[20][1], replies[20])
    equal(replies[21], (':', 20))
    true(b'db0:keys=15,expires=15,' in replies[23][1], replies[23])


@suite.test
def info_sees_watches_and_timed_fields(t):
    a, b = several(t, 2)
    a.call('WATCH', *KEYS[:3])
    b.call('WATCH', KEYS[0])
    f = fields(b, 'clients')
    equal((f['watching_clients'], f['total_watched_keys']), ('2', '3'))
    a.call('UNWATCH')
    equal(fields(b, 'clients')['total_watched_keys'], '1')
    b.close()
    for k in KEYS[:4]:
        a.call('HSET', k, 'f', 'v', 'g', 'w')
        a.call('HEXPIRE', k, '100', 'FIELDS', '1', 'f')
    true(fields(a, 'keyspace')['db0'].endswith(',subexpiry=4'), fields(a, 'keyspace')['db0'])
    a.call('DEL', KEYS[1])
    true(fields(a, 'keyspace')['db0'].endswith(',subexpiry=3'), fields(a, 'keyspace')['db0'])


@suite.test
def info_keysizes(t):
    c = t.server.conn()
    c.call('SET', 'empty', '')
    for i in range(20):
        c.call('SET', 's%d' % i, 'x' * (1 + i * 100))
    c.call('RPUSH', 'l', *range(9))
    c.call('SELECT', 2)
    c.call('SADD', 's', 'a', 'b', 'c')
    text = c('INFO', 'keysizes').decode().strip().split('\r\n')
    equal(text, ['# Keysizes', 'db0_distrib_strings_sizes:0=1,1=1,64=1,128=1,256=3,512=5,1K=9',
                 'db0_distrib_lists_items:8=1', 'db2_distrib_sets_items:2=1'])


@suite.test
def used_memory_follows_the_data(t):
    c = t.server.conn()
    before = int(fields(c, 'memory')['used_memory'])
    c.pipeline([['SET', 'big:%d' % i, b'x' * 100000] for i in range(40)])
    full = fields(c, 'memory')
    grown = int(full['used_memory']) - before
    true(40 * 100000 <= grown < 40 * 100000 * 1.2, '%d bytes more for 4 MB' % grown)
    true(int(full['used_memory_peak']) >= int(full['used_memory']), 'the peak is below')
    true(int(full['used_memory_dataset']) >= 40 * 100000, full['used_memory_dataset'])
    equal(int(full['used_memory_overhead']) + int(full['used_memory_dataset']), int(full['used_memory']))
    stats = c('MEMORY', 'STATS')
    stats = dict(zip(stats[0::2], stats[1::2]))
    equal(stats[b'keys.count'], 40)
    true(abs(stats[b'total.allocated'] - int(full['used_memory'])) < 300000, stats[b'total.allocated'])
    usage = c('MEMORY', 'USAGE', 'big:7')
    true(100000 < usage < 120000, 'MEMORY USAGE of 100000 bytes: %d' % usage)
    equal(c.call('FLUSHALL'), OK)
    equal(c.call('MEMORY', 'PURGE'), OK)
    left = int(fields(c, 'memory')['used_memory']) - before
    true(abs(left) < 400000, '%d bytes more than before' % left)


@suite.test
def time_of_commands(t):
    """Fast commands are timed together: the sum must not be more than what passed, and not nothing."""
    c = t.server.conn()
    c.call('CONFIG', 'RESETSTAT')
    began = time.monotonic()
    for _ in range(40):
        c.pipeline([['SET', k, b'v' * 200] for k in KEYS] + [['GET', k] for k in KEYS])
    passed_us = (time.monotonic() - began) * 1e6
    c.call('DEBUG', 'SLEEP', '0.05')
    f = fields(c, 'everything')
    used = {}
    for name in ('set', 'get', 'debug'):
        used[name] = dict(x.split('=') for x in f['cmdstat_' + name].split(','))
    spent = int(used['set']['usec']) + int(used['get']['usec'])
    shards = int(f.get('shards', 1))
    true(0 < spent <= passed_us * shards, '%d us of %d' % (spent, passed_us))
    true(50000 <= int(used['debug']['usec']) < 2000000, used['debug'])
    percentiles = dict(x.split('=') for x in f['latency_percentiles_usec_debug'].split(','))
    true(50000 <= float(percentiles['p50']) < 2000000, percentiles)
    histogram = c('LATENCY', 'HISTOGRAM', 'set', 'debug', 'nosuch')
    histogram = dict(zip(histogram[0::2], histogram[1::2]))
    equal(set(histogram), {b'set', b'debug'})
    equal(histogram[b'set'][1], 40 * len(KEYS))
    counts = histogram[b'set'][3]
    equal(counts[1::2], sorted(counts[1::2]), 'cumulative counts')
    equal(counts[-1], 40 * len(KEYS))
    equal(histogram[b'debug'][3][-1], 1)
    true(histogram[b'debug'][3][0] >= 67, 'a sleep of 50 ms is in the bucket of %d us' % histogram[b'debug'][3][0])


# ---- SLOWLOG and LATENCY

@suite.test
def slow_commands_of_every_shard(t):
    cs = several(t, 6)
    c = cs[0]
    c('CONFIG', 'SET', 'slowlog-log-slower-than', 0, 'slowlog-max-len', 1000)
    try:
        c('SLOWLOG', 'RESET')
        for i, other in enumerate(cs):
            other('CLIENT', 'SETNAME', 'n%d' % i)
            other.pipeline([['SET', k, b'v'] for k in KEYS])
            other.call('AUTH', 'secret')
            other.call('CONFIG', 'SET', 'requirepass', '')
            other.call('MSET', *[x for k in KEYS for x in (k, b'y' * 200)])
        c('CONFIG', 'SET', 'slowlog-log-slower-than', -1)
        entries = c('SLOWLOG', 'GET', -1)
        equal(c.call('SLOWLOG', 'LEN'), (':', len(entries)))
        equal([e[0] for e in entries], sorted((e[0] for e in entries), reverse=True), 'ids, newest first')
        equal(len({e[0] for e in entries}), len(entries), 'different ids')
        addresses = {f['name']: f['addr'].encode() for f in clients(c).values()}
        for i in range(6):
            name = b'n%d' % i
            sets = [e for e in entries if e[5] == name and e[3][0] == b'SET']
            equal(sorted(e[3][1] for e in sets), sorted(KEYS), 'SETs of %s' % name)
            equal({e[4] for e in sets}, {addresses[name.decode()]}, 'where they came from')
            auth = [e[3] for e in entries if e[5] == name and e[3][0] == b'AUTH']
            equal(auth, [[b'AUTH', b'(redacted)']])
            secret = [e[3] for e in entries if e[5] == name and e[3][0] == b'CONFIG']
            equal(secret, [[b'CONFIG', b'SET', b'requirepass', b'(redacted)']])
            long = [e[3] for e in entries if e[5] == name and e[3][0] == b'MSET'][0]
            equal((len(long), long[31]), (32, b'... (98 more arguments)'))
            equal(long[2], b'y' * 128 + b'... (72 more bytes)')
        equal(len(c('SLOWLOG', 'GET', 3)), 3)
        c('CONFIG', 'SET', 'slowlog-max-len', 7)
        equal(len(c('SLOWLOG', 'GET', -1)) <= 7 or not t.server.is_weft, True)
        equal(c.call('SLOWLOG', 'RESET'), OK)
        equal(c.call('SLOWLOG', 'LEN'), (':', 0))
    finally:
        c('CONFIG', 'SET', 'slowlog-log-slower-than', 10000, 'slowlog-max-len', 128)


@suite.test
def a_large_reply_is_slow(t):
    """A command that is usually timed with others is seen when it takes long, and its neighbours are not blamed."""
    need_weft(t)
    c = t.server.conn()
    c('SET', 'big', b'x' * (96 << 20))
    c('CONFIG', 'SET', 'slowlog-log-slower-than', 5000)
    try:
        c('SLOWLOG', 'RESET')
        c.pipeline([['SET', 'a', '1'], ['GET', 'a'], ['GET', 'big'], ['GET', 'a']])
        equal([e[3] for e in c('SLOWLOG', 'GET')], [[b'GET', b'big']])
    finally:
        c('CONFIG', 'SET', 'slowlog-log-slower-than', 10000)
        c('DEL', 'big')


@suite.test
def latency_monitor(t):
    c = t.server.conn()
    c('CONFIG', 'SET', 'latency-monitor-threshold', 30)
    try:
        c('LATENCY', 'RESET')
        equal(c.call('LATENCY', 'LATEST'), ('*', ()))
        equal(c.call('LATENCY', 'GRAPH', 'command')[1], b"ERR No samples available for event 'command'")
        c.call('DEBUG', 'SLEEP', '0.04')
        time.sleep(1.1)
        t.server.conn().call('DEBUG', 'SLEEP', '0.08')
        history = c('LATENCY', 'HISTORY', 'command')
        equal(len(history), 2, 'samples')
        true(40 <= history[0][1] < 79 <= history[1][1] < 2000 and history[0][0] < history[1][0], history)
        latest = [e for e in c('LATENCY', 'LATEST') if e[0] == b'command'][0]
        equal(latest[1:], [history[1][0], history[1][1], max(h[1] for h in history)])
        graph = c('LATENCY', 'GRAPH', 'command')
        true(b'command - high %d ms, low %d ms' % (history[1][1], history[0][1]) in graph, graph)
        true(b'command' in c('LATENCY', 'DOCTOR'), 'the doctor')
        equal(c.call('LATENCY', 'RESET', 'command', 'nosuch'), (':', 1))
        equal(c.call('LATENCY', 'HISTORY', 'command'), ('*', ()))
    finally:
        c('CONFIG', 'SET', 'latency-monitor-threshold', 0)


# ---- MONITOR

LINE = re.compile(rb'^(\d+\.\d{6}) \[(\d+) ([^\]]+)\]((?: "(?:[^"\\]|\\.)*")+)$')


def read_until(monitor, last):
    """Lines up to the one that ends so."""
    out = []
    while True:
        kind, text = monitor.read()
        equal(kind, '+')
        m = LINE.match(text)
        true(m is not None, 'a strange line: %r' % text)
        out.append((float(m.group(1)), int(m.group(2)), m.group(3), m.group(4).strip()))
        if out[-1][3] == last:
            return out


@suite.test
def monitor_sees_all_shards(t):
    monitors = several(t, 3)
    for m in monitors:
        equal(m.call('MONITOR'), OK)
    cs = several(t, 5)
    sent = {}
    for i, c in enumerate(cs):
        mine = sent[clients(c)[c('CLIENT', 'ID')]['addr'].encode()] = []
        for k in KEYS:
            c.call('SET', k, b'v\x00"\\\n\xff%d' % i)
            mine.append(b'"SET" "%s" "v\\x00\\"\\\\\\n\\xff%d"' % (k, i))
        c.call('MULTI'), c.call('GET', 'a'), c.call('INFO', 'server'), c.call('EXEC')
        mine += [b'"MULTI"', b'"GET" "a"', b'"INFO" "server"', b'"EXEC"']
        c.call('MGET', *KEYS[:3]), c.call('HELLO', '2', 'AUTH', 'me', 'secret'), c.call('AUTH', 'secret')
        mine += [b'"MGET" ' + b' '.join(b'"%s"' % k for k in KEYS[:3])]
        mine += [b'"HELLO" "2" "AUTH" "(redacted)" "(redacted)"', b'"AUTH" "(redacted)"']
        c.call('CONFIG', 'GET', 'port'), c.call('NOSUCH'), c.call('GET')        # none of these is shown
        c.call('SELECT', '3'), c.call('PING')
        mine += [b'"SELECT" "3"', b'"PING"']
    cs[0].call('ECHO', 'that was all')
    for m in monitors:
        lines = read_until(m, b'"ECHO" "that was all"')[:-1]
        for address, want in sent.items():
            got = [line for _, _, a, line in lines if a == address and b'CLIENT' not in line]
            equal(got, want, 'what %s sent' % address.decode())
        equal({db for _, db, _, line in lines if line == b'"PING"'}, {3})


@suite.test
def monitor_ends(t):
    m, other, c = several(t, 3)
    equal(m.call('MONITOR'), OK)
    equal(other.call('MONITOR'), OK)
    c.call('SET', KEYS[0], '1')
    equal(read_until(m, b'"SET" "%s" "1"' % KEYS[0])[-1][1], 0)
    m.send([['RESET']])
    while True:
        reply = m.read()
        if reply == ('+', b'RESET'):
            break
    for k in KEYS:
        c.call('SET', k, '2')
    equal(m.call('PING'), ('+', b'PONG'), 'no more lines after RESET')
    read_until(other, b'"SET" "%s" "2"' % KEYS[-1])
    other.close()
    equal(m.call('MONITOR'), OK)
    c.call('SET', KEYS[1], '3')
    read_until(m, b'"SET" "%s" "3"' % KEYS[1])


@suite.test
def monitor_is_not_for_transactions(t):
    c = t.server.conn()
    c.call('MULTI')
    c.call('MONITOR')
    equal(c.call('EXEC')[1][0][1], b"ERR MONITOR isn't allowed for DENY BLOCKING client")


# ---- DEBUG

@suite.test
def digest_is_the_same_as_redis(t):
    need_weft(t)
    pair = (t.server.conn(), reference().conn())
    for c in pair:
        for db in (0, 7):
            c('SELECT', db)
            for i in range(50):
                c('SET', 'str%d' % i, 'v%d' % (i * i))
                c('SET', 'int%d' % i, i)
            c('RPUSH', 'list', *range(1000))
            c('SADD', 'ints', *range(100))
            c('SADD', 'words', *['w%d' % i for i in range(300)])
            c('HSET', 'hash', *[x for i in range(200) for x in ('f%d' % i, 'v%d' % i)])
            c('HEXPIRE', 'hash', 1000, 'FIELDS', 1, 'f7')
            c('ZADD', 'zset', *[x for i in range(200) for x in (i / 7 if i % 3 else i * 10 ** (i % 17), 'm%d' % i)])
            c('EXPIRE', 'list', 1000)
    for key in ('str7', 'int7', 'list', 'ints', 'words', 'hash', 'zset', 'none'):
        a, b = [c.call('DEBUG', 'DIGEST-VALUE', key) for c in pair]
        equal(a, b, key)
    a, b = [c.call('DEBUG', 'DIGEST') for c in pair]
    equal(a, b, 'DEBUG DIGEST')
    pair[0]('SET', 'str7', 'other')
    true(pair[0].call('DEBUG', 'DIGEST') != a, 'a change changes the digest')


@suite.test
def reload_keeps_everything(t):
    c = t.server.conn()
    c('RPUSH', 'list', *range(500))
    c('HSET', 'hash', *[x for i in range(600) for x in ('f%d' % i, 'v')])
    c.pipeline([['SET', k, k, 'EX', '500'] for k in KEYS])
    before = c.call('DEBUG', 'DIGEST')
    if t.server.is_weft:
        equal(c.call('DEBUG', 'RELOAD'), OK)
    equal(c.call('DEBUG', 'DIGEST'), before)
    equal(c('DBSIZE'), len(KEYS) + 2)


@suite.test
def active_expire_is_switched_on_every_shard(t):
    c = t.server.conn()
    equal(c.call('DEBUG', 'SET-ACTIVE-EXPIRE', '0'), OK)
    try:
        time.sleep(0.15)
        c.pipeline([['SET', k, 'v', 'PX', '1'] for k in KEYS])
        time.sleep(0.3)
        equal(c('DBSIZE'), len(KEYS), 'keys that are dead but not looked at')
    finally:
        c.call('DEBUG', 'SET-ACTIVE-EXPIRE', '1')
    wait_until(lambda: c('DBSIZE') == 0, 5, 'the keys expire')


@suite.test
def debug_sleep_stops_the_data(t):
    a, b = several(t, 2)
    began = time.monotonic()
    a.send([['DEBUG', 'SLEEP', '0.3']])
    time.sleep(0.05)
    b.pipeline([['SET', k, 'v'] for k in KEYS])
    took = time.monotonic() - began
    equal(a.read(), OK)
    true(0.29 < took < 3, 'writes beside DEBUG SLEEP 0.3 took %.3f s' % took)


@suite.test
def debug_is_refused_unless_allowed(t):
    c = t.start(args=['--enable-debug-command', 'no']).conn()
    reply = c.call('DEBUG', 'SLEEP', '0')
    true(reply[0] == '-' and reply[1].startswith(b'ERR DEBUG command not allowed.'), reply)


# ---- SHUTDOWN and shards

@suite.test
def shutdown(t):
    s = t.start()
    a, b = s.conn(), s.conn()
    for words, error in ((['ABORT'], b'ERR No shutdown in progress.'), (['SAVE', 'NOSAVE'], b'ERR syntax error'),
                         (['ABORT', 'NOW'], b'ERR syntax error'), (['x'], b'ERR syntax error')):
        equal(a.call('SHUTDOWN', *words), ('-', error))
    b.send([['SHUTDOWN', 'NOSAVE']])
    true(b.at_end() and a.at_end(), 'connections are closed')
    equal(s.process.wait(10), 0, 'exit status')
    servers._running.discard(s.process)
    s.process = None
    t.started.remove(s)


@suite.test
def shards_are_there_when_config_set_answers(t):
    need_weft(t)
    s = t.start(shards=2)
    cs = [s.conn() for _ in range(10)]
    cs[0].pipeline([['SET', k, k] for k in KEYS])
    monitor = s.conn()
    equal(monitor.call('MONITOR'), OK)
    processed = 0
    for n in (5, 1, 3, 3, 8, 2, 1, 4):
        for asker in (cs[0], cs[9]):
            equal(asker.call('CONFIG', 'SET', 'shards', n), OK)
            f = fields(cs[4], 'everything')
            equal((f['shards'], f['resharding']), (str(n), '0'))
            equal(len([x for x in f if re.match(r'shard\d+$', x)]), n)
            equal(f['db0'].split(',')[0], 'keys=%d' % len(KEYS))
            equal(int(f['connected_clients']), 11)
            true(int(f['total_commands_processed']) > processed, 'counters are lost with the shards that end')
            processed = int(f['total_commands_processed'])
        equal(cs[n % 10].pipeline([['GET', k] for k in KEYS]), [('$', k) for k in KEYS])
    cs[3].call('ECHO', 'the monitor has moved along')
    read_until(monitor, b'"ECHO" "the monitor has moved along"')
    # Two at once: one of them is told to wait its turn, and both are answered.
    cs[0].send([['CONFIG', 'SET', 'shards', 6]])
    cs[5].send([['CONFIG', 'SET', 'shards', 2]])
    answers = [cs[0].read(), cs[5].read()]
    true(OK in answers, answers)
    wait_until(lambda: fields(cs[1], 'weft')['resharding'] == '0', 5, 'the change comes to its end')


@suite.test
def everything_at_once(t):
    """Commands that ask every shard, from many connections, while data commands, kills and reshards go on."""
    stop, problems = [], []
    s = t.start(shards=3) if t.server.is_weft else t.start()

    def run(number, commands):
        while not stop:
            try:
                with s.conn() as c:
                    for _ in range(50):
                        for command in commands:
                            reply = c.call(*command)
                            if reply[0] == '-' and b'change of shards' not in reply[1]:
                                problems.append((command, reply))
            except (OSError, resp.ConnectionClosed):
                continue

    work = [[['SET', KEYS[0], '1'], ['MSET', KEYS[1], 'a', KEYS[2], 'b', KEYS[3], 'c'], ['GET', KEYS[2]]],
            [['INFO', 'everything'], ['CLIENT', 'LIST'], ['DBSIZE']],
            [['SLOWLOG', 'GET'], ['LATENCY', 'HISTOGRAM'], ['MULTI'], ['INFO'], ['SET', KEYS[4], 'x'], ['EXEC']],
            [['CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes'], ['PING']],
            [['CONFIG', 'SET', 'hz', '20'], ['CONFIG', 'RESETSTAT'], ['MEMORY', 'STATS'],
             ['CLIENT', 'PAUSE', '1', 'WRITE']]]
    if t.server.is_weft:
        work += [[['CONFIG', 'SET', 'shards', n] for n in (4, 1, 5, 2)]]
    threads = [threading.Thread(target=run, args=(i, w)) for i, w in enumerate(work * 2)]
    for thread in threads:
        thread.start()
    time.sleep(2)
    stop.append(True)
    for thread in threads:
        thread.join(20)
    true(not any(thread.is_alive() for thread in threads), 'somebody waits for ever')
    equal(problems[:5], [])
    with s.conn() as c:
        equal(c.call('PING'), ('+', b'PONG'))
        wait_until(lambda: fields(c, 'clients')['connected_clients'] == '1', 5, 'all are gone')


if __name__ == '__main__':
    suite.main()
