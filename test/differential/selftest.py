#!/usr/bin/python3
"""Proves that the differential test can fail, and that it does not fail by chance.

Two real servers are compared; between one of them and the test stands one fault, which changes requests on their way
there or replies on their way back. Every fault of FAULTS must be found. What happens only once must be reported as
"did not reproduce" and not fail the run; what happens again and again but never twice at one place must fail it.
"""
import contextlib
import io
import os
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

import run  # noqa: E402
import runner  # noqa: E402
from resp import Conn  # noqa: E402

servers = run.servers
COMMANDS = 6000
FAULTS = []


def fault(cls):
    FAULTS.append(cls)
    return cls


class Fault:
    """Changes nothing."""
    found = True           # must the run fail?
    unsteady = 0           # differences that do not reproduce; if the run fails, at least so many

    def __init__(self, server):
        self.server = server

    def request(self, words):
        return words

    def reply(self, words, reply):
        return reply


def upper(words):
    return [w.upper() for w in words]


@fault
class WrongByte(Fault):
    """GET of what was stored, with another last byte."""
    def reply(self, words, reply):
        if words[0] == b'GET' and reply[0] == '$' and reply[1]:
            return ('$', reply[1][:-1] + bytes([reply[1][-1] ^ 1]))
        return reply


@fault
class ShortRange(Fault):
    """ZRANGE loses its last member."""
    def reply(self, words, reply):
        if words[0] == b'ZRANGE' and reply[0] == '*' and reply[1] and len(reply[1]) > 2:
            return ('*', reply[1][:-1])
        return reply


@fault
class LateTtl(Fault):
    """TTL is 5 s late."""
    def reply(self, words, reply):
        if words[0] in (b'TTL', b'PTTL') and reply[0] == ':' and reply[1] > 0:
            return (':', reply[1] + (5 if words[0] == b'TTL' else 5000))
        return reply


@fault
class LongerLife(Fault):
    """EXPIRE sets 5 s too much; nobody asks before the end."""
    def request(self, words):
        if words[0] == b'EXPIRE' and len(words) > 2 and words[2].isdigit() and 9 < int(words[2]) < 10 ** 9:
            return words[:2] + [b'%d' % (int(words[2]) + 5)] + words[3:]
        return words


@fault
class UndyingKey(Fault):
    """A key with a deadline a few ms ahead stays."""
    def request(self, words):
        at = {b'PEXPIRE': 2, b'SET': 4, b'GETEX': 3}.get(words[0])
        if at and len(words) == at + 1 and words[at] in (b'5', b'15') and (at == 2 or words[at - 1] == b'PX'):
            return words[:at] + [b'60000']
        return words


@fault
class UndyingField(Fault):
    """A field with a deadline a few ms ahead stays."""
    def request(self, words):
        at = {b'HPEXPIRE': 2, b'HSETEX': 3, b'HGETEX': 3}.get(words[0])
        if at and len(words) > at and words[at] in (b'5', b'15'):
            return words[:at] + [b'60000'] + words[at + 1:]
        return words


@fault
class IgnoredGt(Fault):
    """EXPIRE ... GT does not compare."""
    def request(self, words):
        if words[0] in (b'EXPIRE', b'PEXPIRE') and upper(words[3:]) == [b'GT']:
            return words[:3]
        return words


@fault
class ErrorText(Fault):
    """An error in other words."""
    def reply(self, words, reply):
        return ('-', reply[1].replace(b'not an integer', b'no integer')) if reply[0] == '-' else reply


@fault
class StrangeMember(Fault):
    """SPOP gives what was never in the set."""
    def reply(self, words, reply):
        if words[0] == b'SPOP' and reply[0] == '$' and reply[1] is not None:
            return ('$', b'stranger')
        return reply


@fault
class ForgetfulScan(Fault):
    """SCAN does not meet one of the keys."""
    def reply(self, words, reply):
        if words[0] == b'SCAN' and reply[0] == '*' and len(reply[1][1][1]) > 1:
            return ('*', (reply[1][0], ('*', reply[1][1][1][:-1])))
        return reply


@fault
class WrongInsideExec(Fault):
    """An integer reply inside EXEC is one too high."""
    def reply(self, words, reply):
        if words[0] == b'EXEC' and reply[0] == '*' and reply[1]:
            return ('*', tuple((':', r[1] + 1) if r[0] == ':' else r for r in reply[1]))
        return reply


@fault
class BlindWatch(Fault):
    """WATCH does nothing."""
    def request(self, words):
        return [b'PING'] if words[0] == b'WATCH' and len(words) > 1 else words

    def reply(self, words, reply):
        return ('+', b'OK') if words[0] == b'WATCH' and reply == ('+', b'PONG') else reply


