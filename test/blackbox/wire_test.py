#!/usr/bin/python3
"""The wire: hostile bytes, inline commands, splits at every byte, and every limit on a connection.

A broken request gets Redis's own error, after the replies to what came before it, and ends that connection only.
"""
import os
import random
import socket
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import Suite, equal, true, wait_until  # noqa: E402
from resp import Conn, ConnectionClosed, ProtocolError, encode  # noqa: E402

suite = Suite('wire')

PROTOCOL_ERRORS = [
    (b'*abc\r\n', b'ERR Protocol error: invalid multibulk length'),
    (b'*99999999999\r\n', b'ERR Protocol error: invalid multibulk length'),
    (b'*3000000000\r\n', b'ERR Protocol error: invalid multibulk length'),
    (b'*1\r\nX3\r\n', b"ERR Protocol error: expected '$', got 'X'"),
    (b'*2\r\n$3\r\nGET\r\nfoo\r\n', b"ERR Protocol error: expected '$', got 'f'"),
    (b'*1\r\n:3\r\n', b"ERR Protocol error: expected '$', got ':'"),
    (b'*1\r\n$-1\r\n', b'ERR Protocol error: invalid bulk length'),
    (b'*1\r\n$abc\r\n', b'ERR Protocol error: invalid bulk length'),
    (b'*1\r\n$\r\n', b'ERR Protocol error: invalid bulk length'),
    (b'*1\r\n$99999999999999999999\r\n', b'ERR Protocol error: invalid bulk length'),
    (b'*2\r\n$3\r\nGET\r\n$536870913\r\n', b'ERR Protocol error: invalid bulk length'),
    (b'*1\r\n$1 \r\n', b'ERR Protocol error: invalid bulk length'),
    (b'GET "foo\r\n', b'ERR Protocol error: unbalanced quotes in request'),
    (b'GET "foo"bar\r\n', b'ERR Protocol error: unbalanced quotes in request'),
    (b"GET 'foo\r\n", b'ERR Protocol error: unbalanced quotes in request'),
    (b'x' * 70000, b'ERR Protocol error: too big inline request'),
    (b'*' + b'1' * 70000, b'ERR Protocol error: too big mbulk count string'),
    (b'*1\r\n$' + b'1' * 70000, b'ERR Protocol error: too big bulk count string'),
]


@suite.test
def protocol_errors(t):
    watcher = t.server.conn()
    for data, error in PROTOCOL_ERRORS:
        with t.server.conn() as c:
            # What came before still gets its replies, in order; what comes after does not.
            c.send_raw(encode([b'SET', b'before', b'1']) + encode([b'INCR', b'before']) + data)
            try:
                equal([c.read(), c.read(), c.read()], [('+', b'OK'), (':', 2), ('-', error)], repr(data[:40]))
            except ConnectionClosed:
                raise AssertionError('closed without the error after %r' % data[:40])
            true(c.at_end(), 'the connection is closed after %r' % data[:40])
        equal(watcher.call('PING'), ('+', b'PONG'), 'another connection after %r' % data[:40])


@suite.test
def nothing_after_a_protocol_error_is_executed(t):
    with t.server.conn() as c:
        c.send_raw(b'*1\r\n$abc\r\n' + encode([b'SET', b'after', b'1']))
        equal(c.read()[0], '-')
        true(c.at_end(), 'closed')
    equal(t.server.conn()('EXISTS', 'after'), 0)


@suite.test
def empty_requests_are_ignored(t):
    with t.server.conn() as c:
        c.send_raw(b'\r\n\r\n*0\r\n*-1\r\n*-10\r\n\r\nPING\r\n')
        equal(c.read(), ('+', b'PONG'))
        c.send_raw(b'*1\r\n$0\r\n\r\n')
        equal(c.read(), ('-', b"ERR unknown command '', with args beginning with: "))


