"""The network of a Maelstrom test, as far as one node needs it: a child process that speaks JSON lines, clients, and a
network between them that delays, reorders, loses and repeats messages and cuts clients off.

Everything runs in one thread on real time; chance comes from one seeded generator. A client has one request under way.
If no answer has come within the timeout its outcome is unknown, and the client is replaced by one with a new name, as
Jepsen does; answers to the old one are thrown away.
"""
import collections
import heapq
import json
import os
import random
import selectors
import subprocess
import time

# Maelstrom's errors which say that nothing was done, and never will be.
DEFINITE = {1, 10, 11, 12, 14, 20, 21, 22, 30}
INIT_TIMEOUT_S = 20
LINE_MAX = 1 << 22


class NodeDied(Exception):
    pass


class Faults:
    """Chances of a message. latency_ms: the longest usual delay. Maelstrom itself repeats nothing; TCP below could."""

    def __init__(self, latency_ms=4.0, loss=0.01, repeat=0.02, tail=0.02, cuts=True):
        self.latency_ms, self.loss, self.repeat, self.tail, self.cuts = latency_ms, loss, repeat, tail, cuts

    @classmethod
    def none(cls):
        return cls(latency_ms=0.5, loss=0, repeat=0, tail=0, cuts=False)


class Client:
    def __init__(self, name, process):
        self.name, self.process = name, process
        self.next_msg_id = 0
        self.waiting = None  # (msg_id, what to call with the body of the answer, or None when none came)


class Network:
    def __init__(self, command, seed, faults, log_path):
        self.random = random.Random(seed)
        self.faults = faults
        self.counts = collections.Counter()
        self.timers, self.sequence = [], 0
        self.clients, self.client_count = {}, 0
        self.cut = set()
        self.log = open(log_path, 'ab')
        self.node = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log,
                                     bufsize=0)
        # Neither side may block: two full pipes would wait for each other for ever.
        for pipe in (self.node.stdin, self.node.stdout):
            os.set_blocking(pipe.fileno(), False)
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.node.stdout, selectors.EVENT_READ)
        self.unread, self.unwritten = b'', b''

    # ---- time ----

    def after(self, seconds, call):
        self.sequence += 1
        heapq.heappush(self.timers, (time.monotonic() + seconds, self.sequence, call))

    def turn(self, until):
        """Does what is due, and waits for more, not longer than `until`."""
        now = time.monotonic()
        wake = min(until, self.timers[0][0]) if self.timers else until
        while self.timers and self.timers[0][0] <= now:
            heapq.heappop(self.timers)[2]()
        # What was due may have been what the caller waits for: then this only looks.
        for key, _ in self.selector.select(max(0, wake - now)):
            if key.fileobj is self.node.stdout:
                self.read_node()
            else:
                self.write_node()

    def run(self, seconds, done=lambda: False):
        until = time.monotonic() + seconds
        while time.monotonic() < until and not done():
            self.turn(until)

    # ---- the node ----

    def read_node(self):
        data = self.node.stdout.read(1 << 16)
        if not data:
            raise NodeDied('the node has closed its output; status %s' % self.node.poll())
        lines = (self.unread + data).split(b'\n')
        self.unread = lines.pop()
        if len(self.unread) > LINE_MAX:
            raise NodeDied('the node writes a line without end')
        for line in lines:
            message = json.loads(line)  # what is no JSON is the node's fault
            for field, kind in (('src', str), ('dest', str), ('body', dict)):
                if not isinstance(message[field], kind):
                    raise NodeDied('the node wrote a malformed message: %r' % message)
            self.carry(message, self.to_client)

    def to_node(self, message):
        self.write_line(json.dumps(message).encode())

    def write_line(self, line):
        was_empty = not self.unwritten
        self.unwritten += line + b'\n'
        if was_empty:
            self.selector.register(self.node.stdin, selectors.EVENT_WRITE)
            self.write_node()

    def write_node(self):
        try:
            self.unwritten = self.unwritten[os.write(self.node.stdin.fileno(), self.unwritten):]
        except BlockingIOError:
            return
        except BrokenPipeError:
            raise NodeDied('the node reads no more; status %s' % self.node.poll())
        if not self.unwritten:
            self.selector.unregister(self.node.stdin)

    def to_client(self, message):
        client = self.clients.get(message['dest'])
        body = message['body']
        if client and client.waiting and client.waiting[0] == body.get('in_reply_to'):
            call = client.waiting[1]
            client.waiting = None
            call(body)
        else:
            self.counts['late'] += 1

    def carry(self, message, deliver):
        """Takes a message from one side to the other, or does not."""
        f = self.faults
        self.counts['messages'] += 1
        if message['src'] in self.cut or message['dest'] in self.cut:
            self.counts['cut'] += 1
            return
        if self.random.random() < f.loss:
            self.counts['lost'] += 1
            return
        copies = 1
        if self.random.random() < f.repeat:
            copies = 2
            self.counts['repeated'] += 1
        for _ in range(copies):
            delay = self.random.random() * f.latency_ms / 1000
            if self.random.random() < f.tail:
                delay *= 20
                self.counts['slow'] += 1
            self.after(delay, lambda: deliver(message))

    # ---- clients ----

    def client(self, process):
        self.client_count += 1
        client = Client('c%d' % self.client_count, process)
        self.clients[client.name] = client
        return client

    def drop(self, client):
        self.clients.pop(client.name, None)
        self.cut.discard(client.name)

    def request(self, client, body, timeout_s, call):
        """Sends it; `call` gets the answer's body, or None."""
        client.next_msg_id += 1
        msg_id = client.next_msg_id
        assert client.waiting is None
        client.waiting = (msg_id, call)
        self.carry({'src': client.name, 'dest': 'n1', 'body': dict(body, msg_id=msg_id)}, self.to_node)
        self.after(timeout_s, lambda: self.time_out(client, msg_id))

    def time_out(self, client, msg_id):
        if client.waiting and client.waiting[0] == msg_id:
            call = client.waiting[1]
            client.waiting = None
            self.counts['timeouts'] += 1
            call(None)

    def ask(self, body, timeout_s=INIT_TIMEOUT_S):
        """One request over a perfect network, waited for. None: no answer."""
        answers = []
        client, faults, self.faults = self.client(-1), self.faults, Faults.none()
        self.request(client, body, timeout_s, answers.append)
        self.run(timeout_s + 1, lambda: answers)
        self.drop(client)
        self.faults = faults
        return answers[0] if answers else None

    def init(self, node_ids=('n1',)):
        return self.ask({'type': 'init', 'node_id': 'n1', 'node_ids': list(node_ids)})

    # ---- cuts ----

    def begin_cuts(self, every_s=0.4, for_s=0.12):
        """Now and then half of the clients cannot reach the node, or hear nothing from it."""
        if not self.faults.cuts:
            return
        names = sorted(self.clients)
        self.cut = set(self.random.sample(names, len(names) // 2))
        self.counts['cuts'] += 1
        self.after(for_s, self.cut.clear)
        self.after(every_s * (0.5 + self.random.random()), self.begin_cuts)

    def heal(self):
        self.faults = Faults.none()
        self.cut.clear()

    def close(self):
        """Ends the input; returns the node's exit status (None: it had to be killed)."""
        if self.unwritten:
            self.selector.unregister(self.node.stdin)
        self.node.stdin.close()
        try:
            status = self.node.wait(10)
        except subprocess.TimeoutExpired:
            self.node.kill()
            self.node.wait()
            status = None
        self.selector.close()
        self.node.stdout.close()
        self.log.close()
        return status
