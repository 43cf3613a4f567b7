#!/usr/bin/python3
"""What a server says about itself, beside what a real one says: COMMAND INFO, arity errors, INFO's sections and fields,
CONFIG's directives and defaults, CLIENT LIST's fields. Needs a real server (WEFT_REFERENCE, tools/peers.sh).

Commands of later issues may be missing; a command that is there must describe itself as Redis's does.
"""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.join(HERE, '..', 'tcl'))
from harness import Suite, equal, reference, true  # noqa: E402
from run import COMMANDS  # noqa: E402  (what issue 2 asks for, as the Tcl suite's runner lists it)

suite = Suite('parity')

def both(t):
    return reference().conn(), t.server.conn()


def listed(problems, what):
    true(not problems, '%d %s:\n' % (len(problems), what) + '\n'.join(problems[:60]))


def normal(reply):
    """Flag and category lists are sets."""
    if reply[0] in '*~' and reply[1]:
        items = [normal(r) for r in reply[1]]
        if all(i[0] == '+' for i in items):
            items.sort()
        return ('*', tuple(items))
    return reply


def without_notes(reply):
    """A key specification's notes are sentences, and ours are our own."""
    if reply[0] not in '*~%' or not reply[1]:
        return reply
    items, out, skip = list(reply[1]), [], False
    for item in items:
        if skip:
            skip = False
        elif item in (('$', b'notes'), ('+', b'notes')):
            skip = True
        else:
            out.append(without_notes(item))
    return (reply[0], tuple(out))


@suite.test
def every_command_is_there(t):
    _, c = both(t)
    names = sorted(COMMANDS)
    missing = [n for n, r in zip(names, c.call('COMMAND', 'INFO', *names)[1]) if not r[1]]
    listed(missing, 'commands are missing')


@suite.test
def command_info(t):
    a, b = both(t)
    parts = ['name', 'arity', 'flags', 'first key', 'last key', 'step', 'categories', 'tips', 'key specifications']
    problems = []
    for name in sorted(COMMANDS):
        x, y = a.call('COMMAND', 'INFO', name)[1][0][1], b.call('COMMAND', 'INFO', name)[1][0][1]
        if not x or not y:
            continue
        for i, part in enumerate(parts):
            if normal(without_notes(x[i])) != normal(without_notes(y[i])):
                problems.append('%s: %s\n    redis %r\n    here  %r' % (name, part, normal(x[i]), normal(y[i])))
    listed(problems, 'differences in COMMAND INFO')


@suite.test
def subcommand_info(t):
    """Subcommands which are there describe themselves like Redis's."""
    a, b = both(t)
    problems = []
    for name in ('client', 'command', 'config', 'debug', 'latency', 'memory', 'object', 'slowlog'):
        x, y = a.call('COMMAND', 'INFO', name)[1][0][1], b.call('COMMAND', 'INFO', name)[1][0][1]
        if not x or not y:
            continue
        theirs = {r[1][0]: r[1] for r in x[9][1]}
        ours = {r[1][0]: r[1] for r in y[9][1]}
        for sub, info in sorted(ours.items()):
            if sub not in theirs:
                problems.append('%s is not Redis\'s' % sub[1].decode())
                continue
            for i in (1, 2, 6):
                if normal(info[i]) != normal(theirs[sub][i]):
                    problems.append('%s [%d]\n    redis %r\n    here  %r' % (sub[1].decode(), i, normal(theirs[sub][i]),
                                                                         normal(info[i])))
    listed(problems, 'differences in subcommands')


@suite.test
def docs(t):
    """COMMAND DOCS: since, group, arguments (summaries are every project's own words)."""
    a, b = both(t)
    a.call('HELLO', '3'), b.call('HELLO', '3')
    problems = []
    for name in sorted(COMMANDS):
        x, y = a('COMMAND', 'DOCS', name), b('COMMAND', 'DOCS', name)
        if not x or not y:
            continue
        x, y = list(x.values())[0], list(y.values())[0]
        for field in (b'since', b'group', b'arguments'):
            if field == b'arguments':
                def spell(arguments):
                    return [(g[b'name'], g[b'type'], g.get(b'token'), sorted(g.get(b'flags', [])),
                             spell(g.get(b'arguments', [])))
                            for g in arguments or []]
                if spell(x.get(field)) != spell(y.get(field)):
                    problems.append('%s: arguments\n    redis %r\n    here  %r'
                                    % (name, spell(x.get(field)), spell(y.get(field))))
            elif x.get(field) != y.get(field):
                problems.append('%s: %s redis %r here %r' % (name, field.decode(), x.get(field), y.get(field)))
    listed(problems, 'differences in COMMAND DOCS')


