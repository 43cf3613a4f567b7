"""What the differential test can say: every command of the families under test as a weighted template.

A template is the command line with choices in it:

    WORD          itself                         <name>        one draw of generator `name` (it may yield several words)
    [ a | b ]     nothing, or one of the parts   ( a | b )     one of the parts
    x+            1 to 3 times                   x*            0 to 3 times

so `SET <s> <v> [NX|XX] [GET]` stands for all its spellings. Parts in [ ] appear with a probability of 1/3.
About one command in seven is then mutated (see mutate()): a missing, doubled, garbled, swapped or extra argument.

Everything is drawn through hypothesis (class Draw), so failing sequences shrink: towards fewer commands, the first
alternatives, the first words of each pool.

A *step* is (connection, words). Words that start with '@' are directions to the runner (see runner.py), e.g. @soon.
"""
import functools
import re

from hypothesis import strategies as st

CONNECTIONS = 2
ROWS = 8


class Draw:
    """Primitive choices, each one hypothesis draw."""

    _ints = {}

    def __init__(self, draw):
        self._draw = draw

    def int(self, low, high):
        strategy = self._ints.get((low, high))
        if strategy is None:
            strategy = self._ints[low, high] = st.integers(low, high)
        return self._draw(strategy)

    def pick(self, pool):
        return pool[self.int(0, len(pool) - 1)]

    def one_in(self, n):
        """True once in n; shrinks to False."""
        return self.int(0, n - 1) == n - 1


# ---------------------------------------------------------------- generators

KEYS = {
    's': [b's1', b's2', b'{t}s3', b's4'],
    'b': [b'b1', b'{t}b2', b's1'],
    'l': [b'l1', b'l2', b'{t}l3'],
    'h': [b'h1', b'h2', b'{t}h3'],
    't': [b't1', b't2', b'{t}t3', b't4'],
    'z': [b'z1', b'z2', b'{t}z3'],
    'x': [b'x1', b'{t}x2'],
}
ODD_KEYS = [b'none', b'k\x00\xff\r\n', b'']
ALL_KEYS = sorted({k for pool in KEYS.values() for k in pool}) + ODD_KEYS

VALUES = [b'a', b'10', b'hello world', b'', b'3.5', b'-7', b'0', b'foobar', b'\x00\xff\r\n\x80', b'mynewtext',
          b'ohmytext', b'9223372036854775807', b'-9223372036854775808', b'12345678901234567890', b'x' * 44, b'x' * 45,
          b'y' * 300, b' 1', b'1 ', b'+5', b'007', b'1e3', b'nan', b'\xff' * 9, b'\x00' * 12]
MEMBERS = [b'a', b'b', b'c', b'd', b'1', b'2', b'3', b'10', b'-4', b'e', b'f', b'7', b'1.5', b'', b'\x00\x01\xfe',
           b'abc', b'a b', b'99999999999', b'9223372036854775807', b'M' * 63, b'L' * 65]
SCORES = [b'1', b'0', b'2', b'3', b'-1', b'1.5', b'2.5', b'10', b'inf', b'-inf', b'1e300', b'-0.0', b'0.1', b'3.0',
          b'1e-7', b'123456789012345678', b'17.7']
FLOATS = [b'1', b'1.5', b'-0.1', b'3e5', b'0', b'1e-7', b'123456789.123', b'-2', b'5.0e3', b'inf',
          b'0.30000000000000004']
INTS = [b'1', b'2', b'-1', b'0', b'5', b'10', b'-3', b'100', b'9223372036854775807', b'-9223372036854775807']
GARBAGE = [b'', b'abc', b'1.5', b'-1', b'0', b'9223372036854775807', b'9223372036854775808', b'-9223372036854775808',
           b'-9223372036854775809', b'nan', b'inf', b'-inf', b'1e400', b'0x10', b' 1', b'1 ', b'+1', b'01',
           b'4294967296', b'2147483648', b'*', b'#', b'(', b'[', b'+', b'(1', b'[a', b'NX', b'XX', b'GT', b'LIMIT',
           b'WITHSCORES', b'COUNT', b'MATCH', b'\x00\xff', b'FIELDS', b'KEEPTTL', b'EX', b'GET', b'BY', b'u64', b'i65',
           b'1e', b'--5']
PATTERNS = [b'*', b'a*', b'?', b'[a-c]*', b'h?', b'[^a]*', b'{t}*', b'*1', b'\\*', b's[1-2]', b'*\x00*', b'nomatch',
            b'']
BITFIELD_TYPES = [b'u8', b'i8', b'u1', b'i5', b'u16', b'i32', b'u63', b'i64', b'u4', b'i63', b'u32']

GENERATORS = {}


def generator(name):
    def add(f):
        GENERATORS[name] = f
        return f
    return add