@suite.test
def inline_commands(t):
    cases = [
        (b'PING\r\n', ('+', b'PONG')),
        (b'PING\n', ('+', b'PONG')),
        (b'  SET   a   "b c"  \r\n', ('+', b'OK')),
        (b'GET a\r\n', ('$', b'b c')),
        (b'SET "k\\x00\\xff" "v\\r\\n\\t\\"\\\\"\r\n', ('+', b'OK')),
        (b"ECHO 'single \\' quoted \\n'\r\n", ('$', b"single ' quoted \\n")),
        (b'ECHO ""\r\n', ('$', b'')),
        (b'NOSUCH a b\r\n', ('-', b"ERR unknown command 'NOSUCH', with args beginning with: 'a' 'b' ")),
    ]
    c = t.server.conn()
    for data, want in cases:
        c.send_raw(data)
        equal(c.read(), want, repr(data))
    equal(c.call(b'GET', b'k\x00\xff'), ('$', b'v\r\n\t"\\'))
    # Both kinds of request mixed in one pipeline.
    c.send_raw(b'SET n 1\r\n' + encode([b'INCR', b'n']) + b'INCR n\r\n' + encode([b'GET', b'n']))
    equal([c.read() for _ in range(4)], [('+', b'OK'), (':', 2), (':', 3), ('$', b'3')])


STREAM = (encode([b'SET', b'key:one', b'value \r\n with *3 $5']) + b'PING\r\n' +
          encode([b'MSET', b'{a}1', b'', b'b', b'\x00\xff']) + encode([b'MGET', b'{a}1', b'b', b'none']) +
          b'SET inline "x y"\r\n' + encode([b'GET', b'key:one']))
STREAM_REPLIES = [('+', b'OK'), ('+', b'PONG'), ('+', b'OK'), ('*', (('$', b''), ('$', b'\x00\xff'), ('$', None))),
                  ('+', b'OK'), ('$', b'value \r\n with *3 $5')]


@suite.test
def split_at_every_byte(t):
    c = t.server.conn()
    for at in range(1, len(STREAM)):
        c.send_raw(STREAM[:at])
        time.sleep(0.0005)
        c.send_raw(STREAM[at:])
        equal([c.read() for _ in STREAM_REPLIES], STREAM_REPLIES, 'split at byte %d' % at)
    # And every byte by itself.
    for byte in STREAM:
        c.send_raw(bytes([byte]))
        time.sleep(0.0003)
    equal([c.read() for _ in STREAM_REPLIES], STREAM_REPLIES)


@suite.test
def random_splits_of_big_arguments(t):
    """Arguments around the sizes of buffers, cut anywhere, over a pipeline."""
    rng = random.Random(7)
    c = t.server.conn()
    values = [os.urandom(n) for n in (1, 1023, 1024, 16383, 16384, 16385, 32767, 32768, 65535, 65536, 65537, 1 << 20,
                                      (1 << 20) + 3)]
    for value in values:
        data = b''.join(encode([b'SET', b'big', value]) + encode([b'GET', b'big']) + encode([b'STRLEN', b'big'])
                        for _ in range(2))
        at = 0
        c.sock.setblocking(True)
        while at < len(data):
            step = rng.choice([1, 7, 100, 4096, 16384, 65536, len(data)])
            c.send_raw(data[at:at + step])
            at += step
        for _ in range(2):
            equal(c.read(), ('+', b'OK'))
            true(c.read() == ('$', value), 'a value of %d bytes comes back' % len(value))
            equal(c.read(), (':', len(value)))