@suite.test
def arity_errors(t):
    """Every command with no argument at all and with far too many."""
    a, b = both(t)
    quiet = {'quit', 'shutdown', 'monitor', 'reset', 'flushall', 'flushdb', 'debug', 'command', 'info', 'lolwut',
             'time', 'role', 'multi', 'exec', 'discard', 'unwatch', 'ping', 'hello', 'randomkey', 'dbsize'}
    problems = []
    for name in sorted(COMMANDS - quiet):
        words = [[name.encode()], [name.encode()] + [b'x'] * 40]
        if name in ('sort', 'sort_ro', 'del', 'unlink', 'touch', 'exists', 'watch'):
            words.pop()
        for command in words:
            x, y = a.call(*command), b.call(*command)
            if x[0] == '-' and x != y:
                problems.append('%s with %d arguments\n    redis %r\n    here  %r' % (name, len(command) - 1, x, y))
    listed(problems, 'differences')


@suite.test
def without_cluster_mode(t):
    """redis-cli, for one, goes on after READONLY only if the refusal is Redis's to the letter."""
    a, _ = both(t)
    row = a.call('COMMAND', 'INFO', 'cluster')[1][0][1]
    lines = [[w] for w in ('READONLY', 'READWRITE', 'ASKING', 'CLUSTER')] + [['READONLY', 'x'], ['CLUSTER', 'nosuch']]
    lines += [['RESTORE-ASKING', 'k', '0', 'no payload'], ['RESTORE-ASKING', 'k']]
    for sub in row[9][1]:
        words = sub[1][0][1].decode().split('|')
        lines += [words + ['1'] * n for n in range(4)]
    true(len(lines) > 100, 'CLUSTER has subcommands')
    problems = []
    for line in lines:
        x, y = ([c.call(*w) for w in ([line, ['MULTI'], line, ['EXEC']])] for c in both(t))
        if x != y:
            problems.append('%s\n    redis %r\n    here  %r' % (' '.join(line), x, y))
    listed(problems, 'answers differ')


@suite.test
def subcommand_errors(t):
    a, b = both(t)
    problems = []
    for name in ('CLIENT', 'COMMAND', 'CONFIG', 'DEBUG', 'LATENCY', 'MEMORY', 'OBJECT', 'SLOWLOG'):
        for more in (['NOSUCH'], ['NOSUCH', 'x'], ['']):
            x, y = a.call(name, *more), b.call(name, *more)
            if x != y:
                problems.append('%s %s\n    redis %r\n    here  %r' % (name, more, x, y))
    for line in ('CLIENT SETNAME', 'CLIENT GETNAME x', 'CLIENT KILL', 'CLIENT KILL a b', 'CLIENT KILL ID x',
                 'CLIENT KILL TYPE x', 'CLIENT KILL ADDR 1.2.3.4:5', 'CLIENT PAUSE x', 'CLIENT PAUSE -1',
                 'CLIENT PAUSE 0 SOME', 'CLIENT LIST TYPE x', 'CLIENT LIST ID x', 'CLIENT LIST x', 'CLIENT REPLY x',
                 'CLIENT NO-EVICT x', 'CLIENT NO-TOUCH x', 'CLIENT SETINFO x y', 'CLIENT SETINFO lib-name "a b"',
                 'CLIENT ID x', 'CONFIG GET', 'CONFIG SET', 'CONFIG SET a', 'CONFIG SET nosuch 1',
                 'CONFIG SET maxmemory x', 'CONFIG SET databases 4', 'CONFIG SET port x', 'CONFIG SET hz 10 hz 11',
                 'CONFIG SET maxmemory-policy x', 'CONFIG REWRITE', 'CONFIG RESETSTAT x', 'COMMAND GETKEYS',
                 'COMMAND GETKEYS nosuch', 'COMMAND GETKEYS ping', 'COMMAND INFO nosuch', 'COMMAND DOCS nosuch',
                 'COMMAND LIST FILTERBY', 'COMMAND LIST FILTERBY X y', 'COMMAND LIST FILTERBY PATTERN nosuch*',
                 'COMMAND COUNT x', 'OBJECT ENCODING', 'OBJECT ENCODING nosuch', 'OBJECT FREQ nosuch', 'SLOWLOG GET x',
                 'SLOWLOG GET -2', 'SLOWLOG LEN x', 'LATENCY RESET', 'LATENCY HISTORY nosuch', 'LATENCY LATEST',
                 'MEMORY USAGE nosuch', 'MEMORY USAGE a SAMPLES -1', 'MEMORY USAGE a SAMPLES x', 'SELECT x',
                 'SELECT 16', 'SELECT -1', 'SWAPDB 0 99', 'SWAPDB x 0', 'SWAPDB 0 x', 'HELLO 1', 'HELLO x',
                 'HELLO 2 AUTH x', 'HELLO 2 SETNAME', 'AUTH a', 'AUTH a b c', 'AUTH a b', 'PING a b', 'ECHO', 'EXEC',
                 'DISCARD', 'WATCH', 'UNWATCH x', 'FLUSHALL x', 'FLUSHDB x', 'SHUTDOWN x', 'INFO nosuch',
                 'LOLWUT VERSION 99', 'DEBUG SLEEP', 'DEBUG STRINGMATCH-LEN', 'DEBUG OBJECT nosuch', 'TIME x',
                 'DBSIZE x', 'ROLE', 'RESET x'):
        x, y = a.call(line), b.call(line)
        if x != y and not (line.startswith('LOLWUT')):
            problems.append('%s\n    redis %r\n    here  %r' % (line, x, y))
    listed(problems, 'differences')


