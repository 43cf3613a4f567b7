"""Tests of the load generator itself (bench/*.c): does it send what it says, and count what comes back?

    test/bench_test.py [-v] [TestClass[.test]]      WEFT_BENCH=path of the program, else build/weft-bench

Most tests run it against a fake server in this process which parses every request, so that exact counts, key
names and distributions can be checked, and which splits its replies at every byte. The named commands run against a
real server (WEFT_REFERENCE, or the peers of tools/peers.sh; skipped, and said so, where there is none).
"""
import collections
import json
import math
import os
import socket
import subprocess
import sys
import threading
import time
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, 'test', 'blackbox'))
import server as servers  # noqa: E402

BENCH = os.environ.get('WEFT_BENCH', os.path.join(ROOT, 'build', 'weft-bench'))

# One of each kind of reply, and what they count as. The null forms, nesting, attributes, and payloads which look
# like protocol are the interesting ones.
REPLIES = [
    b'+OK\r\n', b':-12\r\n', b'$5\r\nhello\r\n', b'$0\r\n\r\n', b'$-1\r\n', b'*-1\r\n', b'*0\r\n',
    b'$13\r\n+OK\r\n*2\r\n:1\r\n\r\n', b'*3\r\n$1\r\na\r\n$-1\r\n:5\r\n', b'*2\r\n*2\r\n:1\r\n*0\r\n*1\r\n$2\r\nxy\r\n',
    b'_\r\n', b'#t\r\n', b',3.25\r\n', b',-inf\r\n', b'(34928903284092385094\r\n', b'=8\r\ntxt:some\r\n',
    b'%2\r\n+a\r\n:1\r\n+b\r\n%1\r\n+c\r\n*1\r\n_\r\n', b'~2\r\n+x\r\n$3\r\n\r\n\r\r\n', b'%0\r\n', b'~0\r\n',
    b'|1\r\n+ttl\r\n:3600\r\n*2\r\n:1\r\n|1\r\n+k\r\n+v\r\n:2\r\n', b'$17\r\n' + b'z' * 17 + b'\r\n',
]
ERRORS = [b'-ERR no such thing\r\n', b'!9\r\nSYNTAX ab\r\n']
PUSHES = [b'>2\r\n+invalidate\r\n*1\r\n$1\r\nk\r\n', b'>1\r\n+x\r\n']


class FakeServer:
    """Parses requests and hands batches of them to `reply(count) -> list of byte strings to send one by one`."""

    def __init__(self, reply=None, expected_batch=1):
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(('127.0.0.1', 0))
        self.listener.listen(200)
        self.port = self.listener.getsockname()[1]
        self.reply = reply or (lambda count: [b'+OK\r\n' * count])
        self.expected_batch = expected_batch
        self.requests = []  # lists of arguments, in order of arrival
        self.bytes = b''
        self.lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                conn, _ = self.listener.accept()
            except OSError:
                return
            conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._serve, args=(conn,), daemon=True).start()

    @staticmethod
    def _parse(data):
        """Complete requests in `data`, and how many bytes they took."""
        requests, at = [], 0
        while True:
            start, end = at, data.find(b'\r\n', at)
            if end < 0:
                return requests, start
            assert data[at:at + 1] == b'*', data[at:at + 40]
            count, at, arguments = int(data[at + 1:end]), end + 2, []
            for _ in range(count):
                end = data.find(b'\r\n', at)
                if end < 0:
                    return requests, start
                assert data[at:at + 1] == b'$', data[at:at + 40]
                size = int(data[at + 1:end])
                if len(data) < end + 2 + size + 2:
                    return requests, start
                arguments.append(data[end + 2:end + 2 + size])
                assert data[end + 2 + size:end + 4 + size] == b'\r\n'
                at = end + 4 + size
            requests.append(arguments)

    def _serve(self, conn):
        pending, waiting = b'', 0
        with conn:
            while True:
                try:
                    data = conn.recv(1 << 20)
                except OSError:
                    return
                if not data:
                    return
                pending += data
                requests, used = self._parse(pending)
                with self.lock:
                    self.requests += requests
                    self.bytes += pending[:used]
                pending = pending[used:]
                waiting += len(requests)
                if waiting < self.expected_batch:
                    continue
                batch, waiting = waiting, 0
                for piece in self.reply(batch):
                    if isinstance(piece, float):
                        time.sleep(piece)
                    else:
                        try:
                            conn.sendall(piece)
                        except OSError:
                            return

    def close(self):
        self.listener.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def run(*words, port=None, status=0):
    command = [BENCH, '--json', '--quiet'] + [str(w) for w in words]
    if port is not None:
        command += ['--port', str(port)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120)
    if done.returncode != status:
        raise AssertionError('%s: exit status %d, not %d\n%s%s' % (
            ' '.join(command), done.returncode, status, done.stdout.decode(), done.stderr.decode()))
    return json.loads(done.stdout) if status in (0, 1) else done.stderr.decode()


