#!/usr/bin/python3
"""Runs everything that `make test` promises: the unit programs, then the black-box suites, and counts.

    test/run.py [--server PATH] [--jobs 2] [--list] [name ...]        a name runs the suites whose name starts so

SUITES below is the one table of suites. Every suite is a program that ends with a line "N passed, N failed" and a
status other than 0 if something failed; a program that does not is counted as one failure. Logs go to
build/test-logs/. The last line is "N passed, N failed", the sum.
"""
import argparse
import concurrent.futures
import glob
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PY = '/usr/bin/python3' if os.path.exists('/usr/bin/python3') else sys.executable
LOGS = os.path.join(ROOT, 'build', 'test-logs')

# (name, timeout in seconds, program and its words, alone?). {server} is the binary under test.
# Those with True at the end measure time and run alone, after the others.
SUITES = [
    ('differential-1', 600, 'test/differential/run.py --server {server} --shards 1 --commands 55000 --seed '
     '1487308887 --lenient-encodings', False),
    ('differential-4', 600, 'test/differential/run.py --server {server} --shards 4 --commands 55000 --seed '
     '699035699 --lenient-encodings', False),
    ('differential-selftest', 300, 'test/differential/selftest.py', False),
    ('tcl', 1500, 'test/tcl/run.py --server {server} --jobs 2', False),
    ('client-redis-cli', 200, 'test/clients/redis_cli_test.py --server {server} --shards 2', False),
    ('client-redis-py', 200, 'test/clients/redis_py_test.py --server {server} --shards 2', False),
    ('client-node', 400, 'test/clients/node_test.py --server {server} --shards 2', False),
    ('client-benchmark', 400, 'test/clients/benchmark_test.py --server {server}', False),
    ('wire', 300, 'test/blackbox/wire_test.py --server {server} --shards 2', False),
    ('concurrency-1', 300, 'test/blackbox/concurrency_test.py --server {server} --shards 1', False),
    ('concurrency-4', 300, 'test/blackbox/concurrency_test.py --server {server} --shards 4', False),
    ('concurrency-selftest', 300, 'test/blackbox/selftest.py', False),
    ('dump', 300, 'test/blackbox/dump_test.py --server {server} --shards 2', False),
    ('script', 300, 'test/blackbox/script_test.py --server {server}', False),
    ('stream', 200, 'test/blackbox/stream_test.py --server {server}', False),
    ('command-table', 200, 'test/counted.py test/blackbox/command_table_test.py', False),
    ('bench', 200, 'test/counted.py test/bench_test.py', False),
    ('mutants', 300, 'test/counted.py test/mutants_test.py', False),
    ('hash-set', 300, 'test/blackbox/hash_set_test.py --server {server} --shards 2', False),
    ('string', 300, 'test/blackbox/string_test.py --server {server} --shards 2', False),
    ('model', 300, 'test/sim/model_test.py --seeds 3 --seed 1', False),
    ('trace-page', 600, 'test/sim/trace_page_test.py', False),
    ('maelstrom', 300, 'test/maelstrom/run.py', False),
    ('maelstrom-selftest', 300, 'test/maelstrom/run.py --selftest', False),
    ('sim', 900, 'test/sim/sim_test.py', False),
    ('sim-tape', 300, 'test/sim/tape_replay.py --seeds 6 --first-seed 10', False),
    ('spin', 300, 'test/spin/run.py', False),
    ('parity', 200, 'test/blackbox/parity_test.py --server {server}', False),
    ('server-commands-1', 300, 'test/blackbox/server_commands_test.py --server {server} --shards 1', False),
    ('server-commands-4', 300, 'test/blackbox/server_commands_test.py --server {server} --shards 4', False),
    ('config', 300, 'test/blackbox/config_test.py --server {server} --shards 3', False),
    ('start', 300, 'test/blackbox/start_test.py --server {server}', False),
    ('memory', 600, 'test/blackbox/memory_test.py --server {server}', False),
    ('lazyfree', 300, 'test/blackbox/lazyfree_test.py --server {server}', True),
    ('expiry', 300, 'test/blackbox/expiry_test.py --server {server}', True),
    ('reshard', 600, 'test/blackbox/reshard_test.py --server {server}', True),
]
assert all(isinstance(program, str) for _, _, program, _ in SUITES)
UNIT_TIMEOUT_S = 300
COUNT = re.compile(r'^(\d+) passed, (\d+) failed[ \t\r]*$', re.M)


