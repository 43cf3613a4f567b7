#!/usr/bin/python3
"""weft-maelstrom under a network like Maelstrom's, its histories judged by our own checkers.

    test/maelstrom/run.py [--bin build/weft-maelstrom] [--seed N] [--seconds S] [name ...]
    test/maelstrom/run.py --selftest        nodes that break a promise must be caught (broken_node.py)

Every line is one check; the last one is "N passed, N failed". Needs build/history-check.
"""
import argparse
import collections
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import network
import workloads

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BROKEN = os.path.join(ROOT, 'test', 'maelstrom', 'broken_node.py')
# What must have happened at least so often, or the run has shown nothing.
ENOUGH = {
    'echo': {'ok': 500},
    'lin-kv': {'read ok': 200, 'write ok': 200, 'cas ok': 50, 'cas refused': 50, 'no such key': 5, 'unknown': 10},
    'txn-list-append': {'committed': 500, 'unknown': 10, 'values read': 1000},
}
FAULTS = {'lost': 5, 'repeated': 5, 'slow': 5, 'cut': 5, 'timeouts': 5}


class Tests:
    def __init__(self, options, directory):
        self.options, self.directory = options, directory
        self.passed = self.failed = 0

    def check(self, name, good, words=''):
        self.passed, self.failed = self.passed + bool(good), self.failed + (not good)
        print('%s %s%s' % ('ok  ' if good else 'FAIL', name, '' if good else ': ' + str(words)[:3000]), flush=True)

    def network(self, command, seed, faults):
        return network.Network(command, seed, faults, os.path.join(self.directory, 'node.log'))

    def log(self):
        with open(os.path.join(self.directory, 'node.log'), errors='replace') as f:
            return f.read()[-1000:]

    def run(self, command, workload, seed, seconds, faults):
        """(workload, network's counts, exit status) after a run."""
        net = self.network(command, seed, faults)
        w = workloads.WORKLOADS[workload](random.Random(seed))
        try:
            assert net.init()['type'] == 'init_ok'
            workloads.drive(net, w, seconds)
        finally:
            status = net.close()
        return w, net.counts, status

    def judge(self, w):
        verdict, words = workloads.check(w, self.options.checker)
        if verdict != 'valid':
            kept = os.path.join(self.options.keep, 'maelstrom-%s.jsonl' % w.name)
            os.makedirs(self.options.keep, exist_ok=True)
            with open(kept, 'w') as f:
                f.writelines(json.dumps(line) + '\n' for line in w.history)
            words += 'the history is in %s\n' % os.path.relpath(kept, ROOT)
        return verdict, words

    def workload(self, name, words):
        """One of ours: everything must hold."""
        title = '%s %s' % (name, ' '.join(words))
        try:
            w, counts, status = self.run([self.options.bin] + words, name, self.options.seed, self.options.seconds,
                                         network.Faults())
        except Exception as error:
            self.check(title, False, '%r\n%s' % (error, self.log()))
            return
        print('     %s; network: %s' % (dict(w.counts), dict(counts)))
        for what, least in list(ENOUGH[name].items()) + list(FAULTS.items()):
            have = w.counts[what] if what in ENOUGH[name] else counts[what]
            if have < least:
                self.check('%s: enough of "%s"' % (title, what), False, '%d of %d' % (have, least))
        self.check(title + ': answers have the right form', not w.wrong, w.wrong[:5])
        self.check(title + ': ends well', status == 0, 'status %s\n%s' % (status, self.log()))
        if w.checker:
            verdict, text = self.judge(w)
            self.check('%s: %s' % (title, {'linear': 'linearizable', 'elle': 'strictly serializable'}[w.checker]),
                       verdict == 'valid', text)

    # ---- the protocol ----

    def protocol(self, words):
        net = self.network([self.options.bin] + words, 1, network.Faults.none())
        ask = net.ask
        code = lambda body: (ask(body) or {}).get('code')
        try:
            self.check('before init: error 11', code({'type': 'read', 'key': 1}) == 11)
            self.check('init', net.init() == {'type': 'init_ok', 'in_reply_to': 1, 'msg_id': 1})
            self.check('unknown type: error 10', code({'type': 'broadcast', 'message': 1}) == 10)
            self.check('no key: error 12', code({'type': 'read'}) == 12)
            self.check('a cas without "to": error 12', code({'type': 'cas', 'key': 1, 'from': 1}) == 12)
            self.check('a strange operation: error 12', code({'type': 'txn', 'txn': [['w', 1, 2]]}) == 12)
            self.check('reading nothing: error 20', code({'type': 'read', 'key': 'k'}) == 20)
            self.check('cas on nothing: error 20', code({'type': 'cas', 'key': 'k', 'from': 1, 'to': 2}) == 20)
            ask({'type': 'write', 'key': 'k', 'value': {'b': [1, 'x'], 'a': None}})
            self.check('a structured value',
                       ask({'type': 'read', 'key': 'k'}).get('value') == {'a': None, 'b': [1, 'x']})
            self.check('cas does not care for the order of fields', ask(
                {'type': 'cas', 'key': 'k', 'from': {'a': None, 'b': [1, 'x']}, 'to': 7})['type'] == 'cas_ok')
            self.check('another value: error 22', code({'type': 'cas', 'key': 'k', 'from': '7', 'to': 8}) == 22)
            ask({'type': 'write', 'key': 1, 'value': 'one'})
            self.check('1 and "1" are two keys', code({'type': 'read', 'key': '1'}) == 20)
            self.check('an empty transaction', ask({'type': 'txn', 'txn': []}) .get('txn') == [])
            self.check('its own append',
                       ask({'type': 'txn', 'txn': [['r', 9, None], ['append', 9, 'v'], ['r', 9, None]]})
                       .get('txn') == [['r', 9, None], ['append', 9, 'v'], ['r', 9, ['v']]])
            for line in (b'nonsense', b'{}', b'[1]', b'', b'{"src":"c1","dest":"n1","body":7}', b'"x"', b'\xff\xfe{'):
                net.write_line(line)
            net.write_line(b'{"src": "c1", "x": "' + b'y' * (2 << 20) + b'"}')
            self.check('nonsense is ignored', ask({'type': 'read', 'key': 'k'}).get('value') == 7)
            big = 'z' * 500000
            ask({'type': 'write', 'key': 'big', 'value': big})
            self.check('a large value', ask({'type': 'read', 'key': 'big'}).get('value') == big)
            self.repeated(net)
            self.many_sources(net)
        except Exception as error:
            self.check('protocol', False, '%r\n%s' % (error, self.log()))
        self.check('the end of the input ends the node', net.close() == 0, self.log())

    def repeated(self, net):
        """The same message twice is one request."""
        message = {'src': 'c77', 'dest': 'n1', 'body': {'type': 'txn', 'msg_id': 5, 'txn': [['append', 'twice', 1]]}}
        net.to_node(message)
        net.to_node(message)
        net.run(0.2)
        self.check('a repeated message is executed once',
                   net.ask({'type': 'txn', 'txn': [['r', 'twice', None]]})['txn'] == [['r', 'twice', [1]]])

    def many_sources(self, net):
        """More sources than the bridge keeps connections for: one after the other all are served, at once none is
        forgotten."""
        def ask_all(count):
            answers = []
            clients = [net.client(i) for i in range(count)]
            for client in clients:
                net.request(client, {'type': 'echo', 'echo': client.name}, 20, lambda body, name=client.name:
                            answers.append(body and (body.get('code') or body.get('echo') == name)))
            net.run(20, lambda: len(answers) == len(clients))
            for client in clients:
                net.drop(client)
            return answers
        served = sum((ask_all(500) for _ in range(6)), [])
        self.check('3000 sources one after the other', served.count(True) == 3000, '%d served' % served.count(True))
        answers = ask_all(3000)
        self.check('3000 sources at once: served, or error 11', answers.count(True) >= 1024 and
                   answers.count(True) + answers.count(11) == 3000, collections.Counter(answers))

    def several_nodes(self):
        net = self.network([self.options.bin], 1, network.Faults.none())
        try:
            self.check('several nodes are refused: error 10', net.init(['n1', 'n2', 'n3']).get('code') == 10)
        except Exception as error:
            self.check('several nodes are refused', False, repr(error))
        net.close()

    def stops_at_a_signal(self):
        net = self.network([self.options.bin], 1, network.Faults.none())
        net.init()
        net.node.terminate()
        try:
            self.check('SIGTERM ends it', net.node.wait(10) == 0)
        except subprocess.TimeoutExpired:
            self.check('SIGTERM ends it', False, 'still there')
        net.close()

    # ---- the harness itself ----

    def broken(self, workload, defect):
        """It passes a correct node and catches a broken one, within some seeds."""
        title = '%s, %s node' % (workload, defect)
        for seed in range(self.options.seed, self.options.seed + 4):
            w, _, _ = self.run([sys.executable, BROKEN, defect, str(seed)], workload, seed, 1.5, network.Faults())
            verdict, words = workloads.check(w, self.options.checker)
            if w.wrong or verdict != 'valid':
                break
        if defect == 'correct':
            self.check(title + ' passes', verdict == 'valid' and not w.wrong, words)
        else:
            self.check(title + ' is caught', verdict == 'violation', '%s\n%s' % (verdict, words))
            print('     ' + words.strip().split('\n')[1][:150] if verdict == 'violation' else '')

    def selftest(self):
        for defect in ('correct', 'stale', 'lost', 'blind', 'repeated', 'late'):
            self.broken('lin-kv', defect)
        for defect in ('correct', 'torn', 'forgetful', 'dirty', 'snapshot', 'repeated'):
            self.broken('txn-list-append', defect)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--bin', default=os.path.join(ROOT, 'build', 'weft-maelstrom'))
    parser.add_argument('--checker', default=os.path.join(ROOT, 'build', 'history-check'))
    parser.add_argument('--keep', default=os.path.join(ROOT, 'build', 'test-logs'), help='where bad histories go')
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--seconds', type=float, default=4)
    parser.add_argument('--selftest', action='store_true')
    parser.add_argument('names', nargs='*', help='workloads; "protocol"')
    options = parser.parse_args()
    directory = tempfile.mkdtemp(prefix='weft-maelstrom-')
    tests = Tests(options, directory)
    try:
        if options.selftest:
            tests.selftest()
        else:
            wanted = options.names or ['protocol', 'echo', 'lin-kv', 'txn-list-append']
            if 'protocol' in wanted:
                tests.protocol(['--shards', '3'])
                tests.several_nodes()
                tests.stops_at_a_signal()
            for name in workloads.WORKLOADS:
                for words in (['--shards', '1'], ['--shards', '4', '--io', 'epoll']):
                    if name in wanted and (name != 'echo' or words[1] == '4'):
                        tests.workload(name, words)
    finally:
        shutil.rmtree(directory)
    print('%d passed, %d failed' % (tests.passed, tests.failed))
    return tests.failed > 0


if __name__ == '__main__':
    sys.exit(main())
