"""Runs one sequence of steps on both servers, side by side, and finds the first difference.

Steps for the same connection travel as one pipeline to both servers. Three kinds of commands break a pipeline:

  - random ones (SPOP, SRANDMEMBER, ...): what weft answers must be *possible* given the reference's contents. After
    SPOP the reference gets back what it popped and loses what weft popped, so that both are equal again.
  - SCAN, SSCAN, HSCAN, ZSCAN: iterated to the end on both; the sets of what was seen must be equal.
  - DBSIZE, which may count keys past their deadline: those are touched first.
  - ranges by name (ZLEXCOUNT, ... BYLEX) of a large sorted set whose scores differ: where a bound is not one place
    in it, what Redis finds depends on the random levels of its skip list; these are left out.
  - directions:  @soon COMMAND   runs a command that gives its key or a field a deadline a few ms ahead, waits until
                                 both servers must have seen it pass, then looks at the key
                 @reload         DEBUG RELOAD on both: everything passes through the RDB codec
                 @dumpcross KEY  DUMPs on both, RESTOREs each payload into the *other* server as key "restored"

Inside a transaction such commands are left out (counted as not compared). At the end of a sequence the whole keyspace
of both servers is read with typed reads and compared: types, encodings, contents, deadlines of keys and fields.

Nothing here may depend on how fast the machine is: deadlines are far away, past, or passed within one @soon; no two
relative ones of a sequence are near each other (commands.py), so GT and LT mean the same on both servers.
"""
import collections
import time

import compare
import server as servers
from compare import flat, is_error, name_of, reply_difference
from resp import Conn, ConnectionClosed, ProtocolError, show

LEX = {b'ZLEXCOUNT', b'ZRANGEBYLEX', b'ZREVRANGEBYLEX', b'ZREMRANGEBYLEX'}
RANDOM = {b'SPOP', b'SRANDMEMBER', b'HRANDFIELD', b'ZRANDMEMBER', b'RANDOMKEY'}
SCANS = {b'SCAN', b'SSCAN', b'HSCAN', b'ZSCAN'}
DATABASES = 16
CONNECTIONS = 2
REPLY_TIMEOUT_S = 20
STREAMS_STAY = ('-', b'ERR values of streams cannot be dumped yet')
FIELDS_GONE_S = 10      # the active cycle needs some 100 ms


class Mismatch(Exception):
    """fatal: the server died; that counts even if it cannot be made to happen again."""

    def __init__(self, text, signature, step=None, fatal=False):
        super().__init__(text)
        self.text = text
        self.signature = signature
        self.step = step
        self.fatal = fatal


class ReferenceFailed(Exception):
    """The reference gave no valid reply: the run says nothing."""


def is_lex(words):
    name = name_of(words)
    return name in LEX or (name in (b'ZRANGE', b'ZRANGESTORE') and b'BYLEX' in [w.upper() for w in words[3:]])


def has_one_place(members, bound):
    """Do those below a bound like "(a" or "[a" all stand before those above it? Then any search finds one place."""
    if bound[:1] not in (b'(', b'['):
        return True
    sides = [(m > bound[1:]) + (m >= bound[1:]) for m in members]
    return sides == sorted(sides)


def is_special(words):
    name = name_of(words)
    return name in RANDOM or name in SCANS or name == b'DBSIZE' or name.startswith(b'@') or is_lex(words)


def words_text(words):
    return ' '.join(quote(w) for w in words)


def quote(word):
    """One word of a sequence file: as it is if harmless, else in double quotes with \\x escapes."""
    text = word.decode('latin-1')
    if text and all(33 <= ord(c) < 127 and c not in '"\\' for c in text):
        return text
    return '"' + ''.join(c if 32 <= ord(c) < 127 and c not in '"\\' else '\\x%02x' % ord(c) for c in text) + '"'


class Side:
    """One server with its connections for the present sequence."""

    def __init__(self, server):
        self.server = server
        self.conns = []
        self.admin = None

    def reset(self):
        """Fresh connections to an empty server; True if it had to be started again because it was dead."""
        died = not self.server.alive()
        if died:
            self.server.kill()
            self.server.start()
        self.finish()
        self.conns = [self.connect() for _ in range(CONNECTIONS)]
        return died

    def connect(self):
        return Conn(self.server.port, timeout=REPLY_TIMEOUT_S)

    def finish(self):
        """Closes the connections and empties the server: that, too, may not kill it."""
        for conn in self.conns + ([self.admin] if self.admin else []):
            conn.close()
        self.conns = []
        self.admin = self.connect()
        self.admin('FLUSHALL')


