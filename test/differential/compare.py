"""Decides whether two replies to the same command say the same.

Exactly equal typed reply trees always do. Beyond that a command may have a rule, because its reply has no order
(multisets), depends on the clock (tolerance), or names the server itself (shape only). What a rule cannot compare it
says: reply_difference() returns (difference or None, reason why it was not compared or None).

Times: both servers run the same commands on the same clock, but not at the same moment. How far apart those moments
were at most is measured (skew_ms, see Pair.talk), and times may differ by that and CLOCK_LAG_MS.
"""
import collections
import re
import sys

sys.path.insert(0, __file__.rsplit('/', 2)[0] + '/blackbox')
from resp import show  # noqa: E402

CLOCK_LAG_MS = 100    # a server may have read its clock that long before it read our command


def flat(reply):
    return reply[1] if reply[0] in '*~>%' and reply[1] is not None else None


def is_error(reply):
    return reply[0] in '-!'


def _multiset(command, ref, dut, skew_ms):
    a, b = flat(ref), flat(dut)
    if a is None or b is None or ref[0] != dut[0]:
        return 'differs'
    return None if collections.Counter(a) == collections.Counter(b) else 'differs as a multiset'


def pairs(items):
    return collections.Counter(zip(items[0::2], items[1::2]))


def _pairs(command, ref, dut, skew_ms):
    a, b = flat(ref), flat(dut)
    if a is None or b is None or ref[0] != dut[0]:
        return 'differs'
    return None if len(a) == len(b) and pairs(a) == pairs(b) else 'differs as a multiset of pairs'


def _near(unit_ms):
    """Times in units of unit_ms; what is rounded to a unit may be one more apart."""
    def rule(command, ref, dut, skew_ms):
        tolerance = (skew_ms + CLOCK_LAG_MS) // unit_ms + (1 if unit_ms > 1 else 0)
        if ref[0] != dut[0]:
            return 'differs'
        if ref[0] == ':':
            # -1 and -2 are no times.
            if ref[1] < 0 or dut[1] < 0:
                return 'differs'
            return None if abs(ref[1] - dut[1]) <= tolerance else 'differs by more than %d' % tolerance
        a, b = flat(ref), flat(dut)
        if a is None or b is None or len(a) != len(b):
            return 'differs'
        for x, y in zip(a, b):
            if x != y and rule(command, x, y, skew_ms):
                return 'differs'
        return None
    return rule


def _shape(command, ref, dut, skew_ms):
    """Same types; values are the server's own."""
    if ref[0] != dut[0]:
        return 'has another type'
    a, b = flat(ref), flat(dut)
    if (a is None) != (b is None) or (a is not None and len(a) != len(b)):
        return 'has another shape'
    return None


def _hello(command, ref, dut, skew_ms):
    a, b = flat(ref), flat(dut)
    if ref[0] != dut[0] or a is None or b is None:
        return 'differs'
    if a[0::2] != b[0::2]:
        return 'has other keys'
    own = (b'version', b'id', b'server', b'modules')
    for key, x, y in zip(a[0::2], a[1::2], b[1::2]):
        if (x[0] != y[0]) if key[1] in own else x != y:
            return 'differs in %s' % show(key)
    return None


def _sets_inside(command, ref, dut, skew_ms):
    """Replies with sets in them, which RESP2 sends as arrays of simple strings."""
    def normal(reply):
        items = flat(reply)
        if items is None:
            return reply
        items = [normal(i) for i in items]
        if reply[0] == '~' or (items and all(i[0] == '+' for i in items)):
            items.sort()
        return (reply[0], tuple(items))
    return None if normal(ref) == normal(dut) else 'differs'


def _sort(command, ref, dut, skew_ms):
    """BY a constant pattern leaves a set in no order; BY with ALPHA leaves equal weights in no order."""
    words = [w.upper() for w in command]
    if b'BY' in words[1:]:
        by = words.index(b'BY', 1)
        if by + 1 < len(words) and (b'*' not in words[by + 1] or b'ALPHA' in words):
            if b'LIMIT' in words:
                return _shape(command, ref, dut, skew_ms)
            return _multiset(command, ref, dut, skew_ms)
    return 'differs'