def _key(g, family):
    n = g.int(0, 99)
    if n < 90:
        return [g.pick(KEYS[family])]
    return [g.pick(ALL_KEYS) if n < 98 else g.pick(ODD_KEYS)]


for _family in KEYS:
    GENERATORS[_family] = functools.partial(_key, family=_family)


def pool(name, words):
    GENERATORS[name] = lambda g: [g.pick(words)]


pool('k', ALL_KEYS)
pool('v', VALUES)
pool('score', SCORES)
pool('f', FLOATS)
pool('n', INTS)
pool('pat', PATTERNS)
pool('db', [b'0', b'1', b'2'])
pool('cnt', [b'1', b'2', b'3', b'0', b'10', b'5'])
pool('scnt', [b'1', b'2', b'-2', b'0', b'10', b'-5', b'3'])
pool('idx', [b'0', b'1', b'-1', b'2', b'3', b'-2', b'5', b'-4', b'100', b'-100', b'10'])
pool('off', [b'0', b'1', b'2', b'5', b'-1', b'10', b'100', b'4097'])
pool('ex', [b'100', b'1000', b'5000', b'100000', b'1000000', b'0', b'-1'])
pool('px', [b'100000', b'1000000', b'5000001', b'123456789', b'0', b'-1'])
pool('exat', [b'4000000000', b'4100000000', b'5000000000', b'1', b'0', b'-1'])
pool('pxat', [b'4000000000000', b'4100000000001', b'4999999999999', b'1', b'0'])
pool('bit', [b'1', b'0'])
pool('boff', [b'0', b'1', b'7', b'8', b'9', b'20', b'63', b'100', b'1000', b'70000'])
pool('bft', BITFIELD_TYPES)
pool('bfo', [b'0', b'#0', b'1', b'#1', b'8', b'#2', b'100', b'3', b'#5'])
pool('smin', [b'-inf', b'0', b'1', b'(1', b'2', b'(0', b'-1', b'(inf', b'2.5', b'(-inf'])
pool('smax', [b'+inf', b'2', b'3', b'(3', b'1', b'10', b'(2', b'inf', b'1.5'])
pool('lmin', [b'-', b'[a', b'(a', b'[b', b'(c', b'[', b'+', b'[1'])
pool('lmax', [b'+', b'[c', b'(d', b'[f', b'(b', b'[z', b'-', b'['])
pool('weight', [b'1', b'2', b'0.5', b'-1', b'0', b'inf'])
pool('type', [b'string', b'hash', b'list', b'set', b'zset', b'stream', b'nosuch'])
pool('by', [b'nosort', b'*', b's*', b'w_*', b'h*->a', b'{t}*', b'h1->*'])
pool('get', [b'#', b's*', b'*', b'h*->a', b'h1->*', b'nothing'])
pool('dir', [b'LEFT', b'RIGHT'])
pool('sid', [b'1-1', b'1-2', b'2-0', b'3-7', b'5', b'10-1', b'100-*', b'20-5', b'7-*', b'0-1', b'1000', b'0-0'])
pool('sfrom', [b'-', b'1-1', b'2', b'(1-1', b'3-7', b'(2', b'10-1', b'0', b'+'])
pool('sto', [b'+', b'10', b'3-7', b'(10-1', b'100', b'2', b'1000-0', b'-'])
pool('slen', [b'1', b'0', b'3', b'10', b'100'])
pool('proto', [b'3', b'2', b'3', b'2', b'4', b'1', b'abc'])


@generator('m')
def _member(g):
    # The small universe first: commands must meet each other's members.
    if g.int(0, 3) < 3:
        return [g.pick(MEMBERS[:8])]
    return [g.pick(MEMBERS)]


@generator('e')
def _element(g):
    return _member(g) if g.int(0, 3) < 3 else [g.pick(VALUES)]


@generator('big')
def _big_value(g):
    return [g.pick([b'z', b'0123456789', b'\x00\xf0']) * g.pick([10, 1000, 8200, 20000])]


@generator('fields')
def _fields(g):
    """FIELDS numfields field ...: the count is right nearly always."""
    names = [g.pick(MEMBERS[:8]) for _ in range(g.int(1, 3))]
    count = len(names) if g.int(0, 19) else g.pick([0, -1, 5, len(names) + 1])
    return [b'FIELDS', b'%d' % count] + names


@generator('fvs')
def _field_values(g):
    names = [w for _ in range(g.int(1, 3)) for w in (g.pick(MEMBERS[:8]), g.pick(VALUES))]
    count = len(names) // 2 if g.int(0, 19) else g.pick([0, -1, 5])
    return [b'FIELDS', b'%d' % count] + names


def _numkeys(g, family, more=()):
    n = g.int(1, 3)
    count = n if g.int(0, 29) else g.pick([0, -1, n + 1, 100])
    keys = []
    for _ in range(n):
        keys += _key(g, g.pick(family))
    return [b'%d' % count] + keys


