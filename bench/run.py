#!/usr/bin/env python3
"""`make bench`: weft beside the real servers, in interleaved rounds, with medians and ratios.

    bench/run.py [--help]          everything is set by the environment:

    PEERS     names (redis7 redis8 valkey9: unpacked by tools/peers.sh), programs in PATH or paths; "none". Default:
              the three names
    SET       quick (default) or full: how much of each section
    SECTIONS  of: speed memory shards hop growth idle types. Default: speed memory shards hop idle, and all if full
    ROUNDS    interleaved rounds per figure, of which the median counts [3]
    SECONDS   length of one slice [2]
    WEFT_SERVER, WEFT_BENCH, WEFT_ARGS, WEFT_BENCH_PORT    other binaries, extra arguments for weft, first port

Sections:
    speed     server CPU ns per operation, requests/s, latency: GET and SET at P=1/16/64, 64 B, 512 B, 1 MB, uniform
              and Zipf
    memory    bytes per key and per element: growth of RSS and of used_memory over a filled server
    shards    weft with 1 and 2 shards (all on one core: only CPU per operation means anything), pipeline-order
              strict and relaxed
    hop       weft with 2 shards: all keys on the connection's own shard, or all on the other
    growth    latency of an open load of SETs of new keys while the table grows
    idle      CPU of a filled server with 50 idle clients
    types     one command of each kind, P=16

Tables go to stdout, everything measured to build/bench/<section>.json. The gates of the design are checked and printed
beside the figures; they do not decide the exit status. How to read all this: docs/benchmarks.md.
"""
import collections
import contextlib
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
import time

import servers
from servers import Server, weft_spec

OUT = os.path.join(servers.ROOT, 'build', 'bench')
FULL = os.environ.get('SET', 'quick') == 'full'
ROUNDS = int(os.environ.get('ROUNDS', '3'))
SLICE_S = float(os.environ.get('SECONDS', '2'))
CONNECTIONS = 50
KEYS = 1000000


# --- tables

def print_table(title, header, rows, notes=()):
    widths = [max(len(str(row[i])) for row in [header] + rows) for i in range(len(header))]
    print('\n## ' + title)
    for row in [header] + rows:
        print('  '.join(str(cell).ljust(w) if i == 0 else str(cell).rjust(w)
                        for i, (cell, w) in enumerate(zip(row, widths))).rstrip())
        if row is header:
            print('  '.join('-' * w for w in widths))
    for note in notes:
        print('  ' + note)
    sys.stdout.flush()


def progress(text):
    if sys.stderr.isatty():
        sys.stderr.write('\r%-70s%s' % (text, '' if text else '\r'))
        sys.stderr.flush()


def save(section, data):
    os.makedirs(OUT, exist_ok=True)
    path = os.path.join(OUT, section + '.json')
    with open(path, 'w') as f:
        json.dump({'environment': environment(), 'rounds': ROUNDS, 'slice_s': SLICE_S, 'results': data}, f, indent=1)
    print('  -> ' + os.path.relpath(path, servers.ROOT))


_environment = {}


def environment():
    if not _environment:
        model = 'unknown'
        with contextlib.suppress(OSError), open('/proc/cpuinfo') as f:
            model = next((line.split(':', 1)[1].strip() for line in f if line.startswith('model name')), model)
        commit = subprocess.run(['git', 'describe', '--always', '--dirty'], cwd=servers.ROOT, stdout=subprocess.PIPE,
                                stderr=subprocess.DEVNULL).stdout.decode().strip()
        _environment.update(cpu=model, cores=os.cpu_count(), kernel=platform.release(), commit=commit,
                            date=datetime.datetime.now().isoformat(timespec='seconds'),
                            load_average=os.getloadavg()[0])
    return _environment


def median_run(runs):
    """The medians of what several slices reported, field by field, with the spread of the CPU figure."""
    fields = ('requests_per_s', 'server_cpu_ns_per_request', 'server_user_share', 'own_cpu_share', 'server_cpu_share')
    out = {f: statistics.median(r[f] for r in runs) for f in fields}
    out['latency_us'] = {p: statistics.median(r['latency_us'][p] for r in runs) for p in runs[0]['latency_us']}
    ns = [r['server_cpu_ns_per_request'] for r in runs]
    out['spread'] = (max(ns) - min(ns)) / out['server_cpu_ns_per_request']
    out['disturbed'] = sum(r['disturbed'] for r in runs)
    out['slices'] = runs
    return out