class Replies(unittest.TestCase):
    def test_replies_split_at_every_byte(self):
        replies = REPLIES[:11] + ERRORS[:1] + PUSHES + REPLIES[11:] + ERRORS[1:]
        stream = b''.join(replies)
        pipeline = len(REPLIES) + len(ERRORS)
        splits = iter(range(1, len(stream)))

        def reply(count):
            assert count == pipeline
            at = next(splits)
            return [stream[:at], 0.001, stream[at:]]

        rounds = len(stream) - 1
        with FakeServer(reply, expected_batch=pipeline) as fake:
            got = run('--connections', 1, '--pipeline', pipeline, '--requests', pipeline * rounds, '--mix', 'ping',
                      port=fake.port, status=1)['run']
            self.assertEqual(len(fake.requests), pipeline * rounds)
        self.assertEqual(got['requests'], pipeline * rounds)
        self.assertEqual(got['errors'], len(ERRORS) * rounds)
        self.assertEqual(got['pushes'], len(PUSHES) * rounds)
        self.assertEqual(got['bytes_received'], len(stream) * rounds)
        self.assertEqual(got['first_error'], 'ERR no such thing')

    def test_replies_byte_by_byte(self):
        stream = b''.join(REPLIES)

        def reply(count):
            for i in range(len(stream)):
                yield stream[i:i + 1]
                if i % 8 == 0:
                    yield 0.0002

        with FakeServer(reply, expected_batch=len(REPLIES)) as fake:
            got = run('--connections', 1, '--pipeline', len(REPLIES), '--requests', 3 * len(REPLIES), '--mix', 'ping',
                      port=fake.port)['run']
        self.assertEqual(got['requests'], 3 * len(REPLIES))
        self.assertEqual(got['errors'], 0)

    def test_large_replies_are_skipped_exactly(self):
        # above the size from which payloads are thrown away inside the kernel, and around its limits
        sizes = [32 * 1024 - 2, 32 * 1024, 65536, 65537, 1 << 20, (1 << 20) - 2, (1 << 20) + 1, 3000000]
        stream = b''.join(b'*2\r\n$%d\r\n%s\r\n:7\r\n' % (n, b'$' * n) for n in sizes)
        with FakeServer(lambda count: [stream], expected_batch=len(sizes)) as fake:
            got = run('--connections', 1, '--pipeline', len(sizes), '--requests', 10 * len(sizes), '--mix', 'ping',
                      port=fake.port)['run']
        self.assertEqual((got['requests'], got['errors']), (80, 0))
        self.assertEqual(got['bytes_received'], 10 * len(stream))

    def test_errors_decide_the_exit_status(self):
        with FakeServer(lambda count: [b'-ERR x "y"\r\n' * count]) as fake:
            self.assertEqual(run('--requests', 10, port=fake.port, status=1)['run']['errors'], 10)
            got = run('--requests', 10, '--allow-errors', port=fake.port)['run']
            self.assertEqual((got['errors'], got['first_error']), (10, 'ERR x "y"'))

    def test_failures(self):
        with FakeServer(lambda count: [b'HTTP/1.1 400\r\n']) as fake:
            self.assertIn('no RESP', run('--requests', 10, port=fake.port, status=3))
        with FakeServer(lambda count: [b'*1\r\n$x\r\n']) as fake:
            self.assertIn('no RESP', run('--requests', 10, port=fake.port, status=3))
        with FakeServer(lambda count: [b'+OK\r\n' * (count + 1)]) as fake:
            self.assertIn('more replies', run('--requests', 10, '--connections', 1, port=fake.port, status=3))
        with socket.socket() as unused:
            unused.bind(('127.0.0.1', 0))
            self.assertIn('refused', run('--requests', 1, port=unused.getsockname()[1], status=3))
        for words in (['--keys', '0'], ['--mix', 'nonsense'], ['--mix', 'get:x'], ['--dist', 'zipf'], ['--bogus'],
                      ['--key-size', '5'], ['--value-size', '9-3'], ['stray'], ['--locality', 'local'],
                      ['--preload=soup'], ['--command', ''], ['--command', '__tag__']):
            self.assertNotEqual(run(*words, status=2), '')