# What Redis answers here depends on how a value came about, not only on what it is (an APPENDed string stays raw, a
# SORTed small sorted set becomes a skiplist). --lenient-encodings counts such differences as not compared, if a fresh
# copy of the value has the same encoding on both servers.
HISTORY_ENCODINGS = {frozenset(p) for p in ((b'raw', b'embstr'), (b'raw', b'int'), (b'embstr', b'int'),
                                            (b'skiplist', b'listpack'), (b'hashtable', b'listpack'),
                                            (b'hashtable', b'intset'), (b'listpack', b'intset'),
                                            (b'quicklist', b'listpack'), (b'listpackex', b'listpack'),
                                            (b'listpackex', b'hashtable'))}
options = {'lenient_encodings': False}

RULES = {
    b'SMEMBERS': _multiset, b'SINTER': _multiset, b'SUNION': _multiset, b'SDIFF': _multiset, b'KEYS': _multiset,
    b'HKEYS': _multiset, b'HVALS': _multiset, b'HGETALL': _pairs,
    b'TTL': _near(1000), b'PTTL': _near(1), b'HTTL': _near(1000), b'HPTTL': _near(1),
    b'EXPIRETIME': _near(1000), b'PEXPIRETIME': _near(1), b'HEXPIRETIME': _near(1000),
    b'HPEXPIRETIME': _near(1),
    b'TIME': _shape, b'MEMORY': _shape, b'HELLO': _hello, b'COMMAND': _sets_inside,
    b'SORT': _sort, b'SORT_RO': _sort,
}
ONLY_SHAPE = {b'TIME': 'clock', b'MEMORY': 'the allocator\'s own figure'}


def name_of(command):
    return command[0].upper() if command else b''


def reply_difference(command, ref, dut, queued=(), skew_ms=0):
    """queued: the commands of the transaction, if this is its EXEC. -> (difference | None, not compared | None)."""
    if ref == dut:
        return None, None
    name = name_of(command)
    if name == b'EXEC' and ref[0] == dut[0] == '*' and flat(ref) is not None and flat(dut) is not None and \
            len(ref[1]) == len(dut[1]) == len(queued):
        for inner, x, y in zip(queued, ref[1], dut[1]):
            difference, _ = reply_difference(inner, x, y, (), skew_ms)
            if difference:
                return 'inside EXEC: %s %s' % (name_of(inner).decode('latin-1'), difference), None
        return None, None
    if is_error(ref) or is_error(dut):
        return 'differs', None
    if name == b'OBJECT' and len(command) > 1 and command[1].upper() == b'IDLETIME':
        return None, 'weft keeps no access times'
    if name == b'OBJECT' and len(command) > 1 and command[1].upper() == b'REFCOUNT' and ref[0] == dut[0] == ':':
        return None, 'how often Redis shares the object with its own buffers'
    if name == b'COMMAND' and (len(command) == 1 or command[1].upper() in (b'LIST', b'COUNT')):
        return _shape(command, ref, ref, skew_ms), 'the whole command table'
    if options['lenient_encodings'] and name == b'OBJECT' and ref[0] == dut[0] == '$' and \
            frozenset((ref[1], dut[1])) in HISTORY_ENCODINGS:
        return None, 'an encoding which depends on the past'
    rule = RULES.get(name)
    if rule is None:
        return 'differs', None
    return rule(command, ref, dut, skew_ms), ONLY_SHAPE.get(name)


def signature(command, ref, dut, difference):
    """Names a kind of difference, so that one defect is not reported a hundred times."""
    def kind(reply):
        if reply is None:
            return 'nothing'
        if is_error(reply):
            return re.sub(r"'[^']*'|\d+|`[^`]*`", '_', reply[1].decode('latin-1'))[:50]
        return reply[0] + ('nil' if reply[1] is None else '')
    name = name_of(command).decode('latin-1')
    if difference.startswith('inside EXEC'):
        return (name, difference)
    if name in ('COMMAND', 'CLIENT', 'OBJECT') and len(command) > 1:
        name += ' ' + command[1].upper().decode('latin-1')
    return (name, kind(ref), kind(dut))