GENERATORS['nz'] = lambda g: _numkeys(g, 'zzzt')
GENERATORS['nt'] = lambda g: _numkeys(g, 't')
GENERATORS['nl'] = lambda g: _numkeys(g, 'l')


def _many(make):
    def f(g):
        n = g.pick([5, 20, 127, 128, 129, 200, 513, 600])
        start = g.pick([0, 3, 1000])
        return [w for i in range(start, start + n) for w in make(i)]
    return f


GENERATORS['many_fields'] = _many(lambda i: (b'f%d' % i, b'v%d' % i))
GENERATORS['many_ints'] = _many(lambda i: (b'%d' % i,))
GENERATORS['many_words'] = _many(lambda i: (b'member:%d' % i,))
GENERATORS['many_alike'] = _many(lambda i: (b'0', b'%x' % (i * 2654435761 % (1 << 32))))
GENERATORS['many_scored'] = _many(lambda i: (b'%d' % (i % 17), b'member:%d' % i))

# ---------------------------------------------------------------- templates: (family, weight, template)

TABLE = '''
string 6 SET <s> <v> [NX|XX] [GET] [EX <ex>|PX <px>|EXAT <exat>|PXAT <pxat>|KEEPTTL]
string 4 SET <s> <v>
string 1 SET <k> <v>
string 1 SET <s> <big>
string 5 GET <s>
string 1 GET <k>
string 2 APPEND <s> <v>
string 2 INCR <s>
string 1 DECR <s>
string 1 INCRBY <s> <n>
string 1 DECRBY <s> <n>
string 2 INCRBYFLOAT <s> <f>
string 1 GETDEL <s>
string 2 GETEX <s> [EX <ex>|PX <px>|EXAT <exat>|PXAT <pxat>|PERSIST]
string 2 GETRANGE <s> <idx> <idx>
string 1 SUBSTR <s> <idx> <idx>
string 1 GETSET <s> <v>
string 2 LCS <s> <s> [LEN|IDX|IDX WITHMATCHLEN|IDX MINMATCHLEN <cnt>|IDX MINMATCHLEN <cnt> WITHMATCHLEN|LEN IDX]
string 3 MGET <s>+ [<k>+]
string 3 MSET (<s> <v>)+
string 2 MSETNX (<s> <v>)+
string 1 PSETEX <s> <px> <v>
string 1 SETEX <s> <ex> <v>
string 1 SETNX <s> <v>
string 2 SETRANGE <s> <off> <v>
string 1 STRLEN <s>
bit 3 SETBIT <b> <boff> <bit>
bit 1 SET <b> <v>
bit 2 GETBIT <b> <boff>
bit 2 BITCOUNT <b> [<idx> <idx>|<idx> <idx> BYTE|<idx> <idx> BIT]
bit 2 BITPOS <b> <bit> [<idx>|<idx> <idx>|<idx> <idx> BYTE|<idx> <idx> BIT]
bit 3 BITFIELD <b> (GET <bft> <bfo>|[OVERFLOW (WRAP|SAT|FAIL)] (SET|INCRBY) <bft> <bfo> <n>)+
bit 1 BITFIELD_RO <b> (GET <bft> <bfo>)+
bit 2 BITOP (AND|OR|XOR|NOT|ANDOR) <b> <b> [<b>] [<s>]
key 2 COPY <k> <k> [DB <db>] [REPLACE]
key 3 DEL <k>+
key 2 UNLINK <k>+
key 2 EXISTS <k>+
key 1 TOUCH <k>+
key 3 EXPIRE <k> <ex> [NX|XX|GT|LT|NX GT|XX LT]
key 2 PEXPIRE <k> <px> [NX|XX|GT|LT]
key 1 EXPIREAT <k> <exat> [NX|XX|GT|LT]
key 1 PEXPIREAT <k> <pxat> [NX|XX|GT|LT]
key 1 EXPIRETIME <k>
key 1 PEXPIRETIME <k>
key 2 TTL <k>
key 1 PTTL <k>
key 1 PERSIST <k>
key 1 KEYS <pat>
key 1 MOVE <k> <db>
key 2 OBJECT ENCODING <k>
key 1 OBJECT (REFCOUNT|IDLETIME|FREQ) <k>
key 1 RANDOMKEY
key 2 RENAME <k> <k>
key 1 RENAMENX <k> <k>
key 2 SCAN 0 [MATCH <pat>] [COUNT <cnt>] [TYPE <type>]
key 2 TYPE <k>
key 3 @dumpcross <k>
key 1 @reload
key 1 RESTORE <k> <px> garbage [REPLACE] [ABSTTL] [IDLETIME <n>] [FREQ <n>]
key 3 SORT (<l>|<t>|<z>|<k>) [BY <by>] [LIMIT <idx> <cnt>] [GET <get>] [GET <get>] [ASC|DESC] [ALPHA]
key 1 SORT (<l>|<t>|<z>) [BY <by>] [GET <get>] [ALPHA] STORE (<l>|<k>)
key 1 SORT_RO (<l>|<t>|<z>) [BY <by>] [LIMIT <idx> <cnt>] [GET <get>] [ASC|DESC] [ALPHA]
key 1 DBSIZE
hash 6 HSET <h> (<m> <v>)+
hash 1 HMSET <h> (<m> <v>)+
hash 1 HSET <h> <many_fields>
hash 1 HSET <h> <m> <big>
hash 2 HDEL <h> <m>+
hash 1 HEXISTS <h> <m>
hash 2 HGET <h> <m>
hash 2 HGETALL <h>
hash 2 HINCRBY <h> <m> <n>
hash 2 HINCRBYFLOAT <h> <m> <f>
hash 1 HKEYS <h>
hash 1 HVALS <h>
hash 1 HLEN <h>
hash 2 HMGET <h> <m>+
hash 2 HRANDFIELD <h> [<scnt>|<scnt> WITHVALUES]
hash 2 HSCAN <h> 0 [MATCH <pat>] [COUNT <cnt>] [NOVALUES]
hash 1 HSETNX <h> <m> <v>
hash 1 HSTRLEN <h> <m>
hash 2 HEXPIRE <h> <ex> [NX|XX|GT|LT] <fields>
hash 2 HPEXPIRE <h> <px> [NX|XX|GT|LT] <fields>
hash 1 HEXPIREAT <h> <exat> [NX|XX|GT|LT] <fields>
hash 1 HPEXPIREAT <h> <pxat> [NX|XX|GT|LT] <fields>
hash 1 HEXPIRETIME <h> <fields>
hash 1 HPEXPIRETIME <h> <fields>
hash 1 HTTL <h> <fields>
hash 1 HPTTL <h> <fields>
hash 1 HPERSIST <h> <fields>
hash 2 HGETDEL <h> <fields>
hash 2 HGETEX <h> [EX <ex>|PX <px>|EXAT <exat>|PXAT <pxat>|PERSIST] <fields>
hash 3 HSETEX <h> [FNX|FXX] [EX <ex>|PX <px>|EXAT <exat>|PXAT <pxat>|KEEPTTL] <fvs>
list 4 RPUSH <l> <e>+
list 3 LPUSH <l> <e>+
list 1 RPUSH <l> <many_words>
list 1 RPUSH <l> <big>
list 1 LPUSHX <l> <e>+
list 1 RPUSHX <l> <e>+
list 2 LINDEX <l> <idx>
list 2 LINSERT <l> (BEFORE|AFTER) <e> <e>
list 1 LLEN <l>
list 3 LMOVE <l> <l> <dir> <dir>
list 2 RPOPLPUSH <l> <l>
list 2 LMPOP <nl> <dir> [COUNT <cnt>]
list 2 LPOP <l> [<cnt>]
list 2 RPOP <l> [<cnt>]
list 2 LPOS <l> <e> [RANK <idx>] [COUNT <cnt>] [MAXLEN <cnt>]
list 3 LRANGE <l> <idx> <idx>
list 2 LREM <l> <idx> <e>
list 2 LSET <l> <idx> <e>
list 2 LTRIM <l> <idx> <idx>
set 4 SADD <t> <m>+
set 1 SADD <t> <many_ints>
set 1 SADD <t> <many_words>
set 1 SCARD <t>
set 2 SDIFF <t> <t>*
set 2 SDIFFSTORE <t> <t> <t>*
set 2 SINTER <t> <t>*
set 1 SINTERCARD <nt> [LIMIT <cnt>]
set 2 SINTERSTORE <t> <t> <t>*
set 1 SISMEMBER <t> <m>
set 2 SMEMBERS <t>
set 1 SMISMEMBER <t> <m>+
set 2 SMOVE <t> <t> <m>
set 2 SPOP <t> [<cnt>]
set 2 SRANDMEMBER <t> [<scnt>]
set 2 SREM <t> <m>+
set 2 SSCAN <t> 0 [MATCH <pat>] [COUNT <cnt>]
set 2 SUNION <t> <t>*
set 2 SUNIONSTORE <t> <t> <t>*
zset 5 ZADD <z> [NX|XX|GT|LT|XX GT|XX LT|NX GT] [CH] (<score> <m>)+
zset 2 ZADD <z> [NX|XX|GT|LT] [CH] INCR <score> <m>
zset 1 ZADD <z> <many_scored>
zset 1 ZADD <z> <many_alike>
zset 1 ZCARD <z>
zset 2 ZCOUNT <z> <smin> <smax>
zset 1 ZDIFF <nz> [WITHSCORES]
zset 1 ZDIFFSTORE <z> <nz>
zset 2 ZINCRBY <z> <score> <m>
zset 2 ZINTER <nz> [WEIGHTS <weight>+] [AGGREGATE (SUM|MIN|MAX)] [WITHSCORES]
zset 1 ZINTERCARD <nz> [LIMIT <cnt>]
zset 2 ZINTERSTORE <z> <nz> [WEIGHTS <weight>+] [AGGREGATE (SUM|MIN|MAX)]
zset 1 ZLEXCOUNT <z> <lmin> <lmax>
zset 2 ZMPOP <nz> (MIN|MAX) [COUNT <cnt>]
zset 1 ZMSCORE <z> <m>+
zset 2 ZPOPMAX <z> [<cnt>]
zset 2 ZPOPMIN <z> [<cnt>]
zset 2 ZRANDMEMBER <z> [<scnt>|<scnt> WITHSCORES]
zset 3 ZRANGE <z> <idx> <idx> [REV] [WITHSCORES]
zset 3 ZRANGE <z> <smin> <smax> BYSCORE [REV] [LIMIT <idx> <scnt>] [WITHSCORES]
zset 2 ZRANGE <z> <lmin> <lmax> BYLEX [REV] [LIMIT <idx> <scnt>]
zset 1 ZRANGEBYLEX <z> <lmin> <lmax> [LIMIT <idx> <scnt>]
zset 2 ZRANGEBYSCORE <z> <smin> <smax> [WITHSCORES] [LIMIT <idx> <scnt>]
zset 2 ZRANGESTORE <z> <z> (<idx> <idx>|<smin> <smax> BYSCORE|<lmin> <lmax> BYLEX) [REV] [LIMIT <idx> <scnt>]
zset 1 ZRANK <z> <m> [WITHSCORE]
zset 1 ZREVRANK <z> <m> [WITHSCORE]
zset 2 ZREM <z> <m>+
zset 1 ZREMRANGEBYLEX <z> <lmin> <lmax>
zset 1 ZREMRANGEBYRANK <z> <idx> <idx>
zset 1 ZREMRANGEBYSCORE <z> <smin> <smax>
zset 1 ZREVRANGE <z> <idx> <idx> [WITHSCORES]
zset 1 ZREVRANGEBYLEX <z> <lmax> <lmin> [LIMIT <idx> <scnt>]
zset 1 ZREVRANGEBYSCORE <z> <smax> <smin> [WITHSCORES] [LIMIT <idx> <scnt>]
zset 2 ZSCAN <z> 0 [MATCH <pat>] [COUNT <cnt>]
zset 1 ZSCORE <z> <m>
zset 2 ZUNION <nz> [WEIGHTS <weight>+] [AGGREGATE (SUM|MIN|MAX)] [WITHSCORES]
zset 2 ZUNIONSTORE <z> <nz> [WEIGHTS <weight>+] [AGGREGATE (SUM|MIN|MAX)]
stream 5 XADD <x> [NOMKSTREAM] [(MAXLEN|MINID) [=] <slen>] <sid> (<m> <v>)+
stream 2 XADD <x> <sid> <m> <v>
stream 2 XADD <x> (MAXLEN|MINID) ~ <slen> [LIMIT <cnt>] <sid> <m> <v>
stream 2 XDEL <x> <sid>+
stream 1 XLEN <x>
stream 3 XRANGE <x> <sfrom> <sto> [COUNT <scnt>]
stream 2 XREVRANGE <x> <sto> <sfrom> [COUNT <scnt>]
stream 2 XTRIM <x> (MAXLEN|MINID) [=|~] <slen> [LIMIT <cnt>]
multi 2 MULTI
multi 2 EXEC
multi 1 DISCARD
multi 2 WATCH <k>+
multi 1 UNWATCH
db 4 SELECT <db>
db 1 SWAPDB <db> <db>
db 1 FLUSHDB [ASYNC|SYNC]
db 1 FLUSHALL [ASYNC|SYNC]
conn 4 HELLO [<proto>] [SETNAME <v>]
conn 1 RESET
conn 1 ROLE
conn 2 ECHO <v>
conn 2 PING [<v>]
conn 1 READONLY
conn 1 READWRITE
conn 1 ASKING
conn 1 CLUSTER (INFO|SLOTS|KEYSLOT <s>|NODES|SHARDS|HELP|<v>)
conn 1 CLIENT (GETNAME|SETNAME <m>)
conn 3 COMMAND GETKEYS (SET <s> <v>|MSET <s> <v>|ZUNIONSTORE <z> <nz>|SORT <l> STORE <l>|GET|PING|<v>)
conn 2 COMMAND GETKEYSANDFLAGS (SET <s> <v>|LMOVE <l> <l> <dir> <dir>|ZINTERSTORE <z> <nz>|COPY <k> <k>)
conn 1 MEMORY USAGE <k> [SAMPLES <cnt>]
conn 1 TIME
'''

