#!/usr/bin/python3
"""Proves that the concurrency tests can fail: every one of them must find something on faulty_server.py."""
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import server as servers  # noqa: E402


def main():
    reference = servers.find_reference()
    if not reference:
        print('skipped: no real server to put the faults before\n0 passed, 0 failed')
        return 0
    env = dict(os.environ, WEFT_REFERENCE=reference)
    got = subprocess.run([sys.executable, os.path.join(HERE, 'concurrency_test.py'), '--server',
                          os.path.join(HERE, 'faulty_server.py')], env=env, stdout=subprocess.PIPE, timeout=280)
    text = got.stdout.decode('utf-8', 'replace')
    found = re.findall(r'^  FAILED (\w+)', text, re.M)
    blind = re.findall(r'^  ok (\w+)', text, re.M)
    for name in blind:
        print('FAILED: %s saw nothing wrong with a server that breaks its promise' % name)
    for name, lines in re.findall(r'^  FAILED (\w+)\n((?:      .*\n)*)', text, re.M):
        print('  %s found: %s' % (name, lines.strip().split('\n')[-1].strip()[:150]))
    print('%d passed, %d failed' % (len(found), len(blind) + (not found)))
    return 1 if blind or not found else 0


if __name__ == '__main__':
    sys.exit(main())
