"""A small, fast RESP client for tests: raw sockets, whole pipelines, and typed reply trees.

Unlike a client library it hides nothing: every reply is a pair (type, payload) whose type is the byte on the wire,
so that RESP2 and RESP3 answers, null bulks and null arrays, doubles and bulks, stay distinguishable.

    +  simple string  bytes          *  array  tuple of replies, or None (null array)
    -  error          bytes          %  map    flat tuple k, v, k, v ...
    :  integer        int            ~  set    tuple          >  push  tuple      |  attribute  (flat tuple, reply)
    $  bulk           bytes or None  _  null   None           #  bool  bool       ,  double     bytes as sent
    (  big number     bytes          !  bulk error  bytes     =  verbatim  bytes (with its "txt:" prefix)

Replies are hashable, so multisets of them can be compared.
"""
import socket

CRLF = b'\r\n'


class ProtocolError(Exception):
    """The server sent bytes that are no RESP."""


class ConnectionClosed(Exception):
    """The server closed the connection (or reset it) before the whole reply had come."""


def encode(args):
    """One command as a multibulk; arguments may be bytes, str or int."""
    out = [b'*%d\r\n' % len(args)]
    for arg in args:
        if not isinstance(arg, bytes):
            arg = str(arg).encode()
        out.append(b'$%d\r\n' % len(arg))
        out.append(arg)
        out.append(CRLF)
    return b''.join(out)


def split(line):
    """'SET a b' -> [b'SET', b'a', b'b']; lists pass through."""
    if isinstance(line, str):
        line = line.split()
    return [a if isinstance(a, bytes) else str(a).encode() for a in line]


class Conn:
    """One connection. Not thread-safe; one per thread."""

    def __init__(self, port, host='127.0.0.1', timeout=30.0, unix=None):
        if unix:
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.settimeout(timeout)
            self.sock.connect(unix)
        else:
            self.sock = socket.create_connection((host, port), timeout)
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buf = b''
        self.pos = 0

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    # -- sending

    def send_raw(self, data):
        try:
            self.sock.sendall(data)
        except (ConnectionResetError, BrokenPipeError) as e:
            raise ConnectionClosed(str(e)) from e

    def send(self, commands):
        self.send_raw(b''.join(map(encode, commands)))

    # -- receiving

    def _fill(self):
        try:
            data = self.sock.recv(1 << 18)
        except ConnectionResetError as e:
            raise ConnectionClosed(str(e)) from e
        if not data:
            raise ConnectionClosed('end of stream')
        if self.pos:
            self.buf = self.buf[self.pos:] + data
            self.pos = 0
        else:
            self.buf += data

    def _line(self):
        while True:
            end = self.buf.find(CRLF, self.pos)
            if end >= 0:
                line = self.buf[self.pos:end]
                self.pos = end + 2
                return line
            self._fill()

    def _exactly(self, n):
        """n bytes and the CRLF after them."""
        if len(self.buf) - self.pos < n + 2:
            parts = [self.buf[self.pos:]]
            have = len(parts[0])
            while have < n + 2:
                try:
                    data = self.sock.recv(1 << 18)
                except ConnectionResetError as e:
                    raise ConnectionClosed(str(e)) from e
                if not data:
                    raise ConnectionClosed('end of stream inside a bulk')
                parts.append(data)
                have += len(data)
            self.buf = b''.join(parts)
            self.pos = 0
        data = self.buf[self.pos:self.pos + n]
        if self.buf[self.pos + n:self.pos + n + 2] != CRLF:
            raise ProtocolError('bulk of %d bytes does not end with CRLF' % n)
        self.pos += n + 2
        return data

    def read(self):
        """The next reply, whole."""
        line = self._line()
        kind = line[:1].decode('latin-1')
        rest = line[1:]
        if kind in '+-,(' and kind:
            return (kind, rest)
        if kind == ':':
            return (kind, int(rest))
        if kind in '$!=':
            n = int(rest)
            return (kind, None if n < 0 else self._exactly(n))
        if kind in '*~>':
            n = int(rest)
            return (kind, None if n < 0 else tuple([self.read() for _ in range(n)]))
        if kind == '%':
            return (kind, tuple([self.read() for _ in range(2 * int(rest))]))
        if kind == '_':
            return (kind, None)
        if kind == '#':
            if rest not in (b't', b'f'):
                raise ProtocolError('boolean %r' % rest)
            return (kind, rest == b't')
        if kind == '|':
            attributes = tuple([self.read() for _ in range(2 * int(rest))])
            return (kind, (attributes, self.read()))
        raise ProtocolError('reply starts with %r' % line[:40])

    def pipeline(self, commands):
        """Sends all, then reads all; for pipelines whose replies fit the server's output buffer limits."""
        self.send(commands)
        return [self.read() for _ in commands]

    def call(self, *args):
        """One command given by its arguments (or one string to be split); its reply as a pair."""
        if len(args) == 1 and isinstance(args[0], str):
            args = split(args[0])
        self.send_raw(encode(args))
        return self.read()

    def __call__(self, *args):
        """Like call(), but the plain value; an error reply is raised."""
        return plain(self.call(*args))

    def at_end(self, timeout=5.0):
        """True if the server closes the connection within the time and nothing more comes before that."""
        if self.pos < len(self.buf):
            return False
        self.sock.settimeout(timeout)
        try:
            data = self.sock.recv(1)
        except ConnectionResetError:
            return True
        except socket.timeout:
            return False
        return data == b''


class ReplyError(Exception):
    """An error reply, met by plain()."""


def plain(reply):
    """The payload without wire types: bytes, int, None, bool, float, list, dict (maps)."""
    kind, value = reply
    if kind in '-!':
        raise ReplyError(value.decode('latin-1'))
    if kind in '*~>':
        return None if value is None else [plain(v) for v in value]
    if kind == '%':
        return {plain(value[i]): plain(value[i + 1]) for i in range(0, len(value), 2)}
    if kind == ',':
        return float(value)
    if kind == '=':
        return value[4:]
    if kind == '|':
        return plain(value[1])
    return value


def show(reply, limit=300):
    """A reply for people: short, one line."""
    kind, value = reply
    if kind in '*~>%':
        text = kind + ('(nil)' if value is None else '[' + ', '.join(show(v, 80) for v in value[:40]) +
                       (', ... %d in all' % len(value) if len(value) > 40 else '') + ']')
    elif kind == '|':
        text = '|%s %s' % (show(('%', value[0])), show(value[1]))
    else:
        text = kind + (value.decode('latin-1') if kind in '+-' else repr(value))
    return text if len(text) <= limit else text[:limit] + '... (%d characters)' % len(text)
