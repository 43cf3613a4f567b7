#!/usr/bin/python3
"""Redis's own Tcl test suite against a server that the suite starts itself.

    run.py [--server build/weft-server] [--shards N] [--units a,b] [--jobs 2]     run, compare with baseline.json
    run.py --all                           the same, running those of expected_failures.txt, too (slower)
    run.py --baseline --server REDIS       run, write baseline.json: the tests which a real Redis 8.0 passes
    run.py --restricted --server REDIS     run with all commands of later issues renamed away, and write
                                           expected_failures.txt: the tests which then fail

It plays the suite's own "test server" towards the suite's test clients (the little protocol between the two is
length-prefixed Tcl lists), so results come as data, by unit and test name. One client process runs one unit; shim.tcl
keeps it going after errors; a unit that hangs or dies is run again without the tests that it got through, so that
every test is reached or known not to be.

A test of the baseline counts as passed only if it ran and passed. One that was not reached counts as failed. The
tests named in expected_failures.txt need commands of later issues: they are counted apart and never as passed, and
run only with --all, which tells those that pass meanwhile.
"""
import argparse
import collections
import concurrent.futures
import itertools
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.join(os.path.dirname(HERE), 'blackbox'))
import server as servers  # noqa: E402
import suite  # noqa: E402

UNITS = ['unit/type/' + u for u in 'string incr list list-2 list-3 set zset hash hash-field-expire'.split()] + \
        ['unit/' + u for u in '''expire scan keyspace multi bitops bitfield dump sort protocol querybuf limits info
         info-command info-keysizes introspection introspection-2 other lazyfree maxmemory auth'''.split()]
# Longest first, so that two lanes end at about the same time.
LONG_FIRST = ['unit/type/list', 'unit/type/zset', 'unit/type/hash-field-expire', 'unit/type/set', 'unit/introspection',
              'unit/other', 'unit/expire', 'unit/maxmemory']
SILENCE_S = 150       # no packet for so long: the unit hangs
UNIT_S = 900
RERUNS_MAX = 12

# What issue 2 asks for; commands outside this list are renamed away by --restricted.
COMMANDS = set('''
append decr decrby get getdel getex getrange getset incr incrby incrbyfloat lcs mget mset msetnx psetex set setex setnx
setrange strlen substr bitcount bitfield bitfield_ro bitop bitpos getbit setbit copy del dump exists expire expireat
expiretime keys move object persist pexpire pexpireat pexpiretime pttl randomkey rename renamenx restore scan sort
sort_ro touch ttl type unlink hdel hexists hget hgetall hincrby hincrbyfloat hkeys hlen hmget hmset hrandfield hscan
hset hsetnx hstrlen hvals hexpire hpexpire hexpireat hpexpireat hexpiretime hpexpiretime httl hpttl hpersist hgetdel
hgetex hsetex lindex linsert llen lmove lmpop lpop lpos lpush lpushx lrange lrem lset ltrim rpop rpoplpush rpush rpushx
sadd scard sdiff sdiffstore sinter sintercard sinterstore sismember smembers smismember smove spop srandmember srem
sscan sunion sunionstore zadd zcard zcount zdiff zdiffstore zincrby zinter zintercard zinterstore zlexcount zmpop
zmscore zpopmax zpopmin zrandmember zrange zrangebylex zrangebyscore zrangestore zrank zrem zremrangebylex
zremrangebyrank zremrangebyscore zrevrange zrevrangebylex zrevrangebyscore zrevrank zscan zscore zunion zunionstore
multi exec discard watch unwatch auth client command config dbsize debug echo flushall flushdb hello info latency
lolwut memory monitor ping quit reset role select shutdown slowlog swapdb time
'''.split())