# --- measuring

class Cell:
    """One load: arguments for weft-bench, and what the design demands of it: nanoseconds, and a share of what
    Valkey needs (of the best peer's, where Valkey is not measured)."""

    def __init__(self, name, words, gate_ns=None, gate_ratio=None):
        self.name, self.words, self.gate_ns, self.gate_ratio = name, words, gate_ns, gate_ratio


@contextlib.contextmanager
def running(specs, *fill):
    """Starts all of them one after the other, fills each, and leaves them paused."""
    started = []
    try:
        for spec in specs:
            server = Server(spec)
            started.append(server)
            if fill:
                server.load(*fill, '--requests', 0, '--connections', 8)
            server.pause()
        yield started
    finally:
        for server in started:
            server.stop()


def measure(started, cells, rounds=None):
    """{cell name: {server name: medians}}, in rounds that interleave cells and servers."""
    runs = collections.defaultdict(lambda: collections.defaultdict(list))
    rounds = rounds or ROUNDS
    for r in range(rounds):
        for i, cell in enumerate(cells):
            turn = (r + i) % len(started)
            for server in started[turn:] + started[:turn]:
                progress('round %d/%d  %s  %s' % (r + 1, rounds, cell.name, server.name))
                server.resume()
                runs[cell.name][server.name].append(
                    server.slice('--connections', CONNECTIONS, '--duration', SLICE_S, '--seed', r + 1, *cell.words))
                server.pause()
    progress('')
    return {cell: {name: median_run(slices) for name, slices in by_server.items()} for cell, by_server in runs.items()}


def best_peer(by_server, value, peers):
    found = [value(by_server[p]) for p in peers if p in by_server and value(by_server[p]) is not None]
    return min(found) if found else None


def rival(by_server, value, peers):
    """Whom weft is to beat: Valkey, else the best peer."""
    valkey = [p for p in peers if p.startswith('valkey')]
    return best_peer(by_server, value, valkey or peers)


def demand(holds, text):
    return ('ok ' if holds else 'MISS ') + text


def verdict(cell, ns, rival_ns):
    """Which of the cell's demands hold, in words for the table."""
    parts = []
    if cell.gate_ns is not None:
        parts.append(demand(ns <= cell.gate_ns, '<=%d' % cell.gate_ns))
    if cell.gate_ratio is not None and rival_ns:
        parts.append(demand(ns <= cell.gate_ratio * rival_ns, '<=%.1fx' % cell.gate_ratio))
    return ', '.join(parts)


def cpu_ns(medians):
    return medians['server_cpu_ns_per_request']


def speed_rows(cells, results, names, peers):
    rows = []
    for cell in cells:
        by_server = results[cell.name]
        best = best_peer(by_server, cpu_ns, peers)
        for name in names:
            m = by_server[name]
            ns, late = cpu_ns(m), m['latency_us']
            rows.append([cell.name, name, '%.0f' % ns, '%.2fx' % (ns / best) if best else '-',
                         '%.0f' % (ns * m['server_user_share']), '%.0f' % m['requests_per_s'],
                         '%.0f' % late['p50'], '%.0f' % late['p99'], '%.0f' % late['p99.9'],
                         '%.0f%%' % (m['spread'] * 100), '%.0f%%' % (m['own_cpu_share'] * 100),
                         '' if name in peers else verdict(cell, ns, rival(by_server, cpu_ns, peers))])
    return rows


SPEED_HEADER = ['load', 'server', 'CPU ns/op', 'to best peer', 'user ns', 'req/s', 'p50 us', 'p99', 'p99.9', 'spread',
                'load CPU', 'gate']


def note_disturbed(results):
    count = sum(m['disturbed'] for by_server in results.values() for m in by_server.values())
    return ['%d slices were disturbed by other work on the machine' % count] if count else []


# --- sections