@suite.test
def deep_pipeline(t):
    c = t.server.conn()
    n = 100000
    c.send_raw(b''.join(encode([b'INCR', b'c%d' % (i % 10)]) for i in range(n)))
    for i in range(n):
        reply = c.read()
        if reply != (':', i // 10 + 1):
            raise AssertionError('reply %d is %r' % (i, reply))


@suite.test
def garbage(t):
    """Random bytes, and valid requests with bytes changed: every reply is RESP, the server serves on."""
    rng = random.Random(11)
    watcher = t.server.conn()
    template = (encode([b'SET', b'k', b'v' * 20]) + encode([b'LPUSH', b'l', b'1', b'2']) +
                encode([b'HSET', b'h', b'f', b'1']))
    for round_ in range(300):
        if round_ % 3 == 0:
            data = bytes(rng.randrange(256) for _ in range(rng.randrange(1, 300)))
        else:
            data = bytearray(template * 3)
            for _ in range(rng.randrange(1, 6)):
                data[rng.randrange(len(data))] = rng.choice(b'*$\r\n:0123456789-\x00\xff aZ"')
        c = t.server.conn(timeout=5)
        c.send_raw(bytes(data))
        try:
            c.sock.shutdown(socket.SHUT_WR)
            while True:
                c.read()
        except socket.timeout:
            raise AssertionError('the connection is not closed 5 s after its end, and %r' % bytes(data))
        except (ConnectionClosed, OSError):
            pass
        except ProtocolError as e:
            raise AssertionError('after %r the server sent no RESP: %s' % (bytes(data), e))
        finally:
            c.close()
        if round_ % 20 == 0:
            equal(watcher.call('PING'), ('+', b'PONG'))
    equal(watcher.call('PING'), ('+', b'PONG'))


@suite.test
def half_closed_connection_gets_its_replies(t):
    c = t.server.conn()
    c.send([[b'SET', b'k', b'v'], [b'GET', b'k']])
    c.sock.shutdown(socket.SHUT_WR)
    try:
        equal([c.read(), c.read()], [('+', b'OK'), ('$', b'v')])
    except ConnectionClosed:
        # Redis may see the end of the stream first; what it did must be done all the same.
        pass
    wait_until(lambda: t.server.conn()('GET', 'k') == b'v', 2, 'the command before the end of the stream')


@suite.test
def bulk_limit_of_512_mb(t):
    s = t.start()
    c = s.conn(timeout=120)
    size = 512 << 20
    block = b'0123456789abcdef' * 65536
    c.send_raw(b'*3\r\n$3\r\nSET\r\n$3\r\nbig\r\n$%d\r\n' % size)
    for _ in range(size // len(block)):
        c.send_raw(block)
    c.send_raw(b'\r\n')
    equal(c.read(), ('+', b'OK'))
    equal(c('STRLEN', 'big'), size)
    equal(c('GETRANGE', 'big', size - 20, -1), (block * 2)[-20:])
    error = ('-', b'ERR string exceeds maximum allowed size (proto-max-bulk-len)')
    equal(c.call('APPEND', 'big', 'x'), error)
    equal(c.call('SETRANGE', 'big', size, 'x'), error)
    equal(c.call('SETRANGE', 'other', size, 'x'), error)
    equal(c.call('SETBIT', 'other', size * 8, 1), ('-', b'ERR bit offset is not an integer or out of range'))
    equal(c('DEL', 'big'), 1)
    c('CONFIG', 'SET', 'proto-max-bulk-len', 1 << 20)
    equal(c.call(b'SET', b'k', b'x' * (1 << 20)), ('+', b'OK'))
    c.send_raw(b'*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1048577\r\n')
    equal(c.read(), ('-', b'ERR Protocol error: invalid bulk length'))
    true(c.at_end(), 'closed')


@suite.test
def output_buffer_hard_limit(t):
    s = t.start(['--client-output-buffer-limit', 'normal 2000000 0 0'])
    other = s.conn()
    other(b'SET', b'big', b'x' * 100000)
    c = s.conn()
    closed = False
    try:
        c.send([[b'GET', b'big']] * 1000)       # 100 MB, nothing of it read
        wait_until(lambda: s.info('clients')['connected_clients'] == '2', 10, 'the slow reader is closed')
        while True:
            c.read()
    except ConnectionClosed:
        closed = True
    true(closed, 'the reader which did not read was closed')
    equal(other.call('STRLEN', 'big'), (':', 100000), 'the other connection')


@suite.test
def output_buffer_soft_limit(t):
    s = t.start(['--client-output-buffer-limit', 'normal 0 200000 1'])
    other = s.conn()
    other(b'SET', b'big', b'x' * 100000)
    c = s.conn()
    c.send([[b'GET', b'big']] * 200)            # 20 MB: more than the kernel takes
    time.sleep(0.3)
    equal(s.info('clients')['connected_clients'], '3', 'clients before the soft limit\'s time (one is INFO\'s own)')
    wait_until(lambda: s.info('clients')['connected_clients'] == '2', 10, 'closed after the soft limit\'s time')
    # A reader that does read is not closed.
    reader = s.conn()
    reader.send([[b'GET', b'big']] * 200)
    for _ in range(200):
        equal(len(reader.read()[1]), 100000)
    time.sleep(1.5)
    equal(reader.call('PING'), ('+', b'PONG'))


@suite.test
def query_buffer_limit(t):
    s = t.start(['--client-query-buffer-limit', '1mb'])
    other = s.conn()
    c = s.conn()
    try:
        c.send_raw(b'*2\r\n$3\r\nGET\r\n$50000000\r\n')
        for _ in range(40):
            c.send_raw(b'x' * 100000)
            time.sleep(0.005)
        true(c.at_end(), 'closed above the limit')
    except ConnectionClosed:
        pass
    equal(other.call('PING'), ('+', b'PONG'))
    wait_until(lambda: s.info('clients')['connected_clients'] == '2', 5, 'only the others are left')


@suite.test
def unread_replies_do_not_block_others(t):
    """A client that never reads, within its limits: everybody else is served."""
    other = t.server.conn()
    other(b'SET', b'big', b'x' * 1000000)
    slow = t.server.conn()
    slow.send([[b'GET', b'big']] * 50)
    for i in range(200):
        began = time.monotonic()
        equal(other.call('SET', 'k', i), ('+', b'OK'))
        true(time.monotonic() - began < 2, 'a request takes less than 2 s')
    for _ in range(50):
        equal(len(slow.read()[1]), 1000000)


@suite.test
def maxclients(t):
    s = t.start(['--maxclients', '20'])
    # The connection that saw the server come up must have gone, or it takes the place of one of these.
    conns = [s.conn()]
    wait_until(lambda: b'connected_clients:1\r' in conns[0]('INFO', 'clients'), 5, 'nobody else is there')
    conns += [s.conn() for _ in range(19)]
    wait_until(lambda: conns[0]('INFO', 'clients').split(b'connected_clients:')[1].startswith(b'20'), 5, '20 clients')
    extra = s.conn()
    equal(extra.read(), ('-', b'ERR max number of clients reached'))
    true(extra.at_end(), 'closed')
    for c in conns:
        equal(c.call('PING'), ('+', b'PONG'))
    conns.pop().close()

    def fits():
        try:
            with s.conn() as c:
                return c.call('PING') == ('+', b'PONG')
        except ConnectionClosed:
            return False
    wait_until(fits, 5, 'a place becomes free')
    equal(conns[0]('CONFIG', 'SET', 'maxclients', '30'), b'OK')
    more = [s.conn() for _ in range(8)]
    for c in more:
        equal(c.call('PING'), ('+', b'PONG'))


@suite.test
def idle_timeout(t):
    s = t.start(['--timeout', '1'])
    busy, idle = s.conn(), s.conn()
    equal(idle.call('PING'), ('+', b'PONG'))
    deadline = time.monotonic() + 4
    while time.monotonic() < deadline:
        equal(busy.call('PING'), ('+', b'PONG'))
        time.sleep(0.2)
    true(idle.at_end(), 'the idle connection was closed')
    equal(busy.call('PING'), ('+', b'PONG'), 'the busy one was not')


@suite.test
def limits_before_authentication(t):
    s = t.start(['--requirepass', 'secret'])
    with s.conn() as c:
        equal(c.call('GET', 'a'), ('-', b'NOAUTH Authentication required.'))
        c.send_raw(b'*11\r\n')
        equal(c.read(), ('-', b'ERR Protocol error: unauthenticated multibulk length'))
        true(c.at_end(), 'closed')
    with s.conn() as c:
        c.send_raw(b'*1\r\n$16385\r\n')
        equal(c.read(), ('-', b'ERR Protocol error: unauthenticated bulk length'))
        true(c.at_end(), 'closed')
    with s.conn() as c:
        equal(c.call('AUTH', 'wrong'), ('-', b'WRONGPASS invalid username-password pair or user is disabled.'))
        equal(c.call('AUTH', 'default', 'secret'), ('+', b'OK'))
        equal(c.call(b'SET', b'a', b'x' * 20000), ('+', b'OK'))
        equal(c.call(*[b'DEL'] + [b'k'] * 50), (':', 0))
    with s.conn() as c:
        equal(c.call('HELLO', '3', 'AUTH', 'default', 'secret')[0], '%')
        equal(c.call('GET', 'none'), ('_', None))


@suite.test
def quit_reset_and_reply_modes(t):
    with t.server.conn() as c:
        c.send([[b'SET', b'k', b'v'], [b'QUIT'], [b'SET', b'k', b'after']])
        equal([c.read(), c.read()], [('+', b'OK'), ('+', b'OK')])
        true(c.at_end(), 'closed by QUIT')
    c = t.server.conn()
    equal(c('GET', 'k'), b'v', 'nothing after QUIT is executed')
    c.send([[b'CLIENT', b'REPLY', b'OFF'], [b'SET', b'k', b'1'], [b'NOSUCH'], [b'CLIENT', b'REPLY', b'ON'], [b'PING']])
    equal([c.read(), c.read()], [('+', b'OK'), ('+', b'PONG')])
    c.send([[b'CLIENT', b'REPLY', b'SKIP'], [b'SET', b'k', b'2'], [b'GET', b'k']])
    equal(c.read(), ('$', b'2'))
    c.call('SELECT', '3')
    c.call('CLIENT', 'SETNAME', 'me')
    c.call('MULTI')
    equal(c.call('RESET'), ('+', b'RESET'))
    equal(c.call('CLIENT', 'GETNAME'), ('$', None))
    equal(c.call('GET', 'k'), ('$', b'2'), 'database 0 after RESET')
    equal(c.call('EXEC'), ('-', b'ERR EXEC without MULTI'))


@suite.test
def client_kill_and_pause(t):
    a, b, c = t.server.conn(), t.server.conn(), t.server.conn()
    a('CLIENT', 'SETNAME', 'victim')
    equal(b('CLIENT', 'KILL', 'ID', a('CLIENT', 'ID')), 1)
    true(a.at_end(), 'the killed connection is closed')
    equal(b('CLIENT', 'KILL', 'ID', 999999999), 0)
    equal(b.call('CLIENT', 'KILL', '127.0.0.1:1'), ('-', b'ERR No such client'))
    # Paused writes wait, reads do not.
    equal(b('CLIENT', 'PAUSE', '600', 'WRITE'), b'OK')
    began = time.monotonic()
    equal(c.call('GET', 'k'), ('$', None))
    true(time.monotonic() - began < 0.4, 'a read passes during CLIENT PAUSE WRITE')
    equal(c.call('SET', 'k', 'v'), ('+', b'OK'))
    took = time.monotonic() - began
    true(0.4 < took < 3, 'a write waits for the end of the pause, %.2f s' % took)
    b('CLIENT', 'PAUSE', '60000', 'WRITE')
    c.send([[b'SET', b'k', b'w']])
    time.sleep(0.1)
    equal(b('CLIENT', 'UNPAUSE'), b'OK')
    began = time.monotonic()
    equal(c.read(), ('+', b'OK'))
    true(time.monotonic() - began < 2, 'UNPAUSE lets it go on at once')


@suite.test
def resp3_types(t):
    c = t.server.conn()
    hello = c.call('HELLO', '3')
    equal(hello[0], '%')
    c.pipeline([[b'HSET', b'h', b'f', b'v'], [b'SADD', b's', b'm'], [b'ZADD', b'z', b'1.5', b'm'],
                [b'SET', b'k', b'v']])
    equal(c.call('HGETALL', 'h'), ('%', (('$', b'f'), ('$', b'v'))))
    equal(c.call('SMEMBERS', 's'), ('~', (('$', b'm'),)))
    equal(c.call('ZSCORE', 'z', 'm'), (',', b'1.5'))
    equal(c.call('ZRANGE', 'z', '0', '-1', 'WITHSCORES'), ('*', (('*', (('$', b'm'), (',', b'1.5'))),)))
    equal(c.call('GET', 'none'), ('_', None))
    equal(c.call('CONFIG', 'GET', 'maxclients')[0], '%')
    equal(c.call('INFO', 'server')[0], '=')
    equal(c.call('DEBUG', 'PROTOCOL', 'true'), ('#', True))
    equal(c.call('DEBUG', 'PROTOCOL', 'double'), (',', b'3.141'))
    equal(c.call('HELLO', '2')[0], '*')
    equal(c.call('GET', 'none'), ('$', None))
    equal(c.call('ZSCORE', 'z', 'm'), ('$', b'1.5'))


@suite.test
def many_connections(t):
    """Three hundred connections, all at once, each with its own answers."""
    conns = [t.server.conn() for _ in range(300)]
    for round_ in range(5):
        for i, c in enumerate(conns):
            c.send([[b'SET', b'k:%d' % i, b'%d.%d' % (i, round_)], [b'GET', b'k:%d' % i]])
        for i, c in enumerate(conns):
            equal([c.read(), c.read()], [('+', b'OK'), ('$', b'%d.%d' % (i, round_))])
    for c in conns:
        c.close()
    wait_until(lambda: int(t.server.info('clients')['connected_clients']) < 20, 5, 'closed connections are noticed')


if __name__ == '__main__':
    suite.main()