def info_fields(c, section):
    out, current = {}, None
    for line in c('INFO', section).decode().split('\r\n'):
        if line.startswith('# '):
            current = out.setdefault(line[2:], [])
        elif ':' in line:
            current.append(line.split(':', 1)[0])
    return out


# Fields which say something about Redis's own parts only: its allocator, its fork, its modules.
INFO_FREE = ('allocator_', 'rss_overhead', 'mem_fragmentation', 'redis_', 'active_defrag', 'current_active_defrag',
             'last_active_defrag', 'total_active_defrag', 'io_thread')


# Sections that weft does not have yet (docs/plan.md).
INFO_NOT_YET = ('Keysizes',)


@suite.test
def info_sections_and_fields(t):
    a, b = both(t)
    for c in (a, b):
        c.pipeline([[b'SET', b'k', b'v', b'EX', b'100'], [b'GET', b'k'], [b'NOSUCH']])
    problems = []
    for section in ('default', 'all', 'everything', 'server', 'clients', 'memory', 'stats', 'cpu', 'keyspace',
                    'errorstats', 'persistence', 'replication', 'cluster', 'modules'):
        x, y = info_fields(a, section), info_fields(b, section)
        for name in x:
            if name in INFO_NOT_YET:
                continue
            if name not in y:
                problems.append('INFO %s has no section "# %s"' % (section, name))
                continue
            if section == 'everything' and name not in ('Commandstats', 'Latencystats', 'Modules'):
                lost = [f for f in x[name] if f not in y[name] and not f.startswith(INFO_FREE)]
                if lost:
                    problems.append('# %s lacks %s' % (name, ' '.join(lost)))
        known = list(x)
        order = [n for n in y if n in known]
        if order != [n for n in known if n in y]:
            problems.append('INFO %s: the sections stand in another order: %s' % (section, order))
    listed(problems, 'differences in INFO')


@suite.test
def info_selection(t):
    a, b = both(t)
    for words in (['server', 'clients'], ['SERVER'], ['keyspace', 'keyspace'], ['nosuch'], ['commandstats']):
        x, y = [list(dict.fromkeys(line for line in c('INFO', *words).decode().split('\r\n') if line.startswith('#')))
                for c in (a, b)]
        equal(y, x, 'sections of INFO %s' % words)