def speed(specs, peers):
    """Gates: design 2 (ns), and of the serving milestone: 0.6 of Valkey at depth, no more than it at P=1."""
    gates = {1: (4800, 5400, 1.0), 16: (500, 500, 0.6), 64: (300, 300, 0.6)}
    groups = []  # (fill, cells) per data set
    cells = []
    for dist in ('uniform', 'zipf:0.99'):
        for depth in (1, 16, 64):
            for i, name in enumerate(('get', 'set')):
                gate = gates[depth]
                title = '%s 64 B P=%d%s' % (name.upper(), depth, '' if dist == 'uniform' else ' zipf')
                cells.append(Cell(title, ['--mix', name, '--pipeline', depth, '--dist', dist, '--keys', KEYS,
                                          '--value-size', 64],
                                  gate[i] if dist == 'uniform' else None, gate[2]))
    if not FULL:
        cells = [c for c in cells if 'zipf' not in c.name or 'P=16' in c.name]
    groups.append((['--preload=string', '--keys', KEYS, '--value-size', 64], cells))
    depths = (1, 16, 64) if FULL else (16,)
    groups.append((['--preload=string', '--keys', KEYS, '--value-size', 512],
                   [Cell('%s 512 B P=%d' % (name.upper(), depth),
                         ['--mix', name, '--pipeline', depth, '--keys', KEYS, '--value-size', 512],
                         750 if depth == 16 else None) for depth in depths for name in ('get', 'set')]))
    large = 1 << 20
    groups.append((['--preload=string', '--keys', 200, '--value-size', large],
                   [Cell('%s 1 MB P=1' % name.upper(), ['--mix', name, '--keys', 200, '--value-size', large])
                    for name in ('get', 'set')]))
    all_results, all_cells = {}, []
    for fill, some in groups:
        with running(specs, *fill) as started:
            all_results.update(measure(started, some))
        all_cells += some
    names = [s.name for s in specs]
    print_table('Speed: %d connections, server on core 0, load on core 1, medians of %d slices of %g s' %
                (CONNECTIONS, ROUNDS, SLICE_S), SPEED_HEADER, speed_rows(all_cells, all_results, names, peers),
                note_disturbed(all_results))
    save('speed', all_results)


MEMORY_ROWS = [
    # name, weft-bench arguments, count, gate without stamp
    ('string 14+8, 1 M', ['--preload=string', '--keys', 1000000, '--key-size', 14, '--value-size', 8], 1000000, 42),
    ('string 14+8, 1.2 M', ['--preload=string', '--keys', 1200000, '--key-size', 14, '--value-size', 8], 1200000, 42),
    ('string 16+16', ['--preload=string', '--keys', 1000000, '--value-size', 16], 1000000, 50),
    ('string 16+16 with TTL', ['--preload=string', '--keys', 1000000, '--value-size', 16, '--ttl', '10000-99999'],
     1000000, 62),
    ('string 16+100', ['--preload=string', '--keys', 1000000, '--value-size', 100], 1000000, 130),
    ('string 16+512', ['--preload=string', '--keys', 1000000, '--value-size', 512], 1000000, 550),
    ('sorted set, 1 M members of 18 B', ['--preload=zset', '--keys', 1, '--elements', 1000000, '--element-size', 18],
     1000000, 55),
    ('hash, 1 M fields 16+8', ['--preload=hash', '--keys', 1, '--elements', 1000000, '--value-size', 8], 1000000, 45),
    ('set, 1 M members of 17 B', ['--preload=set', '--keys', 1, '--elements', 1000000, '--element-size', 17], 1000000,
     36),
    ('hash of 10 fields 8+8, per hash', ['--preload=hash', '--keys', 100000, '--elements', 10, '--element-size', 8,
                                         '--value-size', 8], 100000, None),
    ('list, 1 M elements of 16 B', ['--preload=list', '--keys', 1, '--elements', 1000000, '--value-size', 16],
     1000000, None),
]


def fill_and_weigh(spec, words, count):
    with Server(spec) as server:
        server.load('--preload=string', '--keys', 100, '--requests', 0)  # first-use buffers are not data
        server.ask('FLUSHALL')
        time.sleep(0.3)
        rss, used = server.rss(), server.used_memory()
        server.load(*words, '--requests', 0, '--connections', 2)
        time.sleep(0.3)
        out = {'rss_per_item': (server.rss() - rss) / count}
        now = server.used_memory()
        out['used_per_item'] = (now - used) / count if now is not None and used is not None else None
        return out


def rss_per_item(weight):
    return weight['rss_per_item']