def parse_list(text):
    """A Tcl list's elements; enough of the syntax for what [list] produces."""
    out, i, n = [], 0, len(text)
    while True:
        while i < n and text[i] in ' \t\n\r\v\f':
            i += 1
        if i >= n:
            return out
        if text[i] == '{':
            depth, start = 1, i + 1
            i += 1
            while i < n and depth:
                if text[i] == '\\':
                    i += 1
                elif text[i] == '{':
                    depth += 1
                elif text[i] == '}':
                    depth -= 1
                i += 1
            out.append(text[start:i - 1])
            continue
        quoted = text[i] == '"'
        i += quoted
        word = []
        while i < n and not (text[i] == '"' if quoted else text[i] in ' \t\n\r\v\f'):
            if text[i] == '\\' and i + 1 < n:
                i += 1
                word.append({'n': '\n', 't': '\t', 'r': '\r', 'v': '\v', 'f': '\f', 'a': '\a', 'b': '\b'}
                            .get(text[i], text[i]))
            else:
                word.append(text[i])
            i += 1
        i += quoted
        out.append(''.join(word))


class Unit:
    """The results of one unit: (name, nth of that name) -> ok | err | skip."""

    def __init__(self, name):
        self.name = name
        self.results = collections.OrderedDict()
        self.messages = {}
        self.outside = []      # errors outside tests
        self.ignored = 0       # tests or blocks left out by tag
        self.seconds = 0.0
        self.reruns = 0

    def add(self, test, nth, result, message=None):
        key = test if nth == 1 else '%s #%d' % (test, nth)
        self.results[key] = result
        if message:
            self.messages[key] = message


def left_out(expected, baseline):
    """The names, by unit, that need not run: all tests of that name lack a command. (Tests which only follow from
    others' failure do run: later tests build on them.)"""
    out = collections.defaultdict(set)
    for unit, test in expected:
        name = test.rpartition(' #')[0] if re.search(r' #\d+$', test) else test
        if name not in baseline.get(unit, []):
            name = test           # the number is part of its own name
        same = [t for t in baseline.get(unit, []) if t == name or re.fullmatch(re.escape(name) + r' #\d+', t)]
        if all(expected.get((unit, t), '').startswith('needs') for t in same):
            out[unit].add(name)
    return out