@suite.test
def encodings_at_the_thresholds(t):
    """OBJECT ENCODING of fresh values just below, at and above every threshold, one by one and grown step by step."""
    a, b = both(t)
    values = {b'string': [[b'x' * n] for n in (0, 1, 43, 44, 45, 200)] +
              [[v] for v in (b'0', b'-1', b'007', b'9223372036854775807', b'9223372036854775808',
                             b'-9223372036854775808', b'1.5', b' 1', b'10000', b'9999', b'12345678901234567890')],
              b'set': [[b'%d' % i for i in range(n)] for n in (1, 511, 512, 513)] +
                      [[b'm%d' % i for i in range(n)] for n in (1, 127, 128, 129)] +
                      [[b'x' * n] for n in (63, 64, 65)]
                      + [[b'1', b'2', b'x'], [b'%d' % i for i in range(200)] + [b'x']],
              b'hash': [[w for i in range(n) for w in (b'f%d' % i, b'v')] for n in (1, 127, 128, 129, 511, 512, 513)] +
                       [[b'f', b'x' * n] for n in (63, 64, 65)] + [[b'x' * n, b'v'] for n in (64, 65)],
              b'zset': [[w for i in range(n) for w in (b'1', b'm%d' % i)] for n in (1, 127, 128, 129)] +
                       [[b'1', b'x' * n] for n in (63, 64, 65)],
              b'list': [[b'x' * k] * n for k in (1, 100, 1000, 8000)
                        for n in (1, 7, 8, 9, 70, 80, 90, 128, 129, 600, 3000)] +
                       [[b'x' * n] for n in (8000, 8192, 9000)]}
    how = {b'string': b'SET', b'set': b'SADD', b'hash': b'HSET', b'zset': b'ZADD', b'list': b'RPUSH'}
    step = {b'string': 1, b'set': 1, b'hash': 2, b'zset': 2, b'list': 1}
    problems = []
    for kind, contents in values.items():
        for words in contents:
            grown = [[how[kind], b'k'] + words[i:i + step[kind]] for i in range(0, len(words), step[kind])]
            for commands in ([[how[kind], b'k'] + words], grown):
                x, y = [c.pipeline([[b'DEL', b'k']] + commands + [[b'OBJECT', b'ENCODING', b'k']])[-1] for c in (a, b)]
                if x != y:
                    problems.append('%s of %d words, %d bytes each, %s: redis %r, here %r' % (
                        kind.decode(), len(words), len(words[-1]), 'at once' if commands is not grown else 'grown',
                        x[1], y[1]))
    listed(problems, 'encodings differ')


# Values that are the installation's own.
CONFIG_OWN = {'port', 'dir', 'pidfile', 'logfile', 'unixsocket', 'bgsave-cpulist', 'server-cpulist', 'io-threads',
              'proc-title-template', 'daemonize', 'aof-rewrite-cpulist', 'bio-cpulist', 'save'}


# One key, K, as it may be, and what may happen to it: for what_is_a_change_to_a_watcher().
STATES = ['', 'HSET K x 1', 'HSET K d 1', 'HSET K d 1 x 2', 'HSETEX K EX 1000 FIELDS 1 d 1', 'SET K 1',
          'SET K 1 EX 1000',
          'RPUSH K a', 'SADD K a', 'ZADD K 1 a', 'XADD K 1-1 a b']
CHANGES = '''
SET K v|SET K v EXAT 1|SET K v XX|SET K v NX|SET K v EX 100|SETNX K v|GETSET K v|GETDEL K|GETEX K|GETEX K PERSIST
GETEX K EX 100|GETEX K EXAT 1|MSET K 1|MSETNX K 1|INCRBY K 0|SETBIT K 0 0|BITFIELD K SET u8 0 0|BITFIELD K GET u8 0
BITFIELD K INCRBY u8 0 0|BITOP NOT K nn|DEL K|UNLINK K|EXPIRE K 0|EXPIRE K -1|EXPIRE K 100|EXPIRE K 100 XX
EXPIREAT K 1 GT|PEXPIRE K 0 GT|PERSIST K|COPY K other|COPY nn K REPLACE|RENAME K K|RENAME K other|RENAMENX nn K
MOVE K 1|SWAPDB 0 1|FLUSHDB|TOUCH K|OBJECT ENCODING K|RESTORE K 0 x|SORT nn STORE K|SORT K ALPHA STORE K|LTRIM K 0 -1
LTRIM K 0 0|LREM K 0 a|LREM K 0 z|LSET K 0 a|LINSERT K BEFORE z b|LINSERT K BEFORE a b|RPUSHX K a|LPOP K 0|LPOP K
LMOVE K K LEFT LEFT|LMPOP 1 K LEFT|SPOP K 0|SPOP K|SREM K a|SREM K z|SADD K a|SADD K z|SMOVE K K a|SMOVE K other a
SINTERSTORE K nn|SDIFFSTORE K K|SUNIONSTORE K K|ZADD K XX 1 a|ZADD K 1 a|ZADD K 2 a|ZADD K GT 0 a|ZREM K a|ZREM K z
ZINCRBY K 0 a|ZREMRANGEBYSCORE K 5 6|ZPOPMIN K 0|ZMPOP 1 K MIN|ZUNIONSTORE K 1 K|ZRANGESTORE K nn 0 -1
XADD K NOMKSTREAM 2-1 a b|XTRIM K MAXLEN 0|XTRIM K MAXLEN 5|XDEL K 1-1|XDEL K 9-9|HDEL K d|HDEL K z|HSETNX K d 1
HINCRBY K x 0|HSET K d 1|HGETDEL K FIELDS 1 d|HPERSIST K FIELDS 1 d|HGETEX K FIELDS 1 d|HGETEX K EX 0 FIELDS 1 d
HGETEX K PXAT 1 FIELDS 1 d|HGETEX K PERSIST FIELDS 1 d|HGETEX K EX 100 FIELDS 1 d|HLEN K'''
CHANGES = CHANGES.strip().replace('\n', '|').split('|')
CHANGES += ['HSETEX K %s FIELDS 1 d v' % ' '.join(w for w in (c, e) if w) for c in ('', 'FNX', 'FXX')
            for e in ('EX 0', 'EXAT 1', 'PXAT 1', 'EX 100', 'KEEPTTL', '')]
