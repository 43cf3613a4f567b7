#!/usr/bin/python3
"""Starting and stopping: Debian's stock redis.conf, the command line, bad configuration, daemonizing, shutdown."""
import glob
import os
import re
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import Skip, Suite, equal, true, wait_until  # noqa: E402
import server as servers  # noqa: E402
from resp import Conn, ConnectionClosed, ReplyError  # noqa: E402

suite = Suite('start and stop')


def stock_confs():
    """Debian's own redis.conf of 7.0 (installed) and of 8.0 (beside the reference that tools/peers.sh unpacked)."""
    found = ['/etc/redis/redis.conf']
    cache = os.environ.get('WEFT_PEERS') or os.path.join(os.path.expanduser('~'), '.cache', 'weft-peers')
    found += glob.glob(os.path.join(cache, 'redis*', 'root', 'etc', 'redis', 'redis.conf'))
    return [p for p in found if os.access(p, os.R_OK)]


def directives(path):
    out = []
    with open(path) as f:
        for line in f:
            line = line.strip()
            if line and not line.startswith('#'):
                out.append(line.split(None, 1)[0].lower())
    return out


def run_server(t, *args, data=None, timeout=20):
    """Runs the server until it ends by itself; (status, output)."""
    got = subprocess.run([t.options.server] + [str(a) for a in args], input=data, stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT, timeout=timeout)
    return got.returncode, got.stdout.decode('utf-8', 'replace')


@suite.test
def stock_configurations(t):
    confs = stock_confs()
    true(confs, 'Debian\'s redis.conf is to be had (apt-get install redis-server)')
    for path in confs:
        major = 8 if 'redis8' in path else 7
        s = t.start(config=path, defaults=False, start=False)
        if not s.is_weft and ('v=%d.' % major) not in s.version:
            continue          # an older Redis does not know the newer one's directives
        # What a service would have: its own port and folders. Everything else is as Debian ships it.
        s.port = servers.free_port()
        s.args = ['--port', str(s.port), '--dir', s.dir, '--logfile', s.log_path, '--daemonize', 'no',
                  '--pidfile', os.path.join(s.dir, 'pid')]
        s.start()
        with s.conn() as c:
            equal(c.call('SET', 'k', 'v'), ('+', b'OK'))
            settings = {}
            for name in set(directives(path)) - {'include', 'loadmodule', 'rename-command', 'user'}:
                got = c('CONFIG', 'GET', name)
                true(got, 'CONFIG GET %s (%s) has an answer' % (name, path))
                settings[got[0].decode()] = got[1].decode()
            equal(settings['port'], str(s.port), 'the command line wins over the file')
            equal(settings['bind'], '127.0.0.1 -::1')
            equal(settings['maxmemory-policy'] if 'maxmemory-policy' in settings else 'noeviction', 'noeviction')
        s.stop()


@suite.test
def default_daemonize_of_the_stock_configuration(t):
    """daemonize yes: the starter returns 0, the pid file names the server, which is gone after SIGTERM."""
    s = t.start(start=False)
    s.port = servers.free_port()
    pid_file = os.path.join(s.dir, 'weft.pid')
    status, out = run_server(t, '--port', s.port, '--dir', s.dir, '--daemonize', 'yes', '--pidfile', pid_file,
                             '--logfile', s.log_path)
    equal(status, 0, out)
    wait_until(lambda: b'eady to accept connections' in s.log(), 20, 'the daemon is ready')
    with open(pid_file) as f:
        pid = int(f.read())
    true(os.path.exists('/proc/%d' % pid), 'the pid file\'s process')
    try:
        with Conn(s.port) as c:
            equal(c.call('PING'), ('+', b'PONG'))
            true(('process_id:%d\r\n' % pid).encode() in c('INFO', 'server'), 'INFO\'s process_id')
    except Exception:
        os.kill(pid, signal.SIGKILL)     # nobody else would end it
        raise
    os.kill(pid, signal.SIGTERM)
    wait_until(lambda: not os.path.exists('/proc/%d' % pid) or
               open('/proc/%d/stat' % pid).read().rsplit(')', 1)[1].split()[0] == 'Z', 15, 'the daemon ends')
    true(not os.path.exists(pid_file), 'the pid file is removed')
    s.process = None


@suite.test
def exit_status_of_signals_and_shutdown(t):
    for how in (signal.SIGTERM, signal.SIGINT):
        s = t.start()
        with s.conn() as c:
            c('SET', 'k', 'v')
            s.stop(how)
            true(c.at_end(), 'clients are disconnected')
    for words in (['SHUTDOWN'], ['SHUTDOWN', 'NOSAVE'], ['SHUTDOWN', 'NOW', 'FORCE']):
        s = t.start()
        with s.conn() as c:
            c.send([words])
            true(c.at_end(10), 'closed without a reply')
        equal(s.process.wait(10), 0, 'exit status after %s' % words)
        servers._running.discard(s.process)
        s.process = None
    # A busy server stops as well.
    s = t.start()
    conns = [s.conn() for _ in range(50)]
    for c in conns:
        c.send([[b'SET', b'k:%d' % i, b'v' * 100] for i in range(2000)])
    s.stop()