class State:
    """What the runner knows of one connection: is it in a transaction, what is queued."""

    def __init__(self):
        self.in_multi = False
        self.watching = False
        self.queued = []


class Pair:
    def __init__(self, dut, reference):
        self.dut = Side(dut)
        self.ref = Side(reference)
        self.expect_alive = False                 # no failure is known that explains a dead server
        self.compared = 0                         # commands whose replies were compared
        self.not_compared = collections.Counter() # (command, reason) -> count
        self.by_command = collections.Counter()
        self.counting = True                      # off while a failure is being shrunk
        self.longest_ms = 0                       # of this sequence's exchanges
        self.succeeded = collections.Counter()    # commands whose reply was no error

    # -- one sequence

    def run(self, steps):
        """Raises Mismatch at the first difference."""
        self.ref.reset()
        try:
            died = self.dut.reset()
        except (OSError, ConnectionClosed):
            # It was dying, or hangs.
            self.dut.server.kill()
            self.dut.reset()
            died = True
        if died and self.expect_alive:
            self.expect_alive = False
            raise Mismatch('the server died between two sequences; its log ends:\n' + self.dut.server.log_tail(20),
                           ('died between sequences',), fatal=True)
        self.expect_alive = True
        self.longest_ms = 0
        self.states = [State() for _ in range(CONNECTIONS)]
        self.present = []
        try:
            self.walk(steps)
            self.compare_keyspaces()
            self.present = [b'(connections', b'closed,', b'FLUSHALL)']
            self.dut.finish()
        except (OSError, ConnectionClosed, ProtocolError, ValueError) as e:
            raise self.broken(self.present, e) from e

    def walk(self, steps):
        at = 0
        while at < len(steps):
            conn, words = steps[at]
            self.present = words
            if is_special(words):
                self.special(conn, words)
                at += 1
                continue
            end = at
            while end < len(steps) and steps[end][0] == conn:
                if is_special(steps[end][1]):
                    break
                end += 1
            self.pipeline(conn, [w for _, w in steps[at:end]])
            at = end

    def talk(self, conn, lines):
        """The same commands to both; their replies (reference's, weft's). Takes the time: one server may have run the
        commands when this began and the other when it ended."""
        began = time.monotonic()
        a, b = self.ref.conns[conn], self.dut.conns[conn]
        a.send(lines)
        try:
            b.send(lines)
        except (OSError, ConnectionClosed) as e:
            raise self.broken(lines[0], e) from e
        try:
            ref = [a.read() for _ in lines]
        except (OSError, ConnectionClosed, ProtocolError, ValueError) as e:
            raise ReferenceFailed('%s: %s\nin answer to: %s' % (
                type(e).__name__, e, ' | '.join(words_text(w)[:100] for w in lines))) from e
        dut = []
        for command in lines:
            try:
                dut.append(b.read())
            except (OSError, ConnectionClosed, ProtocolError, ValueError) as e:
                raise self.broken(command, e) from e
        self.longest_ms = max(self.longest_ms, int((time.monotonic() - began) * 1000) + 1)
        return ref, dut

    @property
    def skew_ms(self):
        """How far apart a time that was set and is now read can be: once for the setting, once for the reading."""
        return 2 * self.longest_ms

    def broken(self, command, error):
        what = 'no valid reply to %s: %s: %s' % (words_text(command), type(error).__name__, error)
        self.expect_alive = False
        # Who is hung up on by a dying server sees that before its end.
        deadline = time.monotonic() + (2 if isinstance(error, (ConnectionClosed, ConnectionError)) else 0.2)
        while self.dut.server.alive() and time.monotonic() < deadline:
            time.sleep(0.02)
        died = not self.dut.server.alive()
        if died:
            what += '\nthe server is dead (%s); its log ends:\n%s' % (
                self.dut.server.how_it_ended(), self.dut.server.log_tail(30))
        return Mismatch(what, ('no reply', type(error).__name__, name_of(command).decode('latin-1')), command, died)

    def pipeline(self, conn, lines):
        state = self.states[conn]
        ref, dut = self.talk(conn, lines)
        for command, x, y in zip(lines, ref, dut):
            self.check(command, x, y, state.queued)
            name = name_of(command)
            if x == ('+', b'QUEUED'):
                state.queued.append(command)
            elif name == b'MULTI' and not is_error(x):
                state.in_multi, state.queued = True, []
            elif name in (b'EXEC', b'DISCARD', b'RESET') and not (is_error(x) and x[1].startswith(b'ERR')):
                state.in_multi, state.queued, state.watching = False, [], False
            elif name == b'WATCH' and not is_error(x):
                state.watching = True
            elif name == b'UNWATCH' and not is_error(x) and not state.in_multi:
                state.watching = False

    def check(self, command, ref, dut, queued=()):
        difference, reason = reply_difference(command, ref, dut, queued, self.skew_ms)
        if difference:
            raise Mismatch('%s\n  reply %s\n  reference: %s\n  weft:      %s' % (
                words_text(command)[:2000], difference, show(ref), show(dut)),
                compare.signature(command, ref, dut, difference), command)
        self.count(command, ref, reason)

    def count(self, command, ref, reason=None):
        name = name_of(command).decode('latin-1')
        if not self.counting:
            return
        if reason:
            self.not_compared[name, reason] += 1
        else:
            self.compared += 1
            self.by_command[name] += 1
            if not is_error(ref):
                self.succeeded[name] += 1

    # -- commands that need more than a comparison

    def special(self, conn, words):
        name = name_of(words)
        if self.states[conn].in_multi:
            if self.counting:
                self.not_compared[name.decode('latin-1'), 'inside a transaction'] += 1
        elif name == b'@SOON':
            self.soon(conn, words[1:])
        elif is_lex(words):
            self.lex(conn, words)
        elif name == b'@DUMPCROSS':
            self.dump_across(conn, words)
        elif name == b'@RELOAD':
            # To a watcher a reload is a change in one version of Redis and none in another.
            if any(state.watching for state in self.states):
                if self.counting:
                    self.not_compared['DEBUG RELOAD', 'while a key is watched'] += 1
                return
            x, y = self.one(conn, b'DEBUG', b'RELOAD')
            self.check([b'DEBUG', b'RELOAD'], x, y)
        elif name in SCANS:
            self.scan(conn, words)
        elif name == b'DBSIZE':
            self.take_expired(conn)
            x, y = self.one(conn, *words)
            self.check(words, x, y)
        else:
            self.random(conn, words)

    def one(self, conn, *words):
        """One helper command on both; the replies."""
        ref, dut = self.talk(conn, [list(words)])
        return ref[0], dut[0]

    def soon(self, conn, command):
        """A deadline passes, far from everything else that happens."""
        if len(command) < 2:
            return
        self.check(command, *self.one(conn, *command))
        key = command[1]
        ahead_ms = max([int(w) for w in command[2:] if w.isdigit() and len(w) < 4] or [0])
        time.sleep((ahead_ms + 5) / 1000)
        # A server that reads its clock once a loop turn may answer this from a turn which began before the deadline,
        # but not the look after it.
        self.one(conn, b'EXISTS', key)
        # HLEN may count fields which are past their deadline until the active cycle has taken them.
        deadline = time.monotonic() + FIELDS_GONE_S
        while True:
            lens, keys = self.one(conn, b'HLEN', key), self.one(conn, b'HKEYS', key)
            left = [side for side, n, names in zip(('the reference', 'weft'), lens, keys)
                    if not is_error(n) and n[1] != len(flat(names) or ())]
            if not left:
                break
            if time.monotonic() > deadline:
                raise Mismatch('%s\n  fields past their deadline stay for %d s in %s' % (
                    words_text(command), FIELDS_GONE_S, ' and '.join(left)), ('@SOON', 'fields stay'), command)
            time.sleep(0.02)
        self.check([b'EXISTS', key], *self.one(conn, b'EXISTS', key))

    def lex(self, conn, words):
        key = words[2 if name_of(words) == b'ZRANGESTORE' else 1] if len(words) > 2 else b''
        a = self.ref.conns[conn]
        if a.call(b'OBJECT', b'ENCODING', key) == ('$', b'skiplist'):
            members = [m[1] for m in flat(a.call(b'ZRANGE', key, b'0', b'-1'))]
            if not all(has_one_place(members, bound) for bound in words[2:]):
                self.count(words, ('-', b''),
                           'a range by name over different scores depends on the skip list\'s levels')
                return
        self.pipeline(conn, [words])

    def take_expired(self, conn):
        """Keys past their deadline count in DBSIZE until something meets them: a full SCAN does."""
        for side in (self.ref, self.dut):
            c = side.conns[conn] if conn is not None else side.admin
            cursor = b'0'
            while True:
                reply = c.call(b'SCAN', cursor, b'COUNT', b'1000')
                if is_error(reply) or reply[1][0][1] == b'0':
                    break
                cursor = reply[1][0][1]

    def dump_across(self, conn, words):
        if len(words) < 2:
            return
        x, y = self.one(conn, b'DUMP', words[1])
        if y == STREAMS_STAY:
            self.count([b'DUMP'], x, 'weft dumps no streams yet')
            return
        if x[0] != y[0] or (x[1] is None) != (y[1] is None):
            raise Mismatch('DUMP %s\n  reference: %s\n  weft:      %s' % (quote(words[1]), show(x), show(y)),
                           compare.signature([b'DUMP'], x, y, 'differs'), words)
        self.count([b'DUMP'], x)
        if is_error(x) or x[1] is None:
            return
        a, b = self.ref.conns[conn], self.dut.conns[conn]
        from_weft = a.call(b'RESTORE', b'restored', b'0', y[1], b'REPLACE')
        from_ref = b.call(b'RESTORE', b'restored', b'0', x[1], b'REPLACE')
        if from_weft != from_ref or is_error(from_ref):
            text = ('RESTORE of %s\n  weft\'s payload %r in the reference: %s\n'
                    '  the reference\'s payload %r in weft: %s')
            raise Mismatch(text % (quote(words[1]), y[1][:200], show(from_weft), x[1][:200], show(from_ref)),
                           ('RESTORE', show(from_weft)[:40], show(from_ref)[:40]), words)
        self.count([b'RESTORE'], from_ref)

    def scan(self, conn, words):
        """Both iterated to the end."""
        name = name_of(words)
        where = 1 if name == b'SCAN' else 2
        x, y = self.one(conn, *words)
        if len(words) <= where or words[where] != b'0' or is_error(x) or is_error(y):
            if is_error(x) or is_error(y):
                self.check(words, x, y)
            else:
                self.count(words, x, 'cursor of the other server')
            return
        seen = []
        for side, reply in ((self.ref, x), (self.dut, y)):
            items, turns = [], 0
            while True:
                if reply[0] != '*' or len(reply[1]) != 2 or flat(reply[1][1]) is None or reply[1][0][0] != '$':
                    raise Mismatch('%s\n  a cursor reply of another shape: %s' % (words_text(words), show(reply)),
                                   (name.decode(), 'shape'), words)
                items += reply[1][1][1]
                cursor = reply[1][0][1]
                turns += 1
                if cursor == b'0' or turns > 5000:
                    break
                reply = side.conns[conn].call(*(words[:where] + [cursor] + words[where + 1:]))
            if turns > 5000:
                raise Mismatch('%s\n  does not end' % words_text(words), (name.decode(), 'endless'), words)
            if name == b'ZSCAN' or (name == b'HSCAN' and b'NOVALUES' not in [w.upper() for w in words]):
                items = list(zip(items[0::2], items[1::2]))
            seen.append(set(items))
        if seen[0] != seen[1]:
            raise Mismatch('%s\n  a full iteration differs; only the reference has %s, only weft has %s' % (
                words_text(words), sorted(seen[0] - seen[1])[:10], sorted(seen[1] - seen[0])[:10]),
                (name.decode(), 'iteration'), words)
        self.count(words, x)

    def random(self, conn, words):
        name = name_of(words)
        key = words[1] if len(words) > 1 else b''
        read = {b'HRANDFIELD': [b'HGETALL', key], b'ZRANDMEMBER': [b'ZRANGE', key, b'0', b'-1', b'WITHSCORES'],
                b'RANDOMKEY': [b'KEYS', b'*']}.get(name, [b'SMEMBERS', key])
        contents = self.ref.conns[conn].call(*read)
        x, y = self.one(conn, *words)
        if x == y and (is_error(x) or x[1] is None or name != b'SPOP'):
            self.count(words, x)
            return
        problem = None
        if is_error(x) or is_error(y) or x[0] != y[0] or (x[1] is None) != (y[1] is None):
            problem = 'differs'
        else:
            problem = self.possible(name, words, contents, x, y)
        if problem:
            raise Mismatch('%s\n  reply %s\n  reference: %s\n  weft:      %s\n  contents: %s' % (
                words_text(words), problem, show(x), show(y), show(contents)),
                compare.signature(words, x, y, problem), words)
        self.count(words, x)
        if name == b'SPOP':
            a = self.ref.conns[conn]
            popped_x = [m[1] for m in (flat(x) if flat(x) is not None else (x,))]
            popped_y = [m[1] for m in (flat(y) if flat(y) is not None else (y,))]
            if set(popped_x) != set(popped_y):
                a.call(b'SADD', key, *popped_x)
                a.call(b'SREM', key, *popped_y)

    @staticmethod
    def possible(name, words, contents, x, y):
        """Could weft's reply y be, given the contents and the reference's reply x?"""
        values = flat(contents) or ()
        got_x, got_y = flat(x), flat(y)
        if got_y is None:
            members = values[0::2] if contents[0] == '%' or name in (b'HRANDFIELD', b'ZRANDMEMBER') else values
            if contents[0] == '*' and values and values[0][0] == '*':
                members = [pair[1][0] for pair in values]
            return None if y in members else 'is no member'
        if len(got_x) != len(got_y):
            return 'has another length'
        paired = name in (b'HRANDFIELD', b'ZRANDMEMBER')
        if paired:
            nested = values and values[0][0] == '*'
            known = {pair[1][0]: pair[1][1] for pair in values} if nested else dict(zip(values[0::2], values[1::2]))
            if len(words) > 3:     # WITHVALUES, WITHSCORES
                if got_y and got_y[0][0] == '*':
                    items = [pair[1] for pair in got_y]
                else:
                    items = list(zip(got_y[0::2], got_y[1::2]))
                for member, value in items:
                    if known.get(member) != value:
                        return 'has a pair that is not in it'
                got_y = [member for member, _ in items]
            elif any(member not in known for member in got_y):
                return 'has a member that is not in it'
        elif any(member not in values for member in got_y):
            return 'has a member that is not in it'
        count = words[2] if len(words) > 2 else b'1'
        if not count.startswith(b'-') and len(set(got_y)) != len(got_y):
            return 'has a member twice'
        return None

    # -- the whole keyspace

    def compare_keyspaces(self):
        a, b = self.ref.admin, self.dut.admin

        def both(lines):
            a.send(lines)
            try:
                b.send(lines)
                return [a.read() for _ in lines], [b.read() for _ in lines]
            except (OSError, ConnectionClosed, ProtocolError, ValueError) as e:
                raise self.broken(lines[0], e) from e

        ask = [w for db in range(DATABASES) for w in ([b'SELECT', b'%d' % db], [b'DBSIZE'])]
        sizes = both(ask)
        if sizes[0] != sizes[1]:
            for db in range(DATABASES):
                both([[b'SELECT', b'%d' % db]])
                self.take_expired(None)
            sizes = both(ask)
        if sizes[0] != sizes[1]:
            raise Mismatch('the databases have other sizes: %s and %s' % tuple(
                [r[1] for r in side[1::2]] for side in sizes), ('KEYSPACE', 'DBSIZE'))
        for db in range(DATABASES):
            if sizes[0][2 * db + 1] != (':', 0):
                both([[b'SELECT', b'%d' % db]])
                self.compare_database(both)

    def compare_database(self, both):
        keys = both([[b'KEYS', b'*']])
        names = [sorted(k[1] for k in side[0][1]) for side in keys]
        if names[0] != names[1]:
            raise Mismatch('the keys differ: %s and %s' % tuple(names), ('KEYSPACE', 'KEYS'))
        names = names[0]
        looks = both([w for k in names for w in ([b'TYPE', k], [b'OBJECT', b'ENCODING', k], [b'PEXPIRETIME', k])])
        reads = []
        for i, key in enumerate(names):
            kind = looks[0][3 * i][1]
            for j, what in enumerate((b'TYPE', b'OBJECT ENCODING', b'PEXPIRETIME')):
                x, y = looks[0][3 * i + j], looks[1][3 * i + j]
                self.same(what.split() + [key], x, y, kind)
            reads += self.reads(kind, key)
        for command, x, y in zip(reads, *both(reads)):
            self.same(command, x, y)
        # The deadlines of fields.
        hashes = [(c[1], flat(x)) for c, x in zip(reads, both(reads)[0]) if c[0] == b'HGETALL' and flat(x)]
        if self.field_expiry and hashes:
            lines = []
            for key, items in hashes:
                fields = [f[1] for f in items[0::2]]
                lines.append([b'HPEXPIRETIME', key, b'FIELDS', b'%d' % len(fields)] + fields)
            # Fields come in either server's own order, so they are asked for in the same order of both.
            for command, x, y in zip(lines, *both(lines)):
                self.same(command, x, y)

    def fresh_encodings(self, key, kind):
        """The same contents built anew on both servers; the encodings of that."""
        contents = flat(self.ref.admin.call(*self.reads(kind, key)[0])) if kind != b'string' else None
        items = [item[1] for item in contents or ()]
        if kind == b'string':
            build = [b'SET', b'fresh copy', self.ref.admin(b'GET', key)]
        elif kind == b'zset':
            build = [b'ZADD', b'fresh copy'] + [w for i in range(0, len(items), 2) for w in (items[i + 1], items[i])]
        else:
            build = [{b'list': b'RPUSH', b'set': b'SADD', b'hash': b'HSET'}[kind], b'fresh copy'] + items
        replies = []
        for side in (self.ref, self.dut):
            replies.append(side.admin.pipeline([build, [b'OBJECT', b'ENCODING', b'fresh copy'],
                                                [b'DEL', b'fresh copy']])[1])
        return replies

    field_expiry = True

    @staticmethod
    def reads(kind, key):
        return {b'string': [[b'GET', key]], b'list': [[b'LRANGE', key, b'0', b'-1']],
                b'set': [[b'SMEMBERS', key]], b'hash': [[b'HGETALL', key], [b'HLEN', key]],
                b'zset': [[b'ZRANGE', key, b'0', b'-1', b'WITHSCORES']],
                b'stream': [[b'XRANGE', key, b'-', b'+'], [b'XLEN', key]]}.get(kind, [])

    def same(self, command, x, y, kind=b''):
        difference, reason = reply_difference(command, x, y, (), self.skew_ms)
        if reason and command[0] == b'OBJECT':
            x, y = self.fresh_encodings(command[2], kind)
            if x != y:
                difference = 'differs in a fresh copy'
        if reason and self.counting:
            self.not_compared['at the end', reason] += 1
        if difference:
            what = command[0].decode() + (' ' + command[1].decode() if command[0] == b'OBJECT' else '')
            detail = ('%s: %s/%s' % (kind.decode(), show(x), show(y))) if what == 'OBJECT ENCODING' else ''
            raise Mismatch('at the end the contents differ: %s\n  reference: %s\n  weft:      %s' % (
                words_text(command)[:300], show(x), show(y)), ('KEYSPACE', what, detail))


def known_commands(server, names):
    """Which of the names the server has."""
    with server.conn() as c:
        replies = c.pipeline([[b'COMMAND', b'INFO', n.encode()] for n in names])
    return {n for n, r in zip(names, replies) if r[0] == '*' and r[1] and r[1][0][1]}


def start_pair(dut, reference, shards, extra=(), both=()):
    common = ['--proto-max-bulk-len', '512mb'] + list(both)
    ref = servers.Server(reference, args=common)
    try:
        return servers.Server(dut, shards=shards, args=common + list(extra)), ref
    except Exception:
        ref.kill()
        raise
