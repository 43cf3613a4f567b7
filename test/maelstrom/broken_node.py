#!/usr/bin/python3
"""A node in Python that speaks Maelstrom and breaks one promise on purpose, so that the harness can be tested.

    broken_node.py DEFECT [SEED]       "correct" breaks none

Defects of lin-kv: stale (a read shows the value before the last one), lost (a write is acknowledged and forgotten),
blind (a cas succeeds although the value differs), repeated (a request that the network repeats is executed again),
late (a read is answered with what was there long before). Of txn-list-append: torn (a transaction is executed in two
halves, others in between), forgetful (an append is acknowledged and forgotten), dirty (error 30, and yet it was
done), snapshot (reads see the state of a while ago: serializable, but stale).
"""
import json
import random
import sys

CHANCE = 0.04


class Node:
    def __init__(self, defect, seed):
        self.defect, self.random = defect, random.Random(seed)
        self.values, self.before, self.lists = {}, {}, {}
        self.seen, self.half = set(), None
        self.old_values, self.old_lists, self.count = {}, {}, 0

    def now_and_then(self, defect):
        return self.defect == defect and self.random.random() < CHANCE

    def write(self, key, value):
        self.before[key] = self.values.get(key)
        self.values[key] = value

    def read(self, body):
        key = body['key']
        value = self.values.get(key)
        if self.now_and_then('stale') and self.before.get(key) is not None:
            value = self.before[key]
        if self.now_and_then('late') and key in self.old_values:
            value = self.old_values[key]
        if value is None:
            return {'type': 'error', 'code': 20, 'text': 'no such key'}
        return {'type': 'read_ok', 'value': value}

    def cas(self, body):
        key = body['key']
        if key not in self.values:
            return {'type': 'error', 'code': 20, 'text': 'no such key'}
        if self.values[key] != body['from'] and not self.now_and_then('blind'):
            return {'type': 'error', 'code': 22, 'text': 'another value'}
        self.write(key, body['to'])
        return {'type': 'cas_ok'}

    def execute(self, operations, lists):
        done = []
        for f, key, value in operations:
            if f == 'r':
                done.append([f, key, list(lists[key]) if key in lists else None])
            else:
                if not self.now_and_then('forgetful'):
                    self.lists.setdefault(key, []).append(value)
                done.append([f, key, value])
        return done

    def txn(self, body):
        operations = body['txn']
        if self.now_and_then('snapshot') and all(op[0] == 'r' for op in operations):
            return {'type': 'txn_ok', 'txn': self.execute(operations, self.old_lists)}
        done = self.execute(operations, self.lists)
        if self.now_and_then('dirty'):
            return {'type': 'error', 'code': 30, 'text': 'a conflict'}
        return {'type': 'txn_ok', 'txn': done}

    def answer(self, body):
        kind = body['type']
        if kind == 'write':
            if not self.now_and_then('lost'):
                self.write(body['key'], body['value'])
            return {'type': 'write_ok'}
        handlers = {'init': lambda b: {'type': 'init_ok'}, 'read': self.read, 'cas': self.cas, 'txn': self.txn,
                    'echo': lambda b: {'type': 'echo_ok', 'echo': b['echo']}}
        return handlers[kind](body)

    def send(self, message, body):
        body['in_reply_to'] = message['body']['msg_id']
        print(json.dumps({'src': 'n1', 'dest': message['src'], 'body': body}), flush=True)

    def finish_half(self):
        if self.half:
            message, done, rest = self.half
            self.half = None
            self.send(message, {'type': 'txn_ok', 'txn': done + self.execute(rest, self.lists)})

    def take(self, message):
        body = message['body']
        self.count += 1
        if self.count % 50 == 0:
            self.old_values = dict(self.values)
            self.old_lists = {key: list(values) for key, values in self.lists.items()}
        if (message['src'], body['msg_id']) in self.seen and self.defect != 'repeated':
            return
        self.seen.add((message['src'], body['msg_id']))
        if self.defect == 'torn' and body['type'] == 'txn' and len(body['txn']) > 1 and not self.half:
            self.half = (message, self.execute(body['txn'][:1], self.lists), body['txn'][1:])
            return
        self.send(message, self.answer(body))
        self.finish_half()


def main():
    node = Node(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 1)
    for line in sys.stdin:
        node.take(json.loads(line))
    node.finish_half()


if __name__ == '__main__':
    main()
