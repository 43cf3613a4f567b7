"""Starts and stops the servers under test, for every black-box suite.

    with Server('build/weft-server', shards=4) as s:
        c = s.conn()

Each server gets a free port of its own, a private working folder, and its output in a log file there. It counts as
up when its log says "Ready to accept connections" and it answers PING. stop() sends SIGTERM and demands an exit
status of 0 and a log without a sanitizer's report; a server which died on its own fails the test that used it.

The same class runs weft and any Redis-like peer; `is_weft` tells them apart (--version names the program).
Servers are signalled by pid only. WEFT_TEST_PORT and WEFT_TEST_PORT_COUNT move the range of ports; WEFT_KEEP keeps the
folders.
"""
import atexit
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import resp  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
WEFT = os.path.join(ROOT, 'build', 'weft-server')
PORT_BASE = int(os.environ.get('WEFT_TEST_PORT', '22000'))
PORT_COUNT = int(os.environ.get('WEFT_TEST_PORT_COUNT', '900'))

REPORTS = re.compile(rb'ERROR: (?:Address|Leak|Memory)Sanitizer|WARNING: ThreadSanitizer|runtime error:|'
                     rb'CHECK failed|REDIS BUG REPORT START')

_running = set()
_folders = set()


def ticks_of(pid):
    """CPU time of a process with all its threads, in clock ticks; 0 if it has gone."""
    try:
        with open('/proc/%d/stat' % pid) as f:
            fields = f.read().rsplit(')', 1)[1].split()
    except OSError:
        return 0
    return int(fields[11]) + int(fields[12])


class Machine:
    """How much of the CPUs others than this test and its servers have taken, from now on: a bound on time says
    something about the server only on a machine that it has to itself."""
    BUSY = 0.25

    def __init__(self):
        self._began = self._read()

    @staticmethod
    def _read():
        with open('/proc/stat') as f:
            columns = [int(x) for x in f.readline().split()[1:9]]
        total = sum(columns)
        own = sum(os.times()[:4]) * os.sysconf('SC_CLK_TCK') + sum(ticks_of(p.pid) for p in list(_running))
        return total, total - columns[3] - columns[4], own

    def others(self):
        """The share that others took, 0 to 1; what the hypervisor took is among it."""
        total, busy, own = (now - then for now, then in zip(self._read(), self._began))
        return max(0, busy - own) / total if total else 0.0

    @property
    def is_busy(self):
        return self.others() > self.BUSY


class ServerFailed(Exception):
    """The server did not start, died, reported a defect or did not stop cleanly."""


def _kill_leftovers():
    for process in list(_running):
        process.kill()
        process.wait()
    if not os.environ.get('WEFT_KEEP'):
        for folder in _folders:
            shutil.rmtree(folder, ignore_errors=True)


atexit.register(_kill_leftovers)


def free_port(count=1):
    """A port which nothing listens on now, out of the tests' range; `count` consecutive ones."""
    for _ in range(500):
        port = PORT_BASE + random.randrange(PORT_COUNT - count)
        try:
            for i in range(count):
                with socket.socket() as s:
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    s.bind(('127.0.0.1', port + i))
        except OSError:
            continue
        return port
    raise ServerFailed('no free port from %d on' % PORT_BASE)


def version(binary):
    """The first line of `binary --version`."""
    out = subprocess.run([binary, '--version'], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=20)
    return out.stdout.decode('utf-8', 'replace').strip().split('\n')[0]