class Runner:
    def __init__(self, folder, log_dir, shim, leave_out):
        self.leave_out = leave_out
        self.folder = folder
        self.log_dir = log_dir
        self.shim = shim
        ranges = list(range(servers.PORT_BASE + 100, servers.PORT_BASE + 900, 40))
        random.shuffle(ranges)         # another run beside this one would try the same ports in the same order
        self.ports = itertools.cycle(ranges)
        self.lock = threading.Lock()

    def run_unit(self, name):
        unit = Unit(name)
        began = time.monotonic()
        done = sorted(self.leave_out.get(name, ()))     # names not to run (again)
        for attempt in range(RERUNS_MAX):
            unit.reruns = attempt
            stuck = self._run_once(unit, done, UNIT_S - (time.monotonic() - began))
            if stuck is None:
                break
            # A rerun that got nowhere would only repeat itself.
            if stuck == '' or time.monotonic() - began > UNIT_S:
                unit.outside.append('given up after %d s' % (time.monotonic() - began))
                break
        unit.seconds = time.monotonic() - began
        return unit

    def _run_once(self, unit, done, seconds_left):
        """One client process. None when the unit ended; else the test it was in ('' if it made no progress)."""
        with self.lock:
            base_port = next(self.ports)
        listener = socket.socket()
        listener.bind(('127.0.0.1', 0))
        listener.listen(1)
        listener.settimeout(20)
        safe = unit.name.replace('/', '_')
        skip_file = os.path.join(self.folder, 'skip-' + safe)
        with open(skip_file, 'w', encoding='latin-1') as f:
            f.write('\n'.join(done))
        log = open(os.path.join(self.log_dir, 'tcl-%s.log' % safe), 'a' if unit.reruns else 'w', encoding='latin-1')
        client = subprocess.Popen(
            ['tclsh', 'tests/test_helper.tcl', '--client', str(listener.getsockname()[1]), '--durable',
             '--baseport', str(base_port), '--portcount', '40', '--skipfile', skip_file],
            cwd=self.folder, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            env=dict(os.environ, WEFT_TCL_SHIM=self.shim, LC_ALL='C.UTF-8'), start_new_session=True)
        pids = set()
        try:
            return self._talk(unit, done, client, listener, log, pids, seconds_left)
        finally:
            listener.close()
            for pid in list(pids) + [client.pid]:
                try:
                    os.kill(pid, signal.SIGKILL)
                except OSError:
                    pass
            client.wait()
            log.close()

    def _talk(self, unit, done, client, listener, log, pids, seconds_left):
        deadline = time.monotonic() + seconds_left
        current, counts, solo = None, collections.Counter(), []
        progressed = False
        try:
            sock, _ = listener.accept()
        except socket.timeout:
            unit.outside.append('the test client did not start')
            return ''
        stream = sock.makefile('r', encoding='latin-1')   # universal newlines, as Tcl's "auto" translation does
        try:
            while True:
                sock.settimeout(max(1, min(SILENCE_S, deadline - time.monotonic())))
                header = stream.readline()
                if not header:
                    raise EOFError
                words = parse_list(stream.read(int(header)))
                status, data = words[0], words[1] if len(words) > 1 else ''
                log.write('[%s] %s\n' % (status, data))
                log.flush()
                if status == 'ready':
                    self._command(sock, ['run', unit.name])
                elif status == 'testing':
                    current = data
                    counts[data] += 1
                    progressed = True
                elif status == 'ok':
                    unit.add(data, counts[data], 'ok')
                    done.append(data)
                    current = None
                elif status == 'err':
                    if current is not None and data.startswith(current + ' in '):
                        unit.add(current, counts[current], 'err', data)
                        done.append(current)
                        current = None
                    else:
                        unit.outside.append(data)
                elif status == 'exception':
                    unit.outside.append(data)
                    raise EOFError
                elif status == 'ignore':
                    unit.ignored += 1
                elif status == 'server-spawned':
                    pids.add(int(data))
                elif status == 'server-killed':
                    pids.discard(int(data))
                elif status == 'run_solo':
                    solo.append(parse_list(data))
                elif status == 'done':
                    if not solo:
                        return None
                    self._command(sock, ['run_code', solo.pop(0)])
        except (socket.timeout, EOFError) as e:
            what = 'hung' if isinstance(e, socket.timeout) else 'the test client ended'
            if current is not None:
                unit.add(current, counts[current], 'err', what)
                done.append(current)
            else:
                unit.outside.append(what)
            return (current or what) if progressed else ''
        finally:
            sock.close()

    @staticmethod
    def _command(sock, words):
        def quote(word):
            if isinstance(word, list):
                word = ' '.join(map(quote, word))
            return '{' + word + '}'      # words come from the suite itself, with balanced braces
        payload = ' '.join(map(quote, words))
        sock.sendall(('%d\n%s' % (len(payload), payload)).encode('latin-1'))


def read_expected():
    """expected_failures.txt: 'unit <tab> test <tab> reason' -> {(unit, test): reason}."""
    out = {}
    path = os.path.join(HERE, 'expected_failures.txt')
    if os.path.exists(path):
        with open(path, encoding='utf-8') as f:
            for number, line in enumerate(f, 1):
                line = line.rstrip('\n')
                if not line or line.startswith('#'):
                    continue
                parts = line.split('\t')
                if len(parts) != 3:
                    sys.exit('%s:%d: not "unit<tab>test<tab>reason"' % (path, number))
                out[parts[0], parts[1]] = parts[2]
    return out


def read_baseline():
    path = os.path.join(HERE, 'baseline.json')
    if not os.path.exists(path):
        sys.exit('no baseline.json: make one with --baseline on a real Redis 8.0')
    with open(path) as f:
        return json.load(f)