CHANGES += ['%s K %s FIELDS 1 d' % (c, ' '.join(w for w in (e, k) if w)) for c,
            e in (('HEXPIRE', '0'), ('HEXPIREAT', '1'),
            ('HEXPIRE', '100')) for k in ('', 'NX', 'XX', 'GT', 'LT')]


@suite.test
def what_is_a_change_to_a_watcher(t):
    """WATCH, a state, a command: does EXEC still run? Also where the command leaves all as it was."""
    sides = [[s.conn() for _ in range(2)] for s in (reference(), t.server)]
    problems = []
    for state in STATES:
        for change in CHANGES:
            out = []
            for watcher, other in sides:
                watcher('FLUSHALL')
                if state:
                    other(state)
                watcher('WATCH K')
                reply = other.call(change)
                aborted = watcher.pipeline([['MULTI'], ['PING'], ['EXEC']])[2][1] is None
                out.append((reply, 'aborted' if aborted else 'ran', other('EXISTS K')))
            if out[0] != out[1]:
                problems.append('%s; %s\n    redis %r\n    here  %r' % (state, change, out[0], out[1]))
    listed(problems, 'differences of %d' % (len(STATES) * len(CHANGES)))


@suite.test
def config_directives(t):
    """Every directive of the real server is known to CONFIG GET, most with the same default."""
    a, b = both(t)
    x, y = a('CONFIG', 'GET', '*'), b('CONFIG', 'GET', '*')
    x, y = dict(zip(x[0::2], x[1::2])), dict(zip(y[0::2], y[1::2]))
    missing = sorted(k.decode() for k in x if k not in y and b'.' not in k and not k.startswith(b'vset'))
    listed(missing, 'directives are unknown here')
    other = ['%s: redis %r, here %r' % (k.decode(), v, y[k]) for k, v in sorted(x.items())
             if k in y and y[k] != v and k.decode() not in CONFIG_OWN]
    listed(other, 'directives with another default')


@suite.test
def config_get_patterns(t):
    a, b = both(t)
    for words in (['maxmem*'], ['*policy'], ['MAXMEMORY'], ['nosuch'], ['maxmemory', 'timeout', 'maxmemory'],
                  ['hash-max-*'],
                  ['[mt]imeout'], ['client-output-buffer-limit']):
        x, y = a('CONFIG', 'GET', *words), b('CONFIG', 'GET', *words)
        equal(dict(zip(y[0::2], y[1::2])), dict(zip(x[0::2], x[1::2])), 'CONFIG GET %s' % words)


@suite.test
def client_list_fields(t):
    a, b = both(t)
    fields = []
    for c in (a, b):
        c('CLIENT', 'SETNAME', 'someone')
        c('SELECT', 3)
        line = [x for x in c('CLIENT', 'LIST').decode().split('\n') if 'name=someone' in x][0]
        fields.append([f.split('=', 1)[0] for f in line.split(' ')])
        true(' db=3 ' in line and ' resp=2 ' in line and ' cmd=client|list ' in line, line)
        equal(c('CLIENT', 'INFO').decode().split(' ')[0].split('=')[0], 'id')
    equal([f for f in fields[1] if f != 'shard'], fields[0])     # weft says where the client lives, at the end