def find_reference():
    """The real server to compare with: WEFT_REFERENCE, else Redis 8.0 of tools/peers.sh, else an installed one."""
    if os.environ.get('WEFT_REFERENCE'):
        return os.environ['WEFT_REFERENCE']
    peers = os.path.join(ROOT, 'tools', 'peers.sh')
    if os.path.exists(peers):
        got = subprocess.run(['sh', peers, 'redis8'], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if got.returncode == 0:
            return got.stdout.decode().strip().split('\n')[-1]
    return shutil.which('redis-server')


class Server:
    """One server process. args: further command line words; shards is passed on to weft only."""

    def __init__(self, binary=WEFT, shards=None, args=(), port=None, config=None, start=True, timeout=60,
                 defaults=True, env=None):
        self.binary = os.path.abspath(binary)
        self.version = version(self.binary)
        self.is_weft = 'weft' in self.version.lower()
        self.shards = shards if self.is_weft else None
        self.dir = tempfile.mkdtemp(prefix='weft-test-')
        _folders.add(self.dir)
        self.log_path = os.path.join(self.dir, 'server.log')
        self.port = port
        self.args = [str(a) for a in args]
        self.config = config
        self.defaults = defaults
        self.timeout = timeout
        self.env = env
        self.process = None
        if start:
            self.start()

    def command(self):
        words = [self.binary]
        if self.config:
            words.append(self.config)
        if self.defaults:
            words += ['--port', str(self.port), '--dir', self.dir, '--save', '', '--appendonly', 'no',
                      '--enable-debug-command', 'yes', '--daemonize', 'no']
        if self.shards is not None:
            words += ['--shards', str(self.shards)]
        return words + self.args

    def start(self):
        for attempt in range(5):
            if self.port is None or attempt:
                self.port = free_port()
            env = dict(os.environ, ASAN_OPTIONS='allocator_may_return_null=1:' + os.environ.get('ASAN_OPTIONS', ''))
            env.update(self.env or {})
            with open(self.log_path, 'ab') as log:
                self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=log,
                                                stderr=subprocess.STDOUT, cwd=self.dir, env=env)
            _running.add(self.process)
            if self._wait_ready():
                return self
        raise ServerFailed('no port to be had:\n' + self.log_tail())

    def _wait_ready(self):
        """True when it serves; False if the port was taken meanwhile."""
        deadline = time.monotonic() + self.timeout
        while time.monotonic() < deadline:
            log = self.log()
            if self.process.poll() is not None:
                _running.discard(self.process)
                if b'already in use' in log:
                    return False
                raise ServerFailed('%s ended with status %s while starting:\n%s' %
                                   (' '.join(self.command()), self.process.returncode, self.log_tail()))
            if b'eady to accept connections' in log:
                try:
                    with resp.Conn(self.port, timeout=5) as c:
                        if c.call('PING')[0] in '+-':
                            return True
                except (OSError, resp.ConnectionClosed):
                    pass
            time.sleep(0.02)
        self.kill()
        raise ServerFailed('%s was not ready after %d s:\n%s' % (self.binary, self.timeout, self.log_tail()))

    # -- while it runs

    @property
    def pid(self):
        return self.process.pid

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def how_it_ended(self):
        """'status 1', 'signal 11'."""
        status = self.process.poll() if self.process is not None else None
        return 'signal %d' % -status if status is not None and status < 0 else 'status %s' % status

    def conn(self, **kw):
        return resp.Conn(self.port, **kw)

    def log(self):
        try:
            with open(self.log_path, 'rb') as f:
                return f.read()
        except FileNotFoundError:
            return b''

    def log_tail(self, lines=40):
        return '\n'.join(self.log().decode('utf-8', 'replace').split('\n')[-lines:])

    def info(self, section='everything'):
        """INFO's fields as a dict of strings."""
        with self.conn() as c:
            text = c('INFO', section).decode()
        return dict(line.split(':', 1) for line in text.split('\r\n') if ':' in line)

    def cpu_s(self):
        """User plus system CPU seconds used so far."""
        return ticks_of(self.pid) / os.sysconf('SC_CLK_TCK')

    # -- the end

    def stop(self, how=signal.SIGTERM, timeout=20):
        """Ends it politely; raises ServerFailed unless it exits with status 0 and without a sanitizer's report."""
        if self.process is None:
            return
        process, self.process = self.process, None
        died = process.poll()
        problem = None
        if died is not None:
            problem = 'died with status %d before it was asked to stop' % died
        else:
            process.send_signal(how)
            try:
                process.wait(timeout)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                problem = 'did not stop within %d s of signal %d' % (timeout, how)
            else:
                if process.returncode != 0:
                    problem = 'exit status %d after signal %d' % (process.returncode, how)
        _running.discard(process)
        log = self.log()
        if REPORTS.search(log):
            problem = (problem or 'stopped') + ', with a defect report in its log'
        tail = self.log_tail(80)
        if problem:
            raise ServerFailed('%s (port %s) %s:\n%s' % (self.binary, self.port, problem, tail))
        shutil.rmtree(self.dir, ignore_errors=True)

    def restart(self):
        """Stops it and starts it again where it was."""
        kept, self.process = self.process, None
        kept.send_signal(signal.SIGTERM)
        if kept.wait(20) != 0:
            raise ServerFailed('%s ended with status %d:\n%s' % (self.binary, kept.returncode, self.log_tail()))
        _running.discard(kept)
        return self.start()

    def kill(self):
        """Ends it at once, checks nothing."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            _running.discard(self.process)
            self.process = None

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind is None:
            self.stop()
            return
        # The test failed already: say whether the server was still alive, do not hide the first error.
        if not self.alive():
            sys.stderr.write('server on port %s is dead; its log ends:\n%s\n' % (self.port, self.log_tail()))
        self.kill()