FAMILY_WEIGHT = {'string': 20, 'bit': 8, 'key': 20, 'hash': 20, 'list': 14, 'set': 14, 'zset': 22, 'stream': 8,
                 'multi': 2, 'db': 2, 'conn': 3}

# One drawn "fill" at the head of a sequence saves many commands of building up state.
FILLS = '''
SET <s> <v>
HSET <h> (<m> <v>)+
HSET <h> <many_fields>
RPUSH <l> <e>+
RPUSH <l> <many_words>
SADD <t> <m>+
SADD <t> <many_ints>
SADD <t> <many_words>
ZADD <z> (<score> <m>)+
ZADD <z> <many_scored>
ZADD <z> <many_alike>
XADD <x> <sid> (<m> <v>)+
'''

# Rows of such commands about one key (KEY) or one field (FIELD): deadlines must meet each other.
LIFETIMES = '''
EXPIRE KEY <ex> (NX|XX|GT|LT)
PEXPIRE KEY <px> [NX|XX|GT|LT]
EXPIREAT KEY <exat> [NX|XX|GT|LT]
PEXPIREAT KEY <pxat> [NX|XX|GT|LT]
(TTL|PTTL|EXPIRETIME|PEXPIRETIME) KEY
(TTL|PTTL|EXPIRETIME|PEXPIRETIME) KEY
PERSIST KEY
SET KEY <v> [KEEPTTL|EX <ex>|PXAT <pxat>]
GETEX KEY [EX <ex>|PX <px>|EXAT <exat>|PERSIST]
COPY KEY <k> REPLACE
RENAME KEY <k>
APPEND KEY <v>
'''
FIELD_LIFETIMES = '''
HEXPIRE KEY <ex> (NX|XX|GT|LT) FIELDS 1 FIELD
HPEXPIRE KEY <px> [NX|XX|GT|LT] FIELDS 1 FIELD
HEXPIREAT KEY <exat> [NX|XX|GT|LT] FIELDS 1 FIELD
HPEXPIREAT KEY <pxat> [NX|XX|GT|LT] FIELDS 1 FIELD
(HTTL|HPTTL|HEXPIRETIME|HPEXPIRETIME) KEY FIELDS 1 FIELD
(HTTL|HPTTL|HEXPIRETIME|HPEXPIRETIME) KEY FIELDS 1 FIELD
HPERSIST KEY FIELDS 1 FIELD
HSET KEY FIELD <v>
HSETEX KEY [FNX|FXX] [EX <ex>|PXAT <pxat>|KEEPTTL] FIELDS 1 FIELD <v>
HGETEX KEY [EX <ex>|PERSIST] FIELDS 1 FIELD
HINCRBY KEY FIELD 1
HGETALL KEY
'''