class Requests(unittest.TestCase):
    def test_exact_request_count(self):
        for connections, pipeline, count in ((1, 1, 1), (7, 3, 1000), (50, 16, 33), (3, 64, 4097), (20, 1, 5)):
            with FakeServer() as fake:
                got = run('--connections', connections, '--pipeline', pipeline, '--requests', count, '--mix',
                          'get:1,set:3', port=fake.port)['run']
                self.assertEqual(len(fake.requests), count)
                self.assertEqual(got['requests'], count)
                self.assertEqual(got['bytes_sent'], len(fake.bytes))

    def test_warm_up_is_not_counted(self):
        with FakeServer() as fake:
            got = run('--connections', 4, '--pipeline', 8, '--requests', 500, '--warmup', 0.2, port=fake.port)['run']
            self.assertEqual(got['requests'], 500)
            self.assertGreater(len(fake.requests), 500)

    def test_duration(self):
        with FakeServer() as fake:
            got = run('--connections', 2, '--duration', 0.5, port=fake.port)['run']
            self.assertEqual(got['requests'], len(fake.requests))
            self.assertTrue(0.45 < got['elapsed_s'] < 0.7, got)

    def test_mix_and_names(self):
        with FakeServer() as fake:
            run('--connections', 2, '--pipeline', 50, '--requests', 20000, '--keys', 1000, '--mix', 'get:80,set:20',
                '--value-size', 30, port=fake.port)
            sets = [r for r in fake.requests if r[0] == b'SET']
            gets = [r for r in fake.requests if r[0] == b'GET']
        self.assertEqual(len(sets) + len(gets), 20000)
        self.assertLess(abs(len(sets) - 4000), 5 * math.sqrt(20000 * 0.2 * 0.8))
        for r in sets + gets:
            self.assertRegex(r[1], rb'^key:000000000\d\d\d$')
        self.assertEqual({len(r[2]) for r in sets}, {30})
        self.assertGreater(len({r[2] for r in sets}), 3000)

    def test_same_seed_same_requests(self):
        def requests(seed):
            with FakeServer() as fake:
                run('--connections', 1, '--pipeline', 10, '--requests', 2000, '--seed', seed, '--mix',
                    'set:2,get:1,zadd:1,mset:1', '--dist', 'zipf:0.9', '--value-size', '3-40', port=fake.port)
                return fake.bytes
        first = requests(5)
        self.assertEqual(first, requests(5))
        self.assertNotEqual(first, requests(6))

    def test_value_sizes(self):
        for low, high in ((0, 3), (5, 5), (10, 500), (16380, 16390), (20000, 20000), (100000, 300000)):
            with FakeServer() as fake:
                count = 300
                run('--connections', 3, '--pipeline', 4, '--requests', count, '--mix', 'set', '--value-size',
                    '%d-%d' % (low, high) if low < high else low, port=fake.port)
                sizes = [len(r[2]) for r in fake.requests]
                self.assertEqual(len(sizes), count)
                self.assertTrue(low <= min(sizes) and max(sizes) <= high)
                self.assertEqual(len(set(sizes)) > 1, low < high)

    def test_preload_writes_each_once(self):
        with FakeServer() as fake:
            got = run('--connections', 3, '--preload', '--requests', 0, '--keys', 777, '--mix', 'get,incr',
                      '--key-size', 20, '--prefix', 'p:', port=fake.port)
            self.assertNotIn('run', got)
            self.assertEqual(got['preload']['requests'], 2 * 777)
            wanted = collections.Counter({b'p:%018d' % i: 2 for i in range(777)})
            self.assertEqual(collections.Counter(r[1] for r in fake.requests), wanted)
        with FakeServer() as fake:
            run('--connections', 3, '--preload=hash,zset,set,list', '--requests', 0, '--keys', 7, '--elements', 90,
                '--element-size', 9, port=fake.port)
            elements = ['e%08d' % i for i in range(90)]
            for command, prefix, at in (('HSET', 'hsh', 2), ('SADD', 'set', 2), ('ZADD', 'zst', 3)):
                got = [(r[1].decode(), r[at].decode()) for r in fake.requests if r[0] == command.encode()]
                wanted = [('%s:%012d' % (prefix, key), e) for key in range(7) for e in elements]
                self.assertEqual(sorted(got), wanted)
            self.assertEqual(len([r for r in fake.requests if r[0] == b'RPUSH']), 630)

    def test_tags_spread_over_partitions(self):
        def partition(key):
            crc = 0
            for byte in key[key.index(b'{') + 1:key.index(b'}')]:
                crc ^= byte << 8
                for _ in range(8):
                    crc = (crc << 1 ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xffff
            return crc % 16384 // 64
        with FakeServer() as fake:
            run('--preload', '--requests', 0, '--keys', 1000, '--tags', '--key-size', 22, port=fake.port)
            keys = {r[1] for r in fake.requests}
        self.assertEqual(len(keys), 1000)
        self.assertEqual({len(k) for k in keys}, {22})
        spread = collections.Counter(map(partition, keys))
        self.assertEqual((len(spread), set(spread.values())), (256, {3, 4}))

        # the fake is shard 1 of 3 for everybody: local keys must lie there, remote ones elsewhere, all of them loaded
        def reply(count):
            return [b'$12\r\nid=1 shard=1\r\n' if not fake.requests[-1][0].startswith(b'G') else b'+OK\r\n' * count]
        for locality in ('local', 'remote'):
            with FakeServer(reply) as fake:
                run('--requests', 3000, '--keys', 1000, '--key-size', 22, '--locality', locality, '--shards', 3,
                    '--connections', 1, port=fake.port)
                used = {r[1] for r in fake.requests if r[0] == b'GET'}
            self.assertLessEqual(used, keys)
            shards = {partition(k) * 3 // 256 for k in used}
            self.assertEqual(shards, {1} if locality == 'local' else {0, 2})

    def test_raw_command(self):
        with FakeServer() as fake:
            run('--requests', 500, '--connections', 1, '--command',
                'SET "my key:__key__" __data__ EX __ttl__', '--weight', 3, '--command', 'ZADD z __score__ m__element__',
                '--ttl', '100-200', '--value-size', 7, '--elements', 50, port=fake.port)
            sets = [r for r in fake.requests if r[0] == b'SET']
            adds = [r for r in fake.requests if r[0] == b'ZADD']
            self.assertLess(abs(len(sets) - 375), 5 * math.sqrt(500 * 3 / 16))
            for r in sets:
                self.assertRegex(b' '.join(r), rb'^SET my key:0000000\d{5} [\w-]{7} EX (1\d\d|200)$')
            for r in adds:
                self.assertRegex(b' '.join(r), rb'^ZADD z 1\d{9} m0{13}\d\d$')


class Distributions(unittest.TestCase):
    def keys(self, dist, count, requests, seed=3):
        with FakeServer() as fake:
            run('--connections', 1, '--pipeline', 1000, '--requests', requests, '--keys', count, '--dist', dist,
                '--seed', seed, port=fake.port)
            return [int(r[1][4:]) for r in fake.requests]

    def assert_fits(self, observed, expected):
        """Pearson's test; the bound is about 5 standard deviations of chi-square above its mean."""
        chi = sum((o - e) ** 2 / e for o, e in zip(observed, expected))
        freedom = len(expected) - 1
        self.assertLess(chi, freedom + 5 * math.sqrt(2 * freedom), 'observed %s' % observed[:10])

    def test_uniform(self):
        count, requests = 97, 50000
        seen = collections.Counter(self.keys('uniform', count, requests))
        self.assert_fits([seen[k] for k in range(count)], [requests / count] * count)

    def test_zipf(self):
        count, requests = 101, 50000
        for exponent in (0.5, 0.99, 1, 1.3, 3):
            weights = [1 / (k + 1) ** exponent for k in range(count)]
            seen = collections.Counter(self.keys('zipf:%s' % exponent, count, requests))
            # rank r is key r * stride mod count; rank 0 is key 0, rank 1 shows the stride
            stride = max((k for k in seen if k), key=lambda k: seen[k])
            observed = [seen[r * stride % count] for r in range(count)]
            expected = [requests * w / sum(weights) for w in weights]
            while len(expected) > 2 and expected[-1] < 8:  # merge the rare ones
                last, rare = expected.pop(), observed.pop()
                expected[-1] += last
                observed[-1] += rare
            self.assert_fits(observed, expected)

    def test_zipf_of_many_keys(self):
        count, requests = 1000000, 50000
        harmonic = sum(1 / k ** 0.99 for k in range(1, count + 1))
        keys = self.keys('zipf:0.99', count, requests)
        self.assertLess(max(keys), count)
        self.assertLess(abs(keys.count(0) - requests / harmonic), 5 * math.sqrt(requests / harmonic))
        # the hottest 1000 get their share (chance puts some rarer keys among the 1000 most seen: the upper slack)
        top = sum(1 / k ** 0.99 for k in range(1, 1001)) / harmonic
        share = sum(n for _, n in collections.Counter(keys).most_common(1000)) / requests
        self.assertTrue(top - 0.02 < share < top + 0.05, (share, top))

    def test_hotset(self):
        count, requests = 1000, 50000
        seen = collections.Counter(self.keys('hotset:0.1:0.9', count, requests))
        by_heat = sorted((seen[k] for k in range(count)), reverse=True)
        self.assertLess(abs(sum(by_heat[:100]) - 0.9 * requests), 5 * math.sqrt(requests * 0.09))
        self.assertLess(by_heat[100], 40)  # a cold key: about 5.6 each
        self.assertGreater(by_heat[99], 300)  # a hot one: about 450

    def test_sequential(self):
        self.assertEqual(self.keys('sequential', 100, 250), [i % 100 for i in range(250)])


class OpenLoop(unittest.TestCase):
    def test_rate(self):
        with FakeServer() as fake:
            got = run('--open-rate', 2000, '--duration', 1, '--connections', 10, '--pipeline', 4, port=fake.port)['run']
        self.assertEqual(got['requests'], 2000)
        self.assertTrue(0.97 < got['elapsed_s'] < 1.3, got)

    def test_stall_is_charged_to_all_who_waited(self):
        # 500 ms of silence after 200 requests: a closed loop would see it once per connection, but at 1000/s some
        # 500 requests come meanwhile, the last of which hardly waits.
        served = [0]

        def reply(count):
            before, served[0] = served[0], served[0] + count
            return ([0.5] if before < 200 <= served[0] else []) + [b'+OK\r\n' * count]

        for pipeline in (1, 2000):
            served[0] = 0
            with FakeServer(reply) as fake:
                latency = run('--open-rate', 1000, '--requests', 2000, '--connections', 1, '--pipeline', pipeline,
                              port=fake.port)['run']['latency_us']
            self.assertTrue(480e3 < latency['max'] < 700e3, latency)
            self.assertTrue(150e3 < latency['p90'] < 450e3, latency)  # 200 of 2000 wait above ~300 ms
            self.assertLess(latency['p50'], 50e3)


class RealServer(unittest.TestCase):
    """Every named command, filled first, must run without one error reply."""

    @classmethod
    def setUpClass(cls):
        cls.reference = servers.find_reference()
        if cls.reference is None:
            raise unittest.SkipTest('no real server to be had: named commands were not run')

    NAMES = ('get set mget mset del exists expire append getrange incr incrby lpush rpush lpop rpop lrange sadd srem '
             'sismember spop hset hget hdel hgetall hincrby zadd zrem zscore zrank zrange zincrby ping').split()

    def test_named_commands(self):
        with servers.Server(self.reference) as server:
            for resp in (2, 3):
                got = run('--resp', resp, '--preload', '--mix', ','.join(self.NAMES), '--keys', 100, '--elements', 20,
                          '--requests', 20000, '--pipeline', 8, '--connections', 10, '--ttl', '100', '--server-pid',
                          server.pid, port=server.port)['run']
                self.assertEqual(got['errors'], 0)
                self.assertGreater(got['server_cpu_ns_per_request'], 100)
            stats = server.info('commandstats')
            for name in self.NAMES:
                self.assertIn('cmdstat_' + name, stats)

    def test_counts_agree_with_the_server(self):
        with servers.Server(self.reference) as server:
            run('--preload', '--mix', 'set', '--keys', 5000, '--requests', 12345, '--pipeline', 7, '--value-size', 33,
                port=server.port)
            with server.conn() as c:
                self.assertEqual(c('DBSIZE'), 5000)
                self.assertEqual(c('STRLEN', 'key:000000004999'), 33)
            self.assertIn('calls=17345,', server.info('commandstats')['cmdstat_set'])

    def test_password_database_and_unix_socket(self):
        with servers.Server(self.reference, args=['--requirepass', 'secret']) as server:
            self.assertIn('NOAUTH', run('--requests', 5, port=server.port, status=1)['run']['first_error'])
            self.assertIn('WRONGPASS', run('--requests', 5, '--auth', 'x', port=server.port, status=3))
            run('--requests', 5, '--auth', 'secret', '--db', 3, '--mix', 'set', '--resp', 3, port=server.port)
            run('--requests', 5, '--auth', 'secret', '--user', 'default', port=server.port)
        path = '/tmp/weft-bench-test-%d.sock' % os.getpid()
        with servers.Server(self.reference, args=['--unixsocket', path]):
            got = run('--socket', path, '--requests', 100, '--mix', 'set,get', '--preload', '--keys', 50,
                      '--value-size', 100000)['run']
            self.assertEqual((got['requests'], got['errors']), (100, 0))


if __name__ == '__main__':
    unittest.main()
