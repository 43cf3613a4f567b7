"""Short tapes made by hand for the simulator's model of Redis: what a real server does not offer. Removals in time and
too early, hashes that may be there or not, iterations that forget a key, bytes that are no RESP.

SCRIPTS pairs each function, which writes a tape through a Script, with whether the model must complain. Run by
test/sim/model_test.py.
"""
import os
import struct
import tempfile


class Script:
    now = 1000000

    def __init__(self, tape, state):
        self.tape = tape
        self.state = state

    def say(self, line, reply, at=None, resp_version=2):
        self.state.resp = resp_version
        self.tape.command(self.state, [w.encode() for w in line.split()], at or self.now, reply)

    def remove(self, key, at, evicted=False, field=None):
        body = struct.pack('<HBq', 0, evicted, at)
        for text in (key,) if field is None else (key, field):
            body += struct.pack('<I', len(text)) + text
        self.tape.record(b'X' if field is None else b'F', body)

    def watch(self, key, at):
        self.tape.watch(self.state, at, key)

    def exec(self, ran, at):
        self.tape.exec(self.state, ran, at)


def expired_in_time(s):
    s.say('SET k v PX 10', b'+OK\r\n')
    s.remove(b'k', s.now + 11)
    s.say('EXISTS k', b':0\r\n', s.now + 11)


def expired_early(s):
    s.say('SET k v PX 10', b'+OK\r\n')
    s.remove(b'k', s.now + 10)


def expired_twice(s):
    expired_in_time(s)
    s.remove(b'k', s.now + 12)


def expired_without_deadline(s):
    s.say('SET k v', b'+OK\r\n')
    s.remove(b'k', s.now + 12)


def expired_nothing(s):
    s.remove(b'k', s.now)


def evicted(s):
    s.say('SET k v', b'+OK\r\n')
    s.remove(b'k', s.now, evicted=True)


def seen_at_deadline(s):
    s.say('SET k v PX 10', b'+OK\r\n')
    s.say('GET k', b'$1\r\nv\r\n', s.now + 10)


def seen_after_deadline(s):
    s.say('SET k v PX 10', b'+OK\r\n')
    s.say('GET k', b'$1\r\nv\r\n', s.now + 11)


def gone_at_deadline(s):
    s.say('SET k v PX 10', b'+OK\r\n')
    s.say('GET k', b'$-1\r\n', s.now + 10)


def field_expired_in_time(s):
    s.say('HSETEX h PX 10 FIELDS 1 f v', b':1\r\n')
    s.say('HSET h g w', b':1\r\n')
    s.remove(b'h', s.now + 11, field=b'f')
    s.say('HLEN h', b':1\r\n', s.now + 11)


def field_expired_early(s):
    s.say('HSETEX h PX 10 FIELDS 1 f v', b':1\r\n')
    s.remove(b'h', s.now + 10, field=b'f')


def field_without_deadline(s):
    s.say('HSET h f v', b':1\r\n')
    s.remove(b'h', s.now + 10, field=b'f')


def field_unknown(s):
    s.say('HSET h f v', b':1\r\n')
    s.remove(b'h', s.now + 10, field=b'g')


def last_field_takes_key(s):
    s.say('HSETEX h PX 10 FIELDS 1 f v', b':1\r\n')
    s.remove(b'h', s.now + 11, field=b'f')
    s.say('EXISTS h', b':0\r\n', s.now + 11)


def last_field_leaves_key(s):
    s.say('HSETEX h PX 10 FIELDS 1 f v', b':1\r\n')
    s.remove(b'h', s.now + 11, field=b'f')
    s.say('EXISTS h', b':1\r\n', s.now + 11)


def undecided_hash_goes(s):
    s.say('HSETEX h PX 10 FIELDS 1 f v', b':1\r\n')
    s.say('TYPE h', b'+hash\r\n', s.now + 11)
    s.say('HGETALL h', b'*0\r\n', s.now + 11)
    s.say('TYPE h', b'+none\r\n', s.now + 12)
    s.say('LPUSH h a', b':1\r\n', s.now + 12)


def undecided_hash_comes_back(s):
    s.say('HSETEX h PX 10 FIELDS 1 f v', b':1\r\n')
    s.say('TYPE h', b'+none\r\n', s.now + 11)
    s.say('TYPE h', b'+hash\r\n', s.now + 12)


def dbsize_may_count_expired(s):
    s.say('MSET k v l v', b'+OK\r\n')
    s.say('PEXPIRE k 10', b':1\r\n')
    s.say('DBSIZE', b':2\r\n', s.now + 20)
    s.say('DBSIZE', b':1\r\n', s.now + 20)


def dbsize_after_removal(s):
    s.say('SET k v PX 10', b'+OK\r\n')
    s.remove(b'k', s.now + 11)
    s.say('DBSIZE', b':1\r\n', s.now + 11)


def scan_page(cursor, *names):
    out = b'*2\r\n$%d\r\n%s\r\n*%d\r\n' % (len(cursor), cursor, len(names))
    return out + b''.join(b'$%d\r\n%s\r\n' % (len(n), n) for n in names)


def scan_of_all(s):
    s.say('MSET a 1 b 2 c 3', b'+OK\r\n')
    s.say('SCAN 0 COUNT 1', scan_page(b'7', b'a'))
    s.say('SCAN 7 COUNT 1', scan_page(b'0', b'c', b'b'))