# What may happen to a watched key, or happen beside it.
CHANGES = '''
SET KEY <v>
DEL KEY
APPEND KEY <v>
EXPIRE KEY <ex>
PERSIST KEY
RPUSH KEY a
SADD KEY a
HSET KEY a 1
ZADD KEY 1 a
XADD KEY 9-* a 1
HDEL KEY a
SREM KEY a
RENAME KEY <k>
COPY <k> KEY REPLACE
MOVE KEY <db>
SWAPDB <db> <db>
FLUSHDB
GET KEY
TTL KEY
OBJECT ENCODING KEY
SORT <t> STORE KEY
'''

# ---------------------------------------------------------------- the template language

TOKEN = re.compile(r'<[^>]*>[+*]?|[\[(]|[\])][+*]?|\||[^\s<\[\]()|]+')


def compile_template(text):
    tokens = TOKEN.findall(text)
    pos = 0

    def sequence(closers):
        """Parses up to a closer; returns alternatives (list of lists of nodes) and the closer."""
        nonlocal pos
        alternatives, nodes = [], []
        while pos < len(tokens):
            token = tokens[pos]
            pos += 1
            if token[0] in closers:
                return alternatives + [nodes], token
            if token == '|':
                alternatives.append(nodes)
                nodes = []
            elif token in '[(':
                inner, closer = sequence('])')
                nodes.append(repeat(choice(inner, token == '['), closer[1:]))
            elif token[0] == '<':
                nodes.append(repeat(GENERATORS[token[1:token.index('>')]], token[token.index('>') + 1:]))
            else:
                nodes.append(functools.partial(lambda word, g: [word], token.encode()))
        return alternatives + [nodes], ''

    def choice(alternatives, optional):
        def f(g):
            if optional and g.int(0, 2) < 2:
                return []
            nodes = alternatives[g.int(0, len(alternatives) - 1)] if len(alternatives) > 1 else alternatives[0]
            return [w for node in nodes for w in node(g)]
        return f

    def repeat(node, how):
        if not how:
            return node
        low = 1 if how == '+' else 0
        return lambda g: [w for _ in range(g.int(low, 3)) for w in node(g)]

    alternatives, _ = sequence('')
    assert len(alternatives) == 1, text
    return lambda g: [w for node in alternatives[0] for w in node(g)]