def memory(specs, peers):
    results, rows = {}, []
    for name, words, count, gate in MEMORY_ROWS:
        results[name] = {}
        for spec in specs:
            progress('memory: %s  %s' % (name, spec.name))
            results[name][spec.name] = fill_and_weigh(spec, words, count)
        best = best_peer(results[name], rss_per_item, peers)
        beat = rival(results[name], rss_per_item, peers)
        for spec in specs:
            m = results[name][spec.name]
            demands = []
            if spec.name not in peers:
                demands += [demand(m['rss_per_item'] <= gate, '<=%d' % gate)] if gate else []
                demands += [demand(m['rss_per_item'] < beat, '<rival')] if beat else []
            rows.append([name, spec.name, '%.1f' % m['rss_per_item'],
                         '%.1f' % m['used_per_item'] if m['used_per_item'] is not None else '-',
                         '%.2fx' % (m['rss_per_item'] / best) if best else '-', ', '.join(demands)])
    progress('')
    print_table('Memory: bytes per key or element', ['data', 'server', 'RSS', 'used_memory', 'to best peer', 'gate'],
                rows)
    save('memory', results)


def shards(specs, peers):
    if not any(s.is_weft for s in specs):
        print('\n## Shards: weft only, and it is not here')
        return
    variants = [weft_spec('1 shard', 1), weft_spec('2 shards', 2, '--pipeline-order', 'strict'),
                weft_spec('2 shards relaxed', 2, '--pipeline-order', 'relaxed')]
    cells = [Cell('%s 64 B P=%d' % (name, depth), ['--mix', mix, '--pipeline', depth, '--keys', KEYS])
             for depth in (1, 16, 64) for name, mix in (('GET', 'get'), ('SET', 'set'), ('80:20', 'get:80,set:20'))
             if FULL or depth != 1 or name == '80:20']
    with running(variants, '--preload=string', '--keys', KEYS, '--value-size', 64) as started:
        results = measure(started, cells)
    rows = []
    for cell in cells:
        one = cpu_ns(results[cell.name]['1 shard'])
        for spec in variants:
            m = results[cell.name][spec.name]
            rows.append([cell.name, spec.name, '%.0f' % cpu_ns(m), '%.2fx' % (cpu_ns(m) / one),
                         '%.0f' % m['requests_per_s'],
                         '%.0f' % m['latency_us']['p99'], '%.0f%%' % (m['spread'] * 100)])
    print_table('Shards: CPU per operation at 2 shards (both on core 0) and at 1',
                ['load', 'weft with', 'CPU ns/op', 'to 1 shard', 'req/s', 'p99 us', 'spread'], rows,
                note_disturbed(results))
    save('shards', results)


def hop(specs, peers):
    if not any(s.is_weft for s in specs):
        print('\n## Hop: weft only, and it is not here')
        return
    # key-size: 16 and the 6 bytes of the tag
    common = ['--tags', '--key-size', 22, '--keys', KEYS]
    cells = [Cell('%s P=%d %s' % (mix.upper(), depth, where),
                  [*common, '--mix', mix, '--pipeline', depth, '--locality', where, '--shards', 2])
             for depth in (1, 64) for mix in ('get', 'set') for where in ('local', 'remote')]
    variants = [weft_spec('strict', 2, '--pipeline-order', 'strict'),
                weft_spec('relaxed', 2, '--pipeline-order', 'relaxed')]
    with running(variants, '--preload=string', *common, '--value-size', 64) as started:
        results = measure(started, cells)
    rows = []
    for depth in (1, 64):
        for mix in ('GET', 'SET'):
            for spec in variants:
                local, remote = (results['%s P=%d %s' % (mix, depth, where)][spec.name] for where in
                                 ('local', 'remote'))
                a, b = cpu_ns(local), cpu_ns(remote)
                rows.append(['%s P=%d' % (mix, depth), spec.name, '%.0f' % a, '%.0f' % b, '%.0f' % (b - a),
                             '%.2fx' % (b / a), '%.0f' % local['latency_us']['p99'],
                             '%.0f' % remote['latency_us']['p99']])
    print_table("A hop's price: 2 shards (both on core 0), all keys on the connection's own shard or on the other",
                ['load', 'order', 'local ns/op', 'remote ns/op', 'hop ns', 'ratio', 'p99 us local', 'remote'], rows,
                note_disturbed(results))
    save('hop', results)