def one_line(text, limit=160):
    lines = [x.strip() for x in text.split('\n') if x.strip()]
    line = lines[1] if len(lines) > 1 else (lines[0] if lines else '')
    return line if len(line) <= limit else line[:limit] + '...'


def run_all(options, server, extra_args):
    folder = tempfile.mkdtemp(prefix='weft-tcl-')
    log_dir = os.path.abspath(options.logs)
    os.makedirs(log_dir, exist_ok=True)
    try:
        source, why = suite.obtain(folder)
        if source is None:
            return None, why
        prefix = server[:-len('server')] if server.endswith('-server') and not server.endswith('weft-server') else ''
        if not prefix:
            reference = servers.find_reference() or ''
            prefix = reference[:-len('server')]
        suite.prepare(folder, server, prefix, extra_args)
        leave_out = {}
        if not (options.all or options.baseline or options.restricted):
            leave_out = left_out(read_expected(), read_baseline()['passed'])
        runner = Runner(folder, log_dir, os.path.join(HERE, 'shim.tcl'), leave_out)
        wanted = options.units.split(',') if options.units else UNITS
        wanted = [u if u.startswith('unit/') else 'unit/' + u for u in wanted]
        wanted = [u for u in wanted if os.path.exists(os.path.join(folder, 'tests', u + '.tcl'))]
        wanted.sort(key=lambda u: LONG_FIRST.index(u) if u in LONG_FIRST else len(LONG_FIRST))
        with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
            units = []
            for unit in pool.map(runner.run_unit, wanted):
                tally = collections.Counter(unit.results.values())
                print('%-30s %4d ok %4d err %4d errors outside tests %3d reruns %6.1f s' % (
                    unit.name, tally['ok'], tally['err'], len(unit.outside), unit.reruns, unit.seconds), flush=True)
                units.append(unit)
        return units, source
    finally:
        if options.keep:
            print('kept: ' + folder)
        else:
            shutil.rmtree(folder, ignore_errors=True)


def write_baseline(units, server, source):
    path = os.path.join(HERE, 'baseline.json')
    old = {}
    if os.path.exists(path):
        with open(path) as f:
            old = json.load(f)['passed']
    for unit in units:
        old[unit.name] = [t for t, r in unit.results.items() if r == 'ok']
    with open(path, 'w') as f:
        json.dump({'server': servers.version(server), 'suite': source, 'passed': dict(sorted(old.items()))}, f,
                  indent=0)
        f.write('\n')
    print('baseline: %d tests in %d units' % (sum(map(len, old.values())), len(old)))


def missing_commands(server):
    """The server's commands that are not in COMMANDS."""
    with servers.Server(server) as s, s.conn() as c:
        # Commands of modules do not exist yet when the configuration is read.
        return sorted(info[0].decode() for info in c('COMMAND') if b'module' not in info[2] and
                      info[0].decode().lower() not in COMMANDS)


def reason_for(test, message, missing):
    """Why a test cannot pass yet, in a few words."""
    lacking = [m for m in missing if "'%s'" % m in message.lower()]
    if lacking:
        return 'needs ' + ', '.join(lacking).upper()
    if 'blocked client' in message:
        return 'needs blocking commands'
    if 'replica' in message.lower() or 'redisHandle' in message and re.search('replica|slave|MASTER', test):
        return 'needs replication'
    for pattern, what in (('replica|slave|MASTERAUTH', 'replication'), ('MIGRATE', 'MIGRATE'),
                          ('cluster', 'cluster mode'),
                          ('EVAL|LUA|script', 'EVAL'), ('XREAD|XGROUP', 'streams'), ('GEO', 'geo commands')):
        if re.search(pattern, test):
            return 'needs ' + what
    why = one_line(message, 70).replace('\t', ' ') if message else 'not reached'
    return 'follows from a test that needs later commands: ' + why