@fault
class QuietCorruption(Fault):
    """HSET stores another value; the reply is right."""
    def request(self, words):
        if words[0] == b'HSET' and len(words) % 2 == 0 and len(words) > 3:
            return words[:-1] + [words[-1] + b'!']
        return words


@fault
class StrangeEncoding(Fault):
    """OBJECT ENCODING names one that cannot be, whatever the past."""
    def reply(self, words, reply):
        return ('$', b'ziplist') if words[0] == b'OBJECT' and reply == ('$', b'intset') else reply


@fault
class BulkDouble(Fault):
    """RESP3's double comes as a bulk."""
    def reply(self, words, reply):
        return ('$', reply[1]) if reply[0] == ',' else reply


@fault
class SuddenDeath(Fault):
    """The server dies, once. Nothing brings that back, and yet it counts."""
    left = 500

    def request(self, words):
        self.left -= 1
        if self.left == 0:
            self.server.process.kill()
        return words


class Once(Fault):
    """The third RPUSH errs, and never again."""
    found = False
    unsteady = 1
    left = 3
    quiet_flushes = 1 << 30

    def request(self, words):
        # Every sequence begins and ends with a FLUSHALL.
        if words == [b'FLUSHALL'] and self.left <= 0:
            self.left -= 1
            if -self.left > self.quiet_flushes:
                self.left = type(self).left
        return words

    def reply(self, words, reply):
        if words[0] == b'RPUSH' and reply[0] == ':':
            self.left -= self.left > 0
            if self.left == 0:
                self.left = -1
                return (':', reply[1] + 1)
        return reply


@fault
class Often(Once):
    """RPUSH errs again and again, but never when the sequence is repeated."""
    found = True
    unsteady = run.UNSTEADY_MAX + 1
    left = 1
    quiet_flushes = 8


fault(Once)


@fault
class Nothing(Fault):
    """No fault: two equal servers are equal, also while one of them answers late."""
    found = False


class FaultyConn(Conn):
    """A connection with the fault before it."""

    def __init__(self, the_fault, port, **kw):
        super().__init__(port, **kw)
        self.fault = the_fault
        self.sent = []
        self.depth = 0

    def send(self, commands):
        self.sent += commands
        super().send([self.fault.request(list(c)) for c in commands])

    def call(self, *args):
        self.send([[a if isinstance(a, bytes) else str(a).encode() for a in args]])
        return self.read()

    def read(self):
        self.depth += 1
        reply = super().read()
        self.depth -= 1
        if self.depth:
            return reply
        words = list(self.sent.pop(0))
        return self.fault.reply([words[0].upper()] + words[1:], reply)


def hunt_with(cls, options, reference):
    """Runs the differential test with the fault; (failed?, what it printed)."""
    dut, ref = runner.start_pair(reference, reference, None)
    the_fault = cls(dut)

    class FaultyPair(runner.Pair):
        def __init__(self, one, other):
            super().__init__(one, other)
            self.dut.connect = lambda: FaultyConn(the_fault, self.dut.server.port, timeout=runner.REPLY_TIMEOUT_S)

    out = io.StringIO()
    try:
        with contextlib.redirect_stdout(out):
            failed = run.hunt(options, dut, ref, FaultyPair)
    finally:
        dut.kill()
        ref.kill()
    return failed != 0, out.getvalue()


def main():
    reference = servers.find_reference()
    if not reference:
        print('skipped: no real server to put the faults before\n0 passed, 0 failed')
        return 0
    run.compare.options['lenient_encodings'] = True
    passed = failed = 0
    with tempfile.TemporaryDirectory() as folder:
        for cls in FAULTS:
            if sys.argv[1:] and cls.__name__ not in sys.argv[1:]:
                continue
            options = run.parse(['--commands', str(COMMANDS), '--seed', '20251122', '--failures', '1', '--regressions',
                                 os.path.join(folder, cls.__name__), '--unsteady', os.path.join(folder, 'unsteady'),
                                 '--no-shrink'])
            found, text = hunt_with(cls, options, reference)
            once = text.count('did not reproduce, kept')
            good = found == cls.found and (once >= cls.unsteady if found else once == cls.unsteady)
            passed, failed = passed + good, failed + (not good)
            lines = [x for x in text.split('\n') if x.startswith(('    ', 'did not', 'that is more'))]
            print('%s %s: %s%s' % ('  ok' if good else '  FAILED', cls.__name__, 'found' if found else 'not found',
                                   ' (%d did not reproduce)' % once if once else ''), flush=True)
            if not good:
                print('\n'.join(x[:200] for x in lines[:10] + text.split('\n')[-40:]))
    print('%d passed, %d failed' % (passed, failed))
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
