#!/usr/bin/python3
"""A server that breaks its promises: for selftest.py, to prove that the checkers of concurrency_test.py can fail.

It stands before a real server (WEFT_REFERENCE) and forwards every command, but not faithfully:

    MSET, MSETNX, DEL of many     one key after the other, with pauses      (torn writes)
    MULTI ... EXEC                the commands one by one, WATCH forgotten  (no isolation, lost updates)
    SMOVE, LMOVE, RPOPLPUSH       removed here, added there a little later  (lost members)
    RENAME, RENAMENX, COPY        in steps, with pauses                     (two names or none, torn copies)
    writes in a pipeline          in a wrong order, reads before writes     (reordered sessions)
    FLUSHALL, SWAPDB              key by key                                (torn)

It speaks just enough for those tests: RESP2, pipelines.
"""
import os
import random
import signal
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import server as servers  # noqa: E402
from resp import Conn, ConnectionClosed, encode  # noqa: E402


def pause():
    time.sleep(random.random() * 0.002)


def encode_reply(reply):
    kind, value = reply
    if kind in '+-':
        return kind.encode() + value + b'\r\n'
    if kind == ':':
        return b':%d\r\n' % value
    if value is None:
        return b'%s-1\r\n' % kind.encode()
    if kind == '*':
        return b'*%d\r\n' % len(value) + b''.join(map(encode_reply, value))
    return b'$%d\r\n' % len(value) + value + b'\r\n'


class Session:
    def __init__(self, sock, port):
        self.client = Conn.__new__(Conn)
        self.client.sock, self.client.buf, self.client.pos = sock, b'', 0
        self.up = Conn(port)
        self.queued = None

    def serve(self):
        try:
            while True:
                batch = [self.client.read()]
                while self.client.pos < len(self.client.buf):
                    batch.append(self.client.read())
                self.run([[w[1] for w in request[1]] for request in batch])
        except (ConnectionClosed, OSError):
            pass
        finally:
            self.client.close()
            self.up.close()

    def run(self, commands):
        replies = [None] * len(commands)
        transaction = self.queued is not None or any(c[0].upper() == b'MULTI' for c in commands)
        order = list(range(len(commands)))
        if len(commands) > 1 and not transaction:
            # Reads overtake writes, writes come last first.
            reads = (b'GET', b'EXISTS', b'HMGET')
            order = [i for i in order if commands[i][0].upper() in reads] + \
                    [i for i in reversed(order) if commands[i][0].upper() not in reads]
        for i in order:
            replies[i] = self.command(commands[i])
        self.client.send_raw(b''.join(map(encode_reply, replies)))

    def command(self, words):
        name = words[0].upper()
        if name == b'MULTI':
            self.queued = []
            return ('+', b'OK')
        if name == b'EXEC':
            queued, self.queued = self.queued, None
            replies = []
            for one in queued:
                replies.append(self.command(one))
                pause()
            return ('*', tuple(replies))
        if self.queued is not None:
            self.queued.append(words)
            return ('+', b'QUEUED')
        method = getattr(self, 'do_' + name.decode('latin-1').lower(), None)
        return method(words) if method else self.up.call(*words)

    def do_watch(self, words):
        return ('+', b'OK')

    def do_mset(self, words):
        for i in range(1, len(words), 2):
            self.up.call(b'SET', words[i], words[i + 1])
            if random.random() < 0.2:
                pause()
        return ('+', b'OK')

    def do_msetnx(self, words):
        if self.up.call(b'EXISTS', *words[1::2]) != (':', 0):
            return (':', 0)
        self.do_mset(words)
        return (':', 1)

    def do_del(self, words):
        n = 0
        for key in words[1:]:
            n += self.up.call(b'DEL', key)[1]
            pause()
        return (':', n)

    def do_flushall(self, words):
        for key in self.up.call(b'KEYS', b'*')[1]:
            self.up.call(b'DEL', key[1])
            pause()
        return ('+', b'OK')

    do_flushdb = do_swapdb = do_flushall

    def do_smove(self, words):
        if self.up.call(b'SREM', words[1], words[3]) == (':', 0):
            return (':', 0)
        pause()
        self.up.call(b'SADD', words[2], words[3])
        return (':', 1)

    def do_lmove(self, words):
        got = self.up.call(b'LPOP', words[1])
        if got[1] is not None:
            pause()
            self.up.call(b'RPUSH', words[2], got[1])
        return got

    do_rpoplpush = do_lmove

    def do_rename(self, words):
        payload = self.up.call(b'DUMP', words[1])
        if payload[1] is None:
            return ('-', b'ERR no such key')
        self.up.call(b'RESTORE', words[2], b'0', payload[1], b'REPLACE')
        pause()
        self.up.call(b'DEL', words[1])
        return ('+', b'OK') if words[0].upper() == b'RENAME' else (':', 1)

    do_renamenx = do_rename

    def do_copy(self, words):
        fields = self.up.call(b'HKEYS', words[1])[1]
        for field in fields:
            value = self.up.call(b'HGET', words[1], field[1])
            pause()
            self.up.call(b'HSET', words[2], field[1], value[1])
        return (':', 1)

    def do_hset(self, words):
        for i in range(2, len(words), 2):
            reply = self.up.call(words[0], words[1], words[i], words[i + 1])
        return reply

    def do_sunionstore(self, words):
        return self.up.call(*words)


def main():
    if '--version' in sys.argv:
        print('a faulty server')
        return
    port = int(sys.argv[sys.argv.index('--port') + 1])
    real = servers.Server(os.environ['WEFT_REFERENCE'])
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(('127.0.0.1', port))
    listener.listen(100)

    def end(number, frame):
        real.kill()
        os._exit(0)
    signal.signal(signal.SIGTERM, end)
    print('Ready to accept connections', flush=True)
    while True:
        sock, _ = listener.accept()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=Session(sock, real.port).serve, daemon=True).start()


if __name__ == '__main__':
    main()