def write_expected(units, baseline, missing):
    """Adds every test of the baseline which failed (or was not reached) now, with the command it lacked."""
    path = os.path.join(HERE, 'expected_failures.txt')
    expected = read_expected()
    for unit in units:
        for test in baseline.get(unit.name, []):
            if unit.results.get(test) == 'ok' or (unit.name, test) in expected:
                continue
            message = unit.messages.get(test, '')
            reason = reason_for(test, message, missing)
            expected[unit.name, test] = reason
    with open(path, 'w', encoding='utf-8') as f:
        f.write('# Tests of Redis\'s suite which need something of a later issue: unit <tab> test <tab> reason.\n'
                '# Made by `run.py --restricted`: Redis 8.0 itself fails them when the commands outside issue 2 are\n'
                '# renamed away. A line is removed when its command arrives. A test listed here that passes is '
                'reported.\n')
        for (unit, test), reason in sorted(expected.items()):
            f.write('%s\t%s\t%s\n' % (unit, test, reason))
    print('expected failures: %d' % len(expected))


def report(units, options):
    """Compares with the baseline; returns (passed, failed)."""
    data = read_baseline()
    expected = read_expected()
    passed = failed = later = unexpected = beyond = 0
    print('\nbaseline: %s' % data['server'])
    print('%-30s %8s %8s %8s %8s' % ('unit', 'redis', 'here', 'failed', 'later'))
    for unit in units:
        base = data['passed'].get(unit.name, [])
        known = set(base)
        good, bad, wait = 0, [], 0
        for test in base:
            result = unit.results.get(test)
            if (unit.name, test) in expected:
                wait += 1
                if result == 'ok':
                    unexpected += 1
                    print('  passes now, remove it from expected_failures.txt: %s: %s' % (unit.name, test))
            elif result == 'ok':
                good += 1
            else:
                bad.append(test)
        beyond += sum(1 for t, r in unit.results.items() if r == 'ok' and t not in known)
        print('%-30s %8d %8d %8d %8d' % (unit.name, len(base), good, len(bad), wait))
        for test in bad:
            print('  FAILED %s: %s: %s' % (unit.name, test, one_line(unit.messages.get(test, '\nnot reached'))))
        for text in unit.outside[:20]:
            print('  outside tests in %s: %s' % (unit.name, one_line(text, 200)))
        passed += good
        failed += len(bad)
        later += wait
    print('%d tests need later commands (%d of them pass already); %d passed which the baseline does not have' % (
        later, unexpected, beyond))
    return passed, failed


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--server', default=servers.WEFT)
    parser.add_argument('--shards', type=int)
    parser.add_argument('--units', help='comma-separated, e.g. type/string,expire')
    parser.add_argument('--jobs', type=int, default=2)
    parser.add_argument('--logs', default=os.path.join(servers.ROOT, 'build', 'test-logs', 'tcl'))
    parser.add_argument('--keep', action='store_true', help='keep the private folder')
    parser.add_argument('--all', action='store_true', help='run the tests of expected_failures.txt, too')
    parser.add_argument('--baseline', action='store_true')
    parser.add_argument('--restricted', action='store_true')
    options = parser.parse_args()

    if not shutil.which('tclsh'):
        print('skipped: no tclsh (apt-get install tcl)\n0 passed, 0 failed')
        return 0
    server = os.path.abspath(options.server)
    extra, missing = [], []
    if options.shards:
        extra += ['--shards', str(options.shards)]
    if options.restricted:
        missing = missing_commands(server)
        for name in missing:
            extra += ['--rename-command', name, '""']
    units, source = run_all(options, server, ' '.join(extra))
    if units is None:
        print('skipped: no copy of Redis\'s Tcl suite: %s\n0 passed, 0 failed' % source)
        return 0
    if options.baseline:
        write_baseline(units, server, source)
        return 0
    if options.restricted:
        write_expected(units, read_baseline()['passed'], missing)
        return 0
    passed, failed = report(units, options)
    print('%d passed, %d failed' % (passed, failed))
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