@suite.test
def shutdown_errors(t):
    c = t.server.conn()
    equal(c.call('SHUTDOWN', 'WRONG'), ('-', b'ERR syntax error'))
    equal(c.call('SHUTDOWN', 'ABORT'), ('-', b'ERR No shutdown in progress.'))
    equal(c.call('PING'), ('+', b'PONG'))


@suite.test
def log_lines(t):
    """Lines that service managers and test suites wait for."""
    s = t.start()
    log = s.log().decode('utf-8', 'replace')
    true(re.search(r'PID: ?%d|^%d:M ' % (s.pid, s.pid), log, re.M), 'the log names the process: ' + log[:500])
    true('Server initialized' in log, 'Server initialized')
    true('Ready to accept connections' in log, 'Ready to accept connections')
    s.process.send_signal(signal.SIGTERM)
    s.process.wait(10)
    equal(s.process.returncode, 0)
    true('User requested shutdown' in s.log().decode('utf-8', 'replace') or
         'shutdown' in s.log().decode('utf-8', 'replace').lower(), 'the log says why it ended')
    s.process = None


@suite.test
def port_in_use(t):
    s = t.start()
    status, out = run_server(t, '--port', s.port, '--bind', '127.0.0.1')
    true(status != 0, 'the second server does not start')
    true('already in use' in out, out[-400:])


BAD = [
    (['--no-such-directive', 'x'], 'no-such-directive'),
    (['--port', 'abc'], 'argument'),
    (['--port', '70000'], 'argument'),
    (['--maxmemory', '12xb'], 'argument'),
    (['--maxmemory-policy', 'sometimes'], 'argument'),
    (['--databases', '0'], 'argument'),
    (['--appendonly', 'maybe'], 'argument'),
]


@suite.test
def bad_command_lines(t):
    for words, text in BAD:
        status, out = run_server(t, *words)
        true(status != 0, '%s stops the start' % words)
        true(text in out, '%s: the message has %r: %s' % (words, text, out[-400:]))


@suite.test
def bad_configuration_names_file_and_line(t):
    s = t.start(start=False)
    path = os.path.join(s.dir, 'bad.conf')
    for lines, number in (('# fine\nport 0\n\nno-such-directive yes\n', 4), ('port 0\nmaxmemory lots\n', 2),
                          ('port 0\ntimeout 1 2 3\n', 2), ('port 0\nrequirepass "unbalanced\n', 2)):
        if 'no-such' in lines and not t.server.is_weft:
            continue          # Redis 8 keeps unknown directives for its modules
        with open(path, 'w') as f:
            f.write(lines)
        status, out = run_server(t, path)
        true(status != 0, 'a bad file stops the start: %r' % lines)
        true(re.search(r'line %d\b|:%d\b' % (number, number), out),
             'the message names line %d: %s' % (number, out[-500:]))
    status, out = run_server(t, os.path.join(s.dir, 'none.conf'))
    true(status != 0 and 'none.conf' in out, 'a missing file: ' + out[-300:])


@suite.test
def configuration_from_standard_input_and_arguments(t):
    s = t.start(start=False)
    s.port = servers.free_port()
    p = subprocess.Popen([t.options.server, '-', '--maxmemory', '77mb'], stdin=subprocess.PIPE,
                         stdout=open(s.log_path, 'ab'), stderr=subprocess.STDOUT, cwd=s.dir)
    s.process = p
    p.stdin.write(b'port %d\nsave ""\nmaxmemory 10mb\n' % s.port)
    p.stdin.close()
    wait_until(lambda: b'eady to accept connections' in s.log(), 20, 'ready')
    with Conn(s.port) as c:
        equal(c('CONFIG', 'GET', 'maxmemory'), [b'maxmemory', b'%d' % (77 << 20)])


@suite.test
def include_and_quoting(t):
    s = t.start(start=False)
    os.makedirs(os.path.join(s.dir, 'conf.d'))
    with open(os.path.join(s.dir, 'conf.d', 'a.conf'), 'w') as f:
        f.write('requirepass "with \\x41 blank"\nmaxmemory 1gb\n')
    main = os.path.join(s.dir, 'main.conf')
    s.port = servers.free_port()
    with open(main, 'w') as f:
        f.write('port %d\nsave ""\nmaxmemory 1mb\ninclude %s/conf.d/a.conf\n'
                'CLIENT-output-BUFFER-limit normal 10mb 5mb 3\nslowlog-max-len 5\nslowlog-max-len 6\n'
                % (s.port, s.dir))
    s.config, s.defaults = main, False
    s.start()
    with s.conn() as c:
        equal(c.call('AUTH', 'with A blank'), ('+', b'OK'))
        equal(c('CONFIG', 'GET', 'maxmemory'), [b'maxmemory', b'%d' % (1 << 30)])
        equal(c('CONFIG', 'GET', 'slowlog-max-len'), [b'slowlog-max-len', b'6'], 'the last of two lines wins')
        true(b'normal 10485760 5242880 3' in c('CONFIG', 'GET', 'client-output-buffer-limit')[1], 'the buffer limit')