def growth(specs, peers):
    """The same open load for each server; keys are all new, so tables grow throughout."""
    rate, seconds = 100000, 20 if FULL else 8
    results, rows = {}, []
    for spec in specs:
        for r in range(ROUNDS):
            with Server(spec) as server:
                run = server.slice('--open-rate', rate, '--duration', seconds, '--mix', 'set', '--dist', 'sequential',
                                   '--keys', 100000000, '--value-size', 16, '--connections', CONNECTIONS,
                                   '--pipeline', 16)
                results.setdefault(spec.name, []).append(run)
        late = {p: statistics.median(r['latency_us'][p] for r in results[spec.name])
                for p in ('p50', 'p99', 'p99.9', 'p99.99', 'max')}
        rows.append([spec.name] + ['%.0f' % late[p] for p in late] +
                    ['%.0f%%' % (statistics.median(r['server_cpu_share'] for r in results[spec.name]) * 100)])
    print_table('Growth: %d SETs of new keys per second (open loop), %d s from an empty server' % (rate, seconds),
                ['server', 'p50 us', 'p99', 'p99.9', 'p99.99', 'max', 'server CPU'], rows)
    save('growth', results)


def idle(specs, peers):
    seconds = 10 if FULL else 5
    rows, results = [], {}
    variants = list(specs) + ([weft_spec('weft, 2 shards', 2)] if any(s.is_weft for s in specs) else [])
    for spec in variants:
        with Server(spec) as server:
            server.load('--preload=string', '--keys', KEYS if FULL else 100000, '--requests', 0)
            sockets = [servers.socket.create_connection(('127.0.0.1', server.port)) for _ in range(CONNECTIONS)]
            time.sleep(2)
            before = server.cpu_s()
            time.sleep(seconds)
            share = (server.cpu_s() - before) / seconds
            for s in sockets:
                s.close()
        results[spec.name] = share
        rows.append([spec.name, '%.2f%%' % (share * 100),
                     demand(share < 0.005, '<0.5%') if spec.is_weft else ''])
    print_table('Idle: CPU with %d idle clients over %d s' % (CONNECTIONS, seconds), ['server', 'CPU', 'gate'], rows)
    save('idle', results)


def types(specs, peers):
    elements, keys = 100, 10000
    names = 'incr mget mset lpush lrange sadd sismember hset hget zadd zrange zincrby ping'.split()
    cells = [Cell(name.upper(), ['--mix', name, '--pipeline', 16, '--keys', keys, '--elements', elements,
                                 '--value-size', 16]) for name in names]
    fill = ['--preload=string,counter,list,set,hash,zset', '--keys', keys, '--elements', elements, '--value-size', 16]
    with running(specs, *fill) as started:
        results = measure(started, cells)
    print_table('Types: P=16, %d keys of %d elements, multi-key commands of 10 keys' % (keys, elements), SPEED_HEADER,
                speed_rows(cells, results, [s.name for s in specs], peers), note_disturbed(results))
    save('types', results)


SECTIONS = {f.__name__: f for f in (speed, memory, shards, hop, growth, idle, types)}
QUICK = ['speed', 'memory', 'shards', 'hop', 'idle']


def main():
    if len(sys.argv) > 1:
        print(__doc__)
        return 0 if sys.argv[1] in ('-h', '--help') else 2
    wanted = os.environ.get('SECTIONS', '').split() or (list(SECTIONS) if FULL else QUICK)
    unknown = [name for name in wanted if name not in SECTIONS]
    if unknown:
        sys.exit('no section %s; there are: %s' % (' '.join(unknown), ' '.join(SECTIONS)))
    if not os.path.exists(servers.BENCH):
        sys.exit('%s is not built: make all' % servers.BENCH)
    words = os.environ.get('PEERS', 'redis7 redis8 valkey9').split()
    specs = servers.find_peers([] if words == ['none'] else words)
    peers = [s.name for s in specs]
    if os.path.exists(servers.WEFT):
        specs.insert(0, weft_spec())
    else:
        print('%s is not built: only the peers are measured' % servers.WEFT)
    if not specs:
        sys.exit('nothing to measure')
    env = environment()
    print('%s, %d cores, Linux %s, weft %s, %s' % (env['cpu'], env['cores'], env['kernel'], env['commit'], env['date']))
    for spec in specs:
        print('  %-10s %s' % (spec.name, spec.version()))
    if env['load_average'] > 0.7:
        print('  warning: the machine is busy (load average %.1f): expect noise' % env['load_average'])
    for name in wanted:
        SECTIONS[name](specs, peers)
    return 0


if __name__ == '__main__':
    sys.exit(main())
