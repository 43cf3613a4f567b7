"""The servers of a benchmark: starting them pinned to a core, their memory, and the load generator's slices.

A server runs with `save ""` and `appendonly no`, all of its threads on SERVER_CORE; the load runs on LOAD_CORE. While
one server is measured the others are stopped (SIGSTOP), so they can stay filled without taking part.
"""
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
WEFT = os.environ.get('WEFT_SERVER', os.path.join(ROOT, 'build', 'weft-server'))
BENCH = os.environ.get('WEFT_BENCH', os.path.join(ROOT, 'build', 'weft-bench'))
PORT = int(os.environ.get('WEFT_BENCH_PORT', '21050'))
PORT_COUNT = 50
_last_port = PORT - 1
SERVER_CORE = '0'
LOAD_CORE = '1' if (os.cpu_count() or 1) > 1 else '0'
READY_S = 20
# A slice in which neither side had a core to itself was disturbed by something else on the machine.
BUSY_SHARE = 0.9
SLICE_TRIES = 3


class Spec:
    """Which program, under which name in the tables, with which extra arguments."""

    def __init__(self, name, binary, args=(), is_weft=False):
        self.name, self.binary, self.args, self.is_weft = name, binary, list(args), is_weft

    def version(self):
        out = subprocess.run([self.binary, '--version'], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=20)
        return out.stdout.decode('utf-8', 'replace').strip().split('\n')[0]


def weft_spec(name='weft', shards=1, *args):
    extra = os.environ.get('WEFT_ARGS', '').split()
    return Spec(name, WEFT, ['--shards', str(shards), *args, *extra], is_weft=True)


def find_peers(words):
    """Specs of the peers named in `words`: names of tools/peers.sh, programs in PATH, or paths."""
    specs = []
    for word in words:
        path = shutil.which(word)
        if path is None and '/' not in word:
            got = subprocess.run([os.path.join(ROOT, 'tools', 'peers.sh'), word], stdout=subprocess.PIPE)
            path = got.stdout.decode().strip() if got.returncode == 0 else None
        if path is None:
            print('no peer %r here: left out' % word)
            continue
        specs.append(Spec(os.path.basename(word), path))
    return specs


def free_port():
    """The first port from PORT on that nothing listens on; never the same twice in a row."""
    global _last_port
    for port in list(range(_last_port + 1, PORT + PORT_COUNT)) + list(range(PORT, _last_port + 1)):
        with contextlib.suppress(OSError), socket.socket() as s:
            s.bind(('127.0.0.1', port))
            _last_port = port
            return port
    raise SystemExit('no free port from %d on' % PORT)


class Server:
    """One running server; a context manager. Not paused at first."""

    def __init__(self, spec):
        self.spec, self.name = spec, spec.name
        self.port = free_port()
        self.dir = tempfile.mkdtemp(prefix='weft-bench-')
        command = ['taskset', '-c', SERVER_CORE, spec.binary, '--port', str(self.port), '--dir', self.dir, '--save', '',
                   '--appendonly', 'no', *spec.args]
        with open(os.path.join(self.dir, 'log'), 'wb') as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.dir)
        self.pid = self.process.pid
        self._wait()

    def _wait(self):
        deadline = time.monotonic() + READY_S
        while self.process.poll() is None and time.monotonic() < deadline:
            try:
                if self.ask('PING').startswith('+PONG'):
                    return
            except OSError:
                time.sleep(0.05)
        with open(os.path.join(self.dir, 'log'), errors='replace') as log:
            text = log.read()[-2000:]
        self.stop()
        raise SystemExit('%s did not start (%s):\n%s' % (self.name, ' '.join(self.process.args), text))

    def ask(self, *words):
        """One command on a connection of its own; the raw reply."""
        with socket.create_connection(('127.0.0.1', self.port), timeout=60) as s:
            s.sendall(b'*%d\r\n' % len(words) + b''.join(b'$%d\r\n%s\r\n' % (len(w), w.encode()) for w in words))
            data = b''
            while True:
                line, newline, rest = data.partition(b'\r\n')
                if newline and (line[:1] != b'$' or len(rest) >= int(line[1:])):
                    return data.decode('utf-8', 'replace')
                got = s.recv(65536)
                if not got:
                    raise OSError('%s closed the connection' % self.name)
                data += got

    def used_memory(self):
        """used_memory of INFO in bytes, or None."""
        for line in self.ask('INFO', 'memory').split('\r\n'):
            if line.startswith('used_memory:'):
                return int(line.split(':')[1])
        return None

    def rss(self):
        with open('/proc/%d/status' % self.pid) as f:
            for line in f:
                if line.startswith('VmRSS:'):
                    return int(line.split()[1]) * 1024
        raise OSError('no VmRSS')

    def cpu_s(self):
        with open('/proc/%d/stat' % self.pid) as f:
            fields = f.read().rsplit(')', 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def load(self, *words, allow_errors=False):
        """Runs weft-bench against it; its JSON as a dict."""
        command = ['taskset', '-c', LOAD_CORE, BENCH, '--json', '--quiet', '--port', str(self.port), '--server-pid',
                   str(self.pid), *[str(w) for w in words]]
        done = subprocess.run(command + (['--allow-errors'] if allow_errors else []), stdout=subprocess.PIPE)
        if done.returncode != 0:
            raise SystemExit('%s: %s failed with status %d: %s' % (self.name, ' '.join(command), done.returncode,
                                                                   done.stdout.decode()))
        return json.loads(done.stdout)

    def slice(self, *words):
        """A measured slice: the `run` part of the report; tried again if something else took the cores."""
        for _ in range(SLICE_TRIES):
            run = self.load('--warmup', '0.2', *words)['run']
            run['disturbed'] = max(run['server_cpu_share'], run['own_cpu_share']) < BUSY_SHARE
            if not run['disturbed'] or '--open-rate' in words:
                break
        return run

    def stop(self):
        if self.process.poll() is None:
            self.resume()
            self.process.kill()  # nothing to save, and large heaps take long to free
            self.process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