@suite.test
def rename_command(t):
    s = t.start(['--rename-command', 'FLUSHALL', 'secret-flush', '--rename-command', 'KEYS', ''])
    with s.conn() as c:
        c('SET', 'k', 'v')
        true(c.call('FLUSHALL')[1].startswith(b"ERR unknown command 'FLUSHALL'"), 'the old name')
        true(c.call('KEYS', '*')[1].startswith(b"ERR unknown command 'KEYS'"), 'the removed command')
        equal(c.call('SECRET-FLUSH'), ('+', b'OK'))
        equal(c('DBSIZE'), 0)


@suite.test
def config_set_and_rewrite(t):
    s = t.start(start=False)
    conf = os.path.join(s.dir, 'rewrite.conf')
    s.port = servers.free_port()
    with open(conf, 'w') as f:
        f.write('# a comment that stays\nport %d\nsave ""\nmaxmemory 10mb\n# another\nhz 10\n' % s.port)
    s.config, s.defaults = conf, False
    s.start()
    with s.conn() as c:
        equal(c.call('CONFIG', 'SET', 'maxmemory', '20mb', 'maxmemory-policy', 'allkeys-lru'), ('+', b'OK'))
        equal(c.call('CONFIG', 'SET', 'maxmemory', '30mb', 'no-such', '1')[0], '-')
        equal(c('CONFIG', 'GET', 'maxmemory')[1], b'%d' % (20 << 20), 'a failed CONFIG SET changes nothing')
        equal(c.call('CONFIG', 'SET', 'port', 'x')[0], '-')
        equal(c.call('CONFIG', 'SET', 'requirepass', 'p"w \\'), ('+', b'OK'))
        c('AUTH', 'p"w \\')
        equal(c.call('CONFIG', 'REWRITE'), ('+', b'OK'))
    with open(conf) as f:
        text = f.read()
    true('# a comment that stays' in text and '# another' in text, 'comments stay: ' + text)
    true(re.search(r'^maxmemory (20mb|20971520)$', text, re.M), text)
    s.process.send_signal(signal.SIGTERM)
    equal(s.process.wait(10), 0)
    s.process = None
    s.start()
    with s.conn() as c:
        equal(c.call('AUTH', 'p"w \\'), ('+', b'OK'), 'the rewritten password')
        equal(c('CONFIG', 'GET', 'maxmemory')[1], b'%d' % (20 << 20))
        equal(c('CONFIG', 'GET', 'maxmemory-policy')[1], b'allkeys-lru')


@suite.test
def config_resetstat(t):
    c = t.server.conn()
    for i in range(10):
        c('SET', 'k', i)
    true(b'cmdstat_set:calls=1' in c('INFO', 'commandstats') or b'cmdstat_set:' in c('INFO', 'commandstats'),
         'statistics')
    equal(c.call('CONFIG', 'RESETSTAT'), ('+', b'OK'))
    true(b'cmdstat_set:' not in c('INFO', 'commandstats'), 'cleared')


@suite.test
def version_and_help(t):
    status, out = run_server(t, '--version')
    equal(status, 0)
    status, out = run_server(t, '--help')
    if not t.server.is_weft:
        raise Skip('only weft\'s --help names every directive')
    equal(status, 0)
    confs = stock_confs()
    for name in sorted({d for p in confs for d in directives(p)} - {'include'}):
        true(name in out, '--help names %s' % name)


@suite.test
def identity(t):
    """Clients choose code paths by redis_version."""
    info = t.server.info()
    true(info['redis_version'].startswith('8.0.'), info['redis_version'])
    equal(info['redis_mode'], 'standalone')
    if t.server.is_weft:
        true('weft_version' in info, 'weft_version')
        equal(info['tcp_port'], str(t.server.port))


@suite.test
def idle_cpu(t):
    """An idle server uses less than 0.5 % of a CPU (real servers tick ten times a second and stay below too)."""
    s = t.start(['--hz', '10'])
    keep = [s.conn() for _ in range(20)]
    time.sleep(0.5)
    # Ticks are 10 ms, so 0.5 % shows over a few seconds.
    before = s.cpu_s()
    time.sleep(6)
    used = s.cpu_s() - before
    true(used <= 0.03 + 0.011, '%.0f ms CPU in 6 s, 30 ms are allowed (the clock ticks every 10 ms)' % (used * 1000))
    for c in keep:
        c.close()


if __name__ == '__main__':
    suite.main()