def scan_forgets_one(s):
    s.say('MSET a 1 b 2 c 3', b'+OK\r\n')
    s.say('SCAN 0 COUNT 1', scan_page(b'7', b'a'))
    s.say('SCAN 7 COUNT 1', scan_page(b'0', b'c'))


def scan_of_a_deleted_one(s):
    s.say('MSET a 1 b 2 c 3', b'+OK\r\n')
    s.say('SCAN 0 COUNT 1', scan_page(b'7', b'a'))
    s.say('DEL b', b':1\r\n')
    s.say('SET b 1', b'+OK\r\n')
    s.say('SCAN 7 COUNT 1', scan_page(b'0', b'c'))


def scan_of_an_overwritten_one(s):
    s.say('MSET a 1 b 2 c 3', b'+OK\r\n')
    s.say('SCAN 0 COUNT 1', scan_page(b'7', b'a'))
    s.say('SET b 1', b'+OK\r\n')
    s.say('SCAN 7 COUNT 1', scan_page(b'0', b'c'))


def scan_of_an_expired_one(s):
    s.say('MSET a 1 b 2 c 3', b'+OK\r\n')
    s.say('PEXPIRE b 10', b':1\r\n')
    s.say('SCAN 0 COUNT 1', scan_page(b'7', b'a'))
    s.say('SCAN 7 COUNT 1', scan_page(b'0', b'c'), s.now + 11)


def hscan_forgets_one(s):
    s.say('HSET h a 1 b 2', b':2\r\n')
    s.say('HSCAN h 0', scan_page(b'0', b'a', b'1'))


def hscan_of_wrong_value(s):
    s.say('HSET h a 1 b 2', b':2\r\n')
    s.say('HSCAN h 0', scan_page(b'0', b'a', b'1', b'b', b'1'))


def watched_key_expires(ran):
    def script(s):
        s.say('SET k v PX 10', b'+OK\r\n')
        s.watch(b'k', s.now)
        s.exec(ran, s.now + 11)
    return script


def watched_when_expired(ran):
    def script(s):
        s.say('SET k v PX 10', b'+OK\r\n')
        s.watch(b'k', s.now + 11)
        s.remove(b'k', s.now + 12)
        s.exec(ran, s.now + 12)
    return script


def watched_over_swapdb(key, ran):
    def script(s):
        s.say('SET k v', b'+OK\r\n')
        s.watch(key, s.now)
        s.say('SWAPDB 0 1', b'+OK\r\n')
        s.exec(ran, s.now)
    return script


def bytes_of(reply, version=2):
    return lambda s: s.say('PING', reply, resp_version=version)


SCRIPTS = [
    (expired_in_time, False), (expired_early, True), (expired_twice, True), (expired_without_deadline, True),
    (expired_nothing, True), (evicted, True), (seen_at_deadline, False), (seen_after_deadline, True),
    (gone_at_deadline, True), (field_expired_in_time, False), (field_expired_early, True),
    (field_without_deadline, True), (field_unknown, True), (last_field_takes_key, False), (last_field_leaves_key, True),
    (undecided_hash_goes, False), (undecided_hash_comes_back, True), (dbsize_may_count_expired, False),
    (dbsize_after_removal, True), (scan_of_all, False), (scan_forgets_one, True), (scan_of_a_deleted_one, False),
    (scan_of_an_overwritten_one, True), (scan_of_an_expired_one, False), (hscan_forgets_one, True),
    (hscan_of_wrong_value, True), (watched_key_expires(True), True), (watched_key_expires(False), False),
    (watched_when_expired(True), False), (watched_when_expired(False), True), (watched_over_swapdb(b'k', True), True),
    (watched_over_swapdb(b'k', False), False), (watched_over_swapdb(b'other', True), False),
    (bytes_of(b'+PONG\r\n'), False), (bytes_of(b'+PONG\r\n', 3), False), (bytes_of(b'+PONG\n'), True),
    (bytes_of(b'+PONG\r'), True), (bytes_of(b'+PO\rNG\r\n'), True), (bytes_of(b'+PONG\r\n+PONG\r\n'), True),
    (bytes_of(b'$04\r\nPONG\r\n'), True), (bytes_of(b'$4\r\nPONG\n\n'), True), (bytes_of(b':01\r\n'), True),
    (bytes_of(b':+1\r\n'), True), (bytes_of(b'$-2\r\n'), True), (bytes_of(b'_\r\n'), True),
    (bytes_of(b'$-1\r\n', 3), True),
    (bytes_of(b'#x\r\n', 3), True), (bytes_of(b'%1\r\n+a\r\n', 3), True), (bytes_of(b'*2\r\n+PONG\r\n'), True),
    (bytes_of(b'PONG\r\n'), True), (bytes_of(b'*1\r\n' * 40 + b'+PONG\r\n'), True),
]


def run(model_check, make_tape, state, play):
    """(passed, failed)."""
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'tape')
        for number, (script, complains) in enumerate(SCRIPTS):
            tape = make_tape(path)
            script(Script(tape, state))
            tape.close()
            status, lines = play(model_check, path)
            if status != int(complains):
                failed += 1
                print('script %d (%s) must %s: %s' % (number, script.__name__, 'fail' if complains else 'pass', lines))
    return len(SCRIPTS) - failed, failed
