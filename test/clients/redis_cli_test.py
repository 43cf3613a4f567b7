#!/usr/bin/python3
"""redis-cli as people use it: one-shot commands, standard input, RESP3, pipe mode, iteration, big keys."""
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'blackbox'))
from harness import Skip, Suite, equal, true  # noqa: E402

suite = Suite('redis-cli')
CLI = os.environ.get('WEFT_REDIS_CLI') or shutil.which('redis-cli')


def cli(t, *args, data=None, status=0):
    if not CLI:
        raise AssertionError('no redis-cli: apt-get install redis-tools')
    got = subprocess.run([CLI, '-p', str(t.server.port)] + [str(a) for a in args], input=data, stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT, timeout=60)
    if status is not None:
        equal(got.returncode, status, 'exit status of redis-cli, which printed %r' % got.stdout[:300])
    return got.stdout


@suite.test
def one_shot(t):
    equal(cli(t, 'SET', 'k', 'v'), b'OK\n')
    equal(cli(t, 'GET', 'k'), b'v\n')
    equal(cli(t, 'GET', 'none'), b'\n')
    equal(cli(t, 'INCR', 'n'), b'1\n')
    equal(cli(t, '--no-raw', 'GET', 'none'), b'(nil)\n')
    equal(cli(t, '--no-raw', 'INCR', 'n'), b'(integer) 2\n')
    equal(cli(t, '--no-raw', 'RPUSH', 'l', 'a', 'b'), b'(integer) 2\n')
    equal(cli(t, '--no-raw', 'LRANGE', 'l', '0', '-1'), b'1) "a"\n2) "b"\n')


@suite.test
def errors(t):
    true(cli(t, 'NOSUCH', 'a').startswith(b"ERR unknown command 'NOSUCH', with args beginning with: 'a'"),
         'unknown command')
    equal(cli(t, 'GET').strip(), b"ERR wrong number of arguments for 'get' command")
    cli(t, 'LPUSH', 'l', 'x')
    true(cli(t, 'GET', 'l').startswith(b'WRONGTYPE Operation against a key'), 'wrong type')
    true(b'WRONGTYPE' in cli(t, '-e', 'GET', 'l', status=1), 'the exit status of -e')


@suite.test
def standard_input(t):
    equal(cli(t, data=b'SET a 1\nINCR a\nGET a\n'), b'OK\n2\n2\n')
    equal(cli(t, '-x', 'SET', 'blob', data=b'line 1\nline 2'), b'OK\n')
    equal(t.server.conn()('GET', 'blob'), b'line 1\nline 2')
    equal(cli(t, data=b'MULTI\nSET a 5\nINCR a\nEXEC\n'), b'OK\nQUEUED\nQUEUED\nOK\n6\n')


@suite.test
def resp3(t):
    cli(t, 'HSET', 'h', 'f', 'v')
    equal(cli(t, '-3', '--no-raw', 'HGETALL', 'h'), b'1# "f" => "v"\n')
    equal(cli(t, '-3', '--no-raw', 'SADD', 's', 'a'), b'(integer) 1\n')
    equal(cli(t, '-3', '--no-raw', 'SMEMBERS', 's'), b'1~ "a"\n')
    cli(t, 'ZADD', 'z', '1.5', 'm')
    equal(cli(t, '-3', '--no-raw', 'ZSCORE', 'z', 'm'), b'(double) 1.5\n')


@suite.test
def json_output(t):
    cli(t, 'HSET', 'h', 'f', 'v')
    if b'Unrecognized' in cli(t, '--json', 'HGETALL', 'h', status=None):
        raise Skip('this redis-cli has no --json')
    equal(cli(t, '--json', 'HGETALL', 'h'), b'{"f":"v"}\n')


@suite.test
def pipe_mode(t):
    lines = b''.join(b'*3\r\n$3\r\nSET\r\n$%d\r\nkey:%d\r\n$5\r\nvalue\r\n'
                     % (len('key:%d' % i), i) for i in range(20000))
    out = cli(t, '--pipe', data=lines)
    true(b'errors: 0, replies: 20000' in out, out)
    equal(cli(t, 'DBSIZE'), b'20000\n')


@suite.test
def scan_and_big_keys(t):
    c = t.server.conn()
    c.pipeline([[b'SET', b'key:%d' % i, b'v'] for i in range(1000)])
    c.pipeline([[b'RPUSH', b'long list', b'%d' % i] for i in range(300)])
    out = cli(t, '--scan', '--pattern', 'key:*').split()
    equal(sorted(out), sorted(b'key:%d' % i for i in range(1000)))
    out = cli(t, '--bigkeys', status=0)
    true(b'Biggest   list found' in out or b'Biggest list   found' in out or b'300 items' in out, out[-800:])
    true(b'1000 strings' in out, out[-800:])
    out = cli(t, '--memkeys')
    true(b'long list' in out, out[-800:])


@suite.test
def numbered_databases_and_repeats(t):
    equal(cli(t, '-n', '5', 'SET', 'k', 'five'), b'OK\n')
    equal(cli(t, 'EXISTS', 'k'), b'0\n')
    equal(cli(t, '-n', '5', 'GET', 'k'), b'five\n')
    equal(cli(t, '-r', '3', '-i', '0', 'INCR', 'n'), b'1\n2\n3\n')


@suite.test
def statistics_views(t):
    true(b'redis_version:' in cli(t, 'INFO', 'server'), 'INFO server')
    true(b'# Keyspace' in cli(t, 'INFO', 'keyspace'), 'INFO keyspace')
    out = cli(t, '-r', '1', 'CLIENT', 'LIST')
    true(b'cmd=client|list' in out, out)
    true(cli(t, 'CLIENT', 'INFO').startswith(b'id='), 'CLIENT INFO')
    true(len(cli(t, 'COMMAND', 'DOCS', 'GET')) > 50, 'COMMAND DOCS')


@suite.test
def password(t):
    s = t.start(['--requirepass', 'se cret'])
    port = ['-p', str(s.port)]
    true(cli(t, *port, 'GET', 'k').startswith(b'NOAUTH Authentication required.'), 'without a password')
    equal(cli(t, *port, '--no-auth-warning', '-a', 'se cret', 'SET', 'k', 'v'), b'OK\n')
    true(b'WRONGPASS' in cli(t, *port, '--no-auth-warning', '-a', 'wrong', 'PING', status=None), 'a wrong password')


@suite.test
def unix_socket(t):
    path = '/tmp/weft-test-%d.sock' % os.getpid()
    u = t.start(['--unixsocket', path, '--unixsocketperm', '700'])
    got = subprocess.run([CLI, '-s', path, 'SET', 'k', 'over unix'], stdout=subprocess.PIPE, timeout=30)
    equal(got.stdout, b'OK\n')
    equal(os.stat(path).st_mode & 0o777, 0o700, 'permissions of the socket')
    equal(u.conn()('GET', 'k'), b'over unix')
    u.stop()
    true(not os.path.exists(path), 'the socket is removed at shutdown')


@suite.test
def monitor(t):
    """MONITOR shows what other clients do, quoted."""
    p = subprocess.Popen([CLI, '-p', str(t.server.port), 'MONITOR'], stdout=subprocess.PIPE)
    try:
        equal(p.stdout.readline(), b'OK\n')
        t.server.conn()('SET', b'watched "key"', b'\x00\xff')
        line = p.stdout.readline()
        true(line.endswith(b'"SET" "watched \\"key\\"" "\\x00\\xff"\n') and b' [0 127.0.0.1:' in line, line)
    finally:
        p.kill()
        p.wait()


if __name__ == '__main__':
    suite.main()