class Result:
    def __init__(self, name, passed, failed, text, seconds, status):
        self.name, self.passed, self.failed, self.text = name, passed, failed, text
        self.seconds, self.status = seconds, status


_children = set()
_lock = threading.Lock()


def run_program(name, words, timeout, env=None):
    """Runs one program in its own process group; (output, exit status, what went wrong or None, seconds)."""
    began = time.monotonic()
    log_path = os.path.join(LOGS, name + '.log')
    trouble = None
    with open(log_path, 'wb') as log:
        child = subprocess.Popen(words, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                                 env=env, start_new_session=True)
        with _lock:
            _children.add(child)
        try:
            status = child.wait(timeout)
        except subprocess.TimeoutExpired:
            trouble = 'no end after %d s' % timeout
            status = None
        # What the program left behind ends with it.
        try:
            os.killpg(child.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        child.wait()
        with _lock:
            _children.discard(child)
    with open(log_path, encoding='utf-8', errors='replace') as log:
        return log.read(), status, trouble, time.monotonic() - began


def run_unit(path):
    """One cmocka program: its own summary on stderr is counted."""
    name = 'unit-' + os.path.basename(path)
    text, status, trouble, seconds = run_program(name, [path], UNIT_TIMEOUT_S)
    passed = sum(int(n) for n in re.findall(r'^\[  PASSED  \] (?:[^:\n]*: )?(\d+) test', text, re.M))
    failed = sum(int(n) for n in re.findall(r'^\[  FAILED  \] (?:[^:\n]*: )?(\d+) test\(s\), listed', text, re.M))
    if trouble or (status != 0 and not failed) or not passed + failed:
        failed += 1
        text += '\n%s: %s\n' % (name, trouble or 'exit status %s, %d tests counted' % (status, passed))
    return Result(name, passed, failed, text, seconds, status)


def run_suite(suite, server, port_base):
    name, timeout, words, _ = suite
    words = [PY] + [w.format(server=server) for w in words.split()]
    env = dict(os.environ, WEFT_TEST_PORT=str(port_base), PYTHONUNBUFFERED='1')
    text, status, trouble, seconds = run_program(name, words, timeout, env)
    counts = COUNT.findall(text)
    last = text.strip().split('\n')[-1] if text.strip() else ''
    if trouble is None and counts and COUNT.match(last):
        passed, failed = map(int, counts[-1])
        if status != 0 and failed == 0:
            failed = 1
            text += '\n%s: exit status %s though nothing failed\n' % (name, status)
    else:
        # Cut short: what it reported so far does not count as passed.
        passed, failed = 0, 1
        text += '\n%s: %s\n' % (name, trouble or 'ended with status %s without a count' % status)
    return Result(name, passed, failed, text, seconds, status)


def show(result, failures):
    print('%-28s %6d passed %4d failed %7.1f s' % (result.name, result.passed, result.failed, result.seconds),
          flush=True)
    skipped = [line.strip() for line in result.text.split('\n') if line.strip().startswith('skipped')]
    for line in skipped[:10]:
        print('    ' + line[:180], flush=True)
    if result.failed:
        failures.append(result)


def failing_lines(text):
    """The lines that say what failed, each with the last one of its trace."""
    lines = text.split('\n')
    at = [i for i, line in enumerate(lines) if re.match(r'\s*(FAILED|DIFFERENCE|REGRESSION)\b', line)]
    out = []
    for i in at[:10]:
        out.append(lines[i].strip())
        trace = [x for x in lines[i + 1:i + 40] if re.match(r'\s+\w*(Error|Exception|Failed|Slow)\w*: ', x)]
        out += [trace[0].strip()] if trace else []
    return out or lines[-5:]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--server', default=os.path.join(ROOT, 'build', 'weft-server'))
    parser.add_argument('--jobs', type=int, default=2)
    parser.add_argument('--unit-dir', default=os.path.join(ROOT, 'build', 'release', 'test', 'unit'))
    parser.add_argument('--list', action='store_true')
    parser.add_argument('names', nargs='*')
    options = parser.parse_args()
    units = sorted(p for p in glob.glob(os.path.join(options.unit_dir, '*_test')) if os.access(p, os.X_OK))

    def wanted(name):
        return not options.names or any(name.startswith(n) for n in options.names)

    units = [u for u in units if wanted('unit-' + os.path.basename(u))]
    suites = [s for s in SUITES if wanted(s[0])]
    if options.list:
        print('\n'.join(['unit-' + os.path.basename(u) for u in units] + [s[0] for s in suites]))
        return 0
    os.makedirs(LOGS, exist_ok=True)
    results, failures = [], []
    began = time.monotonic()
    if suites:
        # The real server to compare with is unpacked once, before the clocks of the suites run.
        sys.path.insert(0, os.path.join(ROOT, 'test', 'blackbox'))
        import server as servers
        reference = servers.find_reference()
        if reference:
            os.environ['WEFT_REFERENCE'] = reference
            for tool in ('cli', 'benchmark'):
                path = re.sub(r'server$', tool, reference)
                if os.path.exists(path):
                    os.environ.setdefault('WEFT_REDIS_' + tool.upper(), path)
            print('reference: ' + servers.version(reference), flush=True)
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        running = [pool.submit(run_unit, u) for u in units]
        base = int(os.environ.get('WEFT_TEST_PORT', '22000'))
        # Each suite gets ports of its own, below the range that the kernel hands out.
        running += [pool.submit(run_suite, s, os.path.abspath(options.server), base + 1000 * (i % 10))
                    for i, s in enumerate(suites) if not s[3]]
        for future in concurrent.futures.as_completed(running):
            results.append(future.result())
            show(results[-1], failures)
    for suite in suites:
        if suite[3]:
            results.append(run_suite(suite, os.path.abspath(options.server), base))
            show(results[-1], failures)

    # Two cores, two suites at a time: what failed is run once more, alone, and that result counts; both are shown. The
    # differential test has repeated what it found already.
    for first in list(failures):
        suite = next((s for s in SUITES if s[0] == first.name), None)
        if suite is None or first.name.startswith('differential-'):
            continue
        log = os.path.join(LOGS, first.name + '.log')
        os.replace(log, log + '.first')
        print('again, alone: %s; what failed at first (%s.first):\n%s' % (
            first.name, os.path.relpath(log, ROOT), '\n'.join('    ' + x[:180] for x in failing_lines(first.text))),
            flush=True)
        failures.remove(first)
        second = run_suite(suite, os.path.abspath(options.server), base)
        results[results.index(first)] = second
        show(second, failures)

    for result in failures:
        lines = result.text.strip().split('\n')
        log = os.path.relpath(os.path.join(LOGS, result.name + '.log'), ROOT)
        print('\n======== %s failed; %s\n%s' % (result.name, log, '\n'.join(lines[-120:])))
    passed, failed = sum(r.passed for r in results), sum(r.failed for r in results)
    print('\n%d suites and unit programs, %.0f s' % (len(results), time.monotonic() - began))
    print('%d passed, %d failed' % (passed, failed))
    return 1 if failed or not results else 0


def interrupted(number, frame):
    for child in list(_children):
        try:
            os.killpg(child.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    os._exit(130)


if __name__ == '__main__':
    signal.signal(signal.SIGINT, interrupted)
    signal.signal(signal.SIGTERM, interrupted)
    sys.exit(main())
