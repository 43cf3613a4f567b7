"""Workloads as Maelstrom has them, each with what its clients ask and the history for our checkers
(sim/history_main.c).

A workload is driven by `drive`: every process asks, waits for the answer or the timeout, and asks again. Times in
histories are nanoseconds: "invoked" before the request goes into the network, "returned" when the answer has come out.
"""
import collections
import json
import subprocess
import time

import network

OPS_PER_KEY = 100   # then a key is retired: histories of a key stay short enough to be decided
PROCESSES = 12


class Echo:
    name, checker = 'echo', None

    def __init__(self, rng):
        self.random, self.counts, self.wrong = rng, collections.Counter(), []

    def request(self, process):
        value = self.random.choice([1, -2.5, 'x"\\\u20ac', None, True, [1, [2, {}]], {'b': 1, 'a': [None, 'é']}, ''])
        return {'type': 'echo', 'echo': value}

    def done(self, request, answer, began, ended):
        if answer is None:
            self.counts['unknown'] += 1
        elif answer.get('type') == 'echo_ok' and answer.get('echo') == request['echo']:
            self.counts['ok'] += 1
        else:
            self.wrong.append((request, answer))

    def final_requests(self):
        return []


class LinKv:
    """Reads, writes and compare-and-sets of few values on some keys, as jepsen.tests.linearizable-register does."""
    name, checker = 'lin-kv', 'linear'

    def __init__(self, rng, keys=6):
        self.random, self.counts, self.wrong = rng, collections.Counter(), []
        self.history = []
        self.keys, self.used, self.next_key = list(range(keys)), collections.Counter(), keys

    def pick_key(self):
        i = self.random.randrange(len(self.keys))
        key = self.keys[i]
        self.used[key] += 1
        if self.used[key] == OPS_PER_KEY:
            self.keys[i] = self.next_key
            self.next_key += 1
        return key

    def request(self, process):
        kind = self.random.choice(['read', 'write', 'cas', 'cas'])
        request = {'type': kind, 'key': self.pick_key()}
        if kind == 'write':
            request['value'] = self.random.randrange(5)
        if kind == 'cas':
            request['from'], request['to'] = self.random.randrange(5), self.random.randrange(5)
        return request

    def done(self, request, answer, began, ended):
        kind, code = request['type'], (answer or {}).get('code')
        op = {'key': request['key'], 'invoked': began, 'returned': ended,
              'kind': {'read': 'GET', 'write': 'SET'}.get(kind, 'CAS')}
        if kind == 'write':
            op['value'] = str(request['value'])
        if kind == 'cas':
            op['expected'], op['value'] = str(request['from']), str(request['to'])
        if answer is None or (code is not None and code not in network.DEFINITE):
            op['returned'] = None
            self.counts['unknown'] += 1
        elif answer['type'] == kind + '_ok':
            op['reply'] = {'read': str(answer.get('value')), 'write': 'OK', 'cas': 1}[kind]
            self.counts[kind + ' ok'] += 1
        elif code == 20 and kind != 'write':
            op['reply'] = None
            self.counts['no such key'] += 1
        elif code == 22 and kind == 'cas':
            op['reply'] = 0
            self.counts['cas refused'] += 1
        elif code is not None:
            self.counts['failed %d' % code] += 1
            return
        else:
            self.wrong.append((request, answer))
            return
        self.history.append(op)

    def final_requests(self):
        return [{'type': 'read', 'key': key} for key in range(self.next_key)]


class TxnListAppend:
    """Transactions of appends and reads on some lists."""
    name, checker = 'txn-list-append', 'elle'

    def __init__(self, rng, keys=4):
        self.random, self.counts, self.wrong = rng, collections.Counter(), []
        self.history, self.next_value = [], 0
        self.keys, self.used, self.next_key = list(range(keys)), collections.Counter(), keys

    pick_key = LinKv.pick_key

    def request(self, process):
        txn = []
        for _ in range(self.random.randint(1, 4)):
            key = self.pick_key()
            if self.random.random() < 0.5:
                txn.append(['r', key, None])
            else:
                self.next_value += 1
                txn.append(['append', key, self.next_value])
        return {'type': 'txn', 'txn': txn}

    def done(self, request, answer, began, ended):
        entry = {'invoked': began, 'completed': ended, 'status': 'committed', 'actions': request['txn']}
        code = (answer or {}).get('code')
        if answer is None or (code is not None and code not in network.DEFINITE):
            entry['status'], entry['completed'] = 'unknown', None
        elif code is not None:
            entry['status'] = 'aborted'
        elif answer['type'] == 'txn_ok' and self.same_shape(request['txn'], answer['txn']):
            entry['actions'] = [[f, k, (v or []) if f == 'r' else v] for f, k, v in answer['txn']]
        else:
            self.wrong.append((request, answer))
            return
        self.counts[entry['status']] += 1
        self.counts['values read'] += sum(len(v) for f, _, v in entry['actions'] if f == 'r' and v)
        self.history.append(entry)

    @staticmethod
    def same_shape(asked, got):
        """null for a list that is not there; everything but what was read comes back unchanged."""
        return len(asked) == len(got) and all(
            a[:2] == g[:2] and (g[2] is None or (isinstance(g[2], list) and g[2]) if a[0] == 'r' else a == g)
            for a, g in zip(asked, got))

    def final_requests(self):
        return [{'type': 'txn', 'txn': [['r', key, None]]} for key in range(self.next_key)]


WORKLOADS = {w.name: w for w in (Echo, LinKv, TxnListAppend)}


def drive(net, workload, seconds, timeout_s=0.1):
    """Runs the workload under the network's faults, then reads everything once more over a healed network."""
    ends = time.monotonic() + seconds
    clients = {p: net.client(p) for p in range(PROCESSES)}
    busy = set()

    def ask(process):
        request, began = workload.request(process), time.monotonic_ns()
        busy.add(process)

        def answered(body):
            workload.done(request, body, began, time.monotonic_ns())
            busy.discard(process)
            if body is None:
                net.drop(clients[process])
                clients[process] = net.client(process)
            if time.monotonic() < ends:
                net.after(net.random.random() * 0.002, lambda: ask(process))

        net.request(clients[process], request, timeout_s, answered)

    for process in clients:
        ask(process)
    net.after(0.3, net.begin_cuts)
    net.run(seconds)
    net.heal()
    net.timers = [t for t in net.timers if t[2] != net.begin_cuts]
    net.run(5, lambda: not busy)
    for request in workload.final_requests():
        began = time.monotonic_ns()
        workload.done(request, net.ask(request), began, time.monotonic_ns())


def check(workload, checker):
    """(verdict, words): verdict is 'valid', 'violation', 'undecided' or 'broken'."""
    lines = '\n'.join(json.dumps(line) for line in workload.history) + '\n'
    child = subprocess.run([checker, workload.checker], input=lines, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                           universal_newlines=True)
    return {0: 'valid', 1: 'violation', 2: 'undecided'}.get(child.returncode, 'broken'), child.stdout