@suite.test
def slow_log(t):
    _, c = both(t)
    c('CONFIG', 'SET', 'slowlog-log-slower-than', 0)
    try:
        c('SLOWLOG', 'RESET')
        c('CLIENT', 'SETNAME', 'slow-one')
        c('SET', 'k', 'v' * 200)
        c.call(*['MSET'] + ['x'] * 100)
        entries = c('SLOWLOG', 'GET', 10)
        commands = [e[3] for e in entries]
        sets = [e for e in entries if e[3][0] == b'SET']
        equal(len(sets), 1, 'one SET in %r' % commands)
        equal(sets[0][3], [b'SET', b'k', b'v' * 128 + b'... (72 more bytes)'])
        equal(sets[0][5], b'slow-one')
        many = [e for e in commands if e[0] == b'MSET'][0]
        equal(len(many), 32)
        equal(many[-1], b'... (70 more arguments)')
        true(c('SLOWLOG', 'LEN') >= 3, 'SLOWLOG LEN')
    finally:
        c('CONFIG', 'SET', 'slowlog-log-slower-than', 10000)
    c('SLOWLOG', 'RESET')
    equal(c('SLOWLOG', 'LEN'), 0)
    c('DEBUG', 'SLEEP', '0.03')
    equal(c('SLOWLOG', 'GET')[0][3], [b'DEBUG', b'SLEEP', b'0.03'])


@suite.test
def latency_and_statistics(t):
    _, c = both(t)
    c('CONFIG', 'SET', 'latency-monitor-threshold', 10)
    c('DEBUG', 'SLEEP', '0.05')
    latest = c('LATENCY', 'LATEST')
    true(any(e[0] == b'command' and e[2] >= 50 for e in latest), latest)
    true(len(c('LATENCY', 'HISTORY', 'command')) >= 1, 'LATENCY HISTORY')
    equal(c('LATENCY', 'RESET') >= 1, True)
    equal(c('LATENCY', 'LATEST'), [])
    c('CONFIG', 'SET', 'latency-monitor-threshold', 0)
    c('CONFIG', 'RESETSTAT')
    c.pipeline([[b'SET', b'k', b'v'], [b'GET', b'k'], [b'GET', b'k'], [b'GET', b'none'], [b'LPUSH', b'k', b'x'],
                [b'GET']])
    text = c('INFO', 'commandstats').decode()
    true('cmdstat_get:calls=3,' in text, text)
    true('rejected_calls=1' in [x for x in text.split('\r\n') if x.startswith('cmdstat_get:')][0], text)
    true('failed_calls=1' in [x for x in text.split('\r\n') if x.startswith('cmdstat_lpush:')][0], text)
    stats = c('INFO', 'stats').decode()
    true('keyspace_hits:2\r\n' in stats and 'keyspace_misses:1\r\n' in stats, stats)
    true('errorstat_WRONGTYPE:count=1' in c('INFO', 'errorstats').decode(), 'errorstats')
    histogram = c('LATENCY', 'HISTOGRAM', 'get')
    equal(histogram[0], b'get')


@suite.test
def monitor_lines(t):
    _, c = both(t)
    m = t.server.conn()
    equal(m.call('MONITOR'), ('+', b'OK'))
    c('SELECT', 2)
    c(b'SET', b'k "q"', b'\x00\xff\n')
    c.pipeline([[b'MULTI'], [b'INCR', b'n'], [b'EXEC']])
    c.call('AUTH', 'secret')
    c.call('NOSUCH')
    c('GET', 'end')
    lines = []
    while not lines or b'"GET" "end"' not in lines[-1]:
        kind, line = m.read()
        equal(kind, '+')
        lines.append(line)
    texts = [x.split(b'] ', 1)[1] for x in lines]
    true(b'"SET" "k \\"q\\"" "\\x00\\xff\\n"' in texts, texts)
    true(all(b'secret' not in x for x in lines), 'passwords are not shown')
    true(any(b' [2 127.0.0.1:' in x for x in lines), 'the database is shown')


if __name__ == '__main__':
    suite.main()
