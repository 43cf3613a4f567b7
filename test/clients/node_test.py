#!/usr/bin/python3
"""ioredis and node-redis (RESP2 and RESP3): installs what node/package-lock.json names, then runs node/*_test.js.

The packages go into build/client-node (never into the source tree); an installation that is there is used as it is.
"""
import argparse
import filecmp
import os
import re
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '..', 'blackbox'))
import server as servers  # noqa: E402

RUNS = [('ioredis_test.js',), ('node_redis_test.js', '2'), ('node_redis_test.js', '3')]


def install(into):
    lock = os.path.join(HERE, 'node', 'package-lock.json')
    os.makedirs(into, exist_ok=True)
    done = os.path.join(into, 'installed-lock.json')
    if not (os.path.isdir(os.path.join(into, 'node_modules')) and os.path.exists(done)
            and filecmp.cmp(lock, done, False)):
        for name in ('package.json', 'package-lock.json'):
            shutil.copy(os.path.join(HERE, 'node', name), into)
        subprocess.run(['npm', 'ci', '--no-audit', '--no-fund', '--ignore-scripts'], cwd=into, check=True, timeout=300)
        shutil.copy(lock, done)
    for name in os.listdir(os.path.join(HERE, 'node')):
        if name.endswith('.js'):
            shutil.copy(os.path.join(HERE, 'node', name), into)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--server', default=servers.WEFT)
    parser.add_argument('--shards', type=int)
    options = parser.parse_args()
    into = os.path.join(servers.ROOT, 'build', 'client-node')
    try:
        install(into)
    except (OSError, subprocess.SubprocessError) as e:
        print('FAILED: npm could not install the clients (apt-get install nodejs npm): %s\n0 passed, 1 failed' % e)
        return 1
    passed = failed = 0
    with servers.Server(options.server, shards=options.shards) as s:
        for words in RUNS:
            try:
                got = subprocess.run(['node', words[0], str(s.port)] + list(words[1:]), cwd=into, timeout=300,
                                     stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
                text = got.stdout.decode('utf-8', 'replace')
            except subprocess.TimeoutExpired as e:
                text = (e.stdout or b'').decode('utf-8', 'replace') + '\nFAILED: no end after 300 s'
            print(text.strip(), flush=True)
            count = re.search(r'^(\d+) passed, (\d+) failed\s*\Z', text, re.M)
            if count:
                passed += int(count.group(1))
                failed += int(count.group(2))
            else:
                failed += 1
    print('%d passed, %d failed' % (passed, failed))
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