class Language:
    """The commands to draw from: all of TABLE but `without` (names), or only some families."""

    def __init__(self, without=(), families=None):
        self.names = set()
        self.left_out = set()
        self.templates = []
        for line in TABLE.strip().split('\n'):
            family, weight, text = line.split(None, 2)
            name = text.split()[0]
            if families and family not in families:
                continue
            if name in without:
                self.left_out.add(name)
                continue
            self.names.add(name)
            self.templates.append((family, int(weight), compile_template(text)))
        self.fills, self.lifetimes, self.field_lifetimes, self.changes = (
            [compile_template(t) for t in text.strip().split('\n') if t.split()[0] not in without]
            for text in (FILLS, LIFETIMES, FIELD_LIFETIMES, CHANGES))
        if families:
            self.lifetimes = self.lifetimes if 'key' in families else []
            self.field_lifetimes = self.field_lifetimes if 'hash' in families else []
        totals = {}
        for family, weight, _ in self.templates:
            totals[family] = totals.get(family, 0) + weight
        # A flat list whose index is drawn: every template stands in it in proportion to its weight.
        self.wheel = []
        for family, weight, template in self.templates:
            self.wheel += [template] * max(1, round(weight * FAMILY_WEIGHT[family] * 12 / totals[family]))
        # Drawn as (column, row): hypothesis prefers the ends of ranges above 127, which would distort the weights.
        self.rows = -(-len(self.wheel) // 100)

    def step(self, g):
        """A list of (connection, words): mostly one, sometimes a block that belongs together."""
        n = g.int(0, 99)
        if n < 93:
            return [(1 if g.one_in(12) else 0, self.command(g))]
        if n < 96:
            return self.lifetime(g)
        if n == 96:
            return self.transaction(g)
        if n == 97:
            return self.transaction(g, watch=True)
        if n == 98:
            return short_life(g, self.names)
        return [(0, template(g)) for template in [g.pick(self.fills)]]

    def command(self, g):
        words = self.wheel[(g.int(0, 99) * self.rows + g.int(0, self.rows - 1)) % len(self.wheel)](g)
        if g.int(0, 6) == 6 and not words[0].startswith(b'@'):
            words = mutate(g, words)
        return tame(words)

    def transaction(self, g, watch=False):
        conn = g.int(0, CONNECTIONS - 1)
        steps = []
        if watch:
            key = g.pick(ALL_KEYS)
            steps.append((conn, [b'WATCH', key]))
            n = g.int(0, 3)
            if n:
                change = self.command(g) if n == 1 else [key if w == b'KEY' else w for w in g.pick(self.changes)(g)]
                steps.append((g.int(0, CONNECTIONS - 1), change))
        steps.append((conn, [b'MULTI']))
        for _ in range(g.int(0, 6)):
            steps.append((conn, self.command(g)))
        steps.append((conn, [b'DISCARD'] if g.one_in(10) else [b'EXEC']))
        return steps

    def lifetime(self, g):
        """Deadlines of one key, or of one field, set and asked for several times."""
        of_fields = g.one_in(3)
        templates = self.field_lifetimes if of_fields else self.lifetimes
        if not templates:
            return []
        names = {b'KEY': g.pick(KEYS['h'] if of_fields else KEYS['s'] + ALL_KEYS), b'FIELD': g.pick(MEMBERS[:8])}
        first = [b'HSET', names[b'KEY'], names[b'FIELD'], b'1'] if of_fields else [b'SETNX', names[b'KEY'], b'1']
        return [(0, first)] + [(0, [names.get(w, w) for w in tame(g.pick(templates)(g))]) for _ in range(g.int(3, 8))]

    def strategy(self, length_max):
        """hypothesis strategy for whole sequences: a flat list of (connection, words)."""
        @st.composite
        def step(draw):
            return self.step(Draw(draw))

        @st.composite
        def fill(draw):
            g = Draw(draw)
            return [(0, g.pick(self.fills)(g))]

        @st.composite
        def sequences(draw):
            proto3 = draw(st.booleans())
            steps = [(0, [b'HELLO', b'3'])] if proto3 else []
            for block in draw(st.lists(fill(), max_size=8)) if self.fills else []:
                steps += block
            # A list that may shrink to nothing is short on average; so a sequence is a row of lists.
            for _ in range(ROWS):
                for block in draw(st.lists(step(), max_size=length_max // ROWS)):
                    steps += block
            return space_deadlines(steps)
        return sequences()


def short_life(g, names):
    """A key (or field) that dies within the sequence."""
    ms = b'%d' % g.pick([5, 15])
    if g.one_in(3) and {'HPEXPIRE', 'HSETEX', 'HGETEX'} <= names:
        key, field = g.pick(KEYS['h']), g.pick(MEMBERS[:8])
        command = g.pick([[b'HPEXPIRE', key, ms, b'FIELDS', b'1', field],
                          [b'HSETEX', key, b'PX', ms, b'FIELDS', b'1', field, b'v'],
                          [b'HGETEX', key, b'PX', ms, b'FIELDS', b'1', field]])
        return [(0, [b'HSET', key, field, b'v']), (0, [b'@soon'] + command)]
    key = g.pick(ALL_KEYS)
    command = g.pick([[b'PEXPIRE', key, ms], [b'SET', key, b'gone', b'PX', ms], [b'GETEX', key, b'PX', ms]])
    return [(0, [b'@soon'] + command)]


def mutate(g, words):
    words = list(words)
    n = g.int(0, 7)
    at = g.int(0, len(words) - 1)
    if n == 0 and len(words) > 1:
        del words[max(at, 1)]
    elif n == 1:
        words.append(g.pick(GARBAGE))
    elif n == 2 and len(words) > 1:
        words[max(at, 1)] = g.pick(GARBAGE)
    elif n == 3 and len(words) > 2:
        other = g.int(1, len(words) - 1)
        at = max(at, 1)
        words[at], words[other] = words[other], words[at]
    elif n == 4:
        words.insert(at + 1, words[at])
    elif n == 5:
        words[at] = words[at].swapcase()
    elif n == 6 and len(words) > 1:
        words[1] = g.pick(ALL_KEYS)
    elif n == 7:
        del words[g.int(1, 3):]
    return words


INTEGER = re.compile(rb'#?-?\d{1,19}$')


def tame(words):
    """Replaces what would only cost memory and time: half-gigabyte bitmaps, a billion random members."""
    name = words[0].upper()
    if name in (b'SETBIT', b'SETRANGE', b'BITFIELD', b'BITFIELD_RO', b'GETBIT'):
        return [w if not INTEGER.match(w) or abs(int(w.lstrip(b'#'))) < 100000 or abs(int(w.lstrip(b'#'))) > 1 << 32 or
                (name == b'BITFIELD' and i > 2 and words[i - 1][:1] == b'#')
                else b'4294967296' for i, w in enumerate(words)]
    if name in (b'SRANDMEMBER', b'HRANDFIELD', b'ZRANDMEMBER'):
        return [w if not INTEGER.match(w) or abs(int(w)) < 1000 or abs(int(w)) > 1 << 62 else b'-7' for w in words]
    if name == b'SORT' and {b'STORE', b'BY', b'ALPHA'} <= {w.upper() for w in words}:
        # Equal weights have no order then, and what is stored must be the same.
        return [w for w in words if w.upper() != b'ALPHA']
    if name == b'XADD':
        # An ID of the clock would be another one on either server.
        return [w if w != b'*' else b'7-*' for w in words]
    return words


# ---------------------------------------------------------------- deadlines

APART_S = 100                # between any two relative deadlines of a sequence
MAGNITUDE_APART = 1000       # deadlines of one magnitude; more than a sequence has
POSITIVE = re.compile(rb'[1-9]\d{0,18}$')


def relative_deadline(words, i):
    """Is word i a time to live? -> milliseconds per unit, or None."""
    name, before = words[0].upper(), words[i - 1].upper()
    if name in (b'EXPIRE', b'HEXPIRE', b'SETEX'):
        return 1000 if i == 2 else None
    if name in (b'PEXPIRE', b'HPEXPIRE', b'PSETEX', b'RESTORE'):
        return 1 if i == 2 else None
    if name in (b'SET', b'GETEX', b'HGETEX', b'HSETEX') and i > 1:
        return {b'EX': 1000, b'PX': 1}.get(before)
    return None


def space_deadlines(steps):
    """The same sequence with its relative deadlines moved away from now and from each other. The two servers run a
    command some milliseconds (on a bad day, a second) apart; EXPIRE k 100 twice, the second with GT, would be a matter
    of luck. Equal deadlines come as absolute ones. Zero, negative and overflowing ones stay what they are."""
    number = 0
    out = []
    for conn, words in steps:
        words = list(words)
        for i in range(1, len(words)):
            unit_ms = relative_deadline(words, i)
            if not unit_ms or not POSITIVE.match(words[i]):
                continue
            ttl_ms = int(words[i]) * unit_ms
            if ttl_ms > 10 ** 18:
                continue
            number += 1
            if ttl_ms < 10 ** 10:
                # Its magnitude decides about the order, with some noise.
                ttl_ms = (len(words[i]) * MAGNITUDE_APART + number) * APART_S * 1000 + ttl_ms % 1000
            else:
                ttl_ms += number * APART_S * 1000
            words[i] = b'%d' % (ttl_ms // unit_ms)
        out.append((conn, words))
    return out
