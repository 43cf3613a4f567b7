#!/usr/bin/python3
"""Tests of the trace's writer (sim/trace.h) and of the page that plays it, in headless Chromium.

    test/sim/trace_page_test.py [--files-only] [name ...]

Compiles trace_fixture.c, which writes made-up runs; checks their lines; installs what node/package-lock.json names into
build/trace-page, and runs node/page_test.js there. Where build/weft-sim is to be had, a page of its own is opened, too.
Screenshots stay in build/trace-page/.
"""
import filecmp
import json
import os
import re
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
OUT = os.path.join(ROOT, 'build', 'trace-page')
FIXTURE = os.path.join(OUT, 'trace_fixture')
SOURCES = ['test/sim/trace_fixture.c', 'sim/trace.c', 'sim/trace_store.c', 'sim/trace_text.c', 'sim/trace_html.c',
           'src/base/number.c', 'src/base/check.c']
PAGE_TOOL = os.path.join(ROOT, 'tools', 'trace_page.py')

# What trace_fixture.c's hard_to_show() names its keys.
HARD = [b'</script><script>window.broken=1</script>', b'<!--<img src=x onerror=window.broken=1>',
        b'"quotes\' and `ticks`"',
        b'back\\slash\\n', b'line\nbreak\ttab', b'', b'\xff\xfe\x00\x01 not UTF-8', 'grüße 世界 🧵'.encode(),
        '\u202eright to left\u202c'.encode(), b'\xc0\xaf overlong \xed\xa0\x80', b'& &amp; ]]>', b'nul\0in the middle',
        b'@TRACE-LINES@', b'__proto__']
REPLIES = ['(error) ERR </script> no', '(nil)', '(nil)', '[]', 'true', '1.5', '(nil)', '{"a": 1}', '{1, 2}',
           'push [invalidate, ["a"]]', 'attributes {ttl: 9} OK', 'txt:abc', '(error) WRONG',
           '(not RESP) $9\\r\\nshort\\r\\n',
           '(not RESP) what?', '', '(not RESP) *9999999\\r\\n:1\\r\\n']

results = []


def check(name, holds, detail=''):
    results.append(bool(holds))
    if not holds:
        print('FAILED: %s%s' % (name, ': ' + str(detail)[:600] if detail != '' else ''), flush=True)


def build():
    os.makedirs(os.path.join(ROOT, 'build', 'gen'), exist_ok=True)
    template = subprocess.run([PAGE_TOOL, '--template'], check=True, stdout=subprocess.PIPE).stdout
    with open(os.path.join(OUT, 'template.html'), 'wb') as file:
        file.write(template)
    # The program has the page inside; here it is this one, whatever a build has left in build/gen.
    private = os.path.join(OUT, 'sources')
    os.makedirs(os.path.join(private, 'build', 'gen'), exist_ok=True)
    shutil.copy(os.path.join(OUT, 'template.html'), os.path.join(private, 'build', 'gen', 'trace_page.html'))
    words = ['cc', '-std=gnu17', '-O1', '-g', '-D_GNU_SOURCE', '-DWEFT_DEBUG=1', '-Wall', '-Wextra', '-Werror',
             '-Wshadow',
             '-Wno-unused-parameter', '-fsanitize=address,undefined', '-fno-sanitize-recover=all', '-I' + ROOT,
             '-I' + os.path.join(ROOT, 'src')] + [os.path.join(ROOT, s) for s in SOURCES] + ['-o', FIXTURE, '-lm']
    subprocess.run(words, check=True, cwd=private)


def fixture(name, *words, check_status=True):
    path = os.path.join(OUT, name)
    done = subprocess.run([FIXTURE, path] + [str(w) for w in words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if check_status:
        check('fixture %s ends with 0' % name, done.returncode == 0, done.stdout.decode('utf-8', 'replace')[-500:])
    return path


def read(path):
    """The lines of a trace as objects; each is checked to be a JSON object with a kind."""
    with open(path, 'rb') as file:
        data = file.read()
    rows, wrong = [], []
    for line in data.split(b'\n')[:-1]:
        try:
            row = json.loads(line.decode('utf-8'))
            if not isinstance(row.get('k'), str) or b'<' in line or re.search(rb'[\x00-\x1f\x7f]', line):
                raise ValueError('a character that must not be there')
            rows.append(row)
        except (ValueError, UnicodeDecodeError) as e:
            wrong.append((str(e), line[:200]))
    check('%s: every line is one JSON object, free of "<" and control characters' % os.path.basename(path), not wrong,
          wrong[:3])
    check('%s ends with a line feed' % os.path.basename(path), data.endswith(b'}\n'))
    return rows


def unshown(text):
    """The bytes that a text in display form stands for."""
    plain = {'n': b'\n', 'r': b'\r', 't': b'\t', 'a': b'\a', 'b': b'\b', '\\': b'\\', '"': b'"'}
    out, i = b'', 0
    while i < len(text):
        if text[i] != '\\':
            out += text[i].encode()
            i += 1
        elif text[i + 1] == 'x':
            out += bytes([int(text[i + 2:i + 4], 16)])
            i += 4
        else:
            out += plain[text[i + 1]]
            i += 2
    return out


def kinds(rows):
    count = {}
    for row in rows:
        count[row['k']] = count.get(row['k'], 0) + 1
    return count


def test_plain():
    rows = read(fixture('failed.ndjson'))
    count = kinds(rows)
    check('the world comes first', rows[0]['k'] == 'world' and rows[0]['seed'] == '4242' and rows[0]['nodes'] == 3,
          rows[0])
    check('the end comes last', rows[-1]['k'] == 'end' and rows[-1]['failed'] is True
          and rows[-1]['hash'] == '9f86d081884c7d65', rows[-1])
    check('nothing was dropped', 'lost' not in count)
    for kind in ('plan', 'node', 'turn', 'msg', 'pkt', 'con', 'dis', 'cmd', 'rep', 'app', 'key', 'flt', 'fle', 'ver',
                 'mrk', 'clk', 'rsh', 'log', 'note', 'hist'):
        check('there are events of kind ' + kind, count.get(kind, 0) > 0)
    check('each applied command has its key', count['app'] == count['key'], count)
    check('each command is told apart', len({r['o'] for r in rows if r['k'] == 'cmd'}) == count['cmd'])
    hist = next(r for r in rows if r['k'] == 'hist')
    check('the histogram counts every command', sum(hist['cmd']) == count['cmd'], (sum(hist['cmd']), count['cmd']))
    check('the histogram counts every message', sum(hist['msg']) == count['msg'] + count['pkt'])
    check('the histogram reaches the end',
          (len(hist['cmd']) - 1) * hist['w'] <= rows[-1]['t'] <= (len(hist['cmd']) + 1) * hist['w'], hist['w'])
    split = [r for r in rows if r['k'] == 'flt' and r['f'] == 'net.split']
    check('faults known by a counter are told when it grows', [r.get('x') for r in split] == [None, '7 times'], split)
    messages = [r for r in rows if r['k'] == 'msg']
    check('messages are taken after they are sent', all('u' not in m or m['u'] >= m['t'] for m in messages))
    failed = [r for r in rows if r['k'] == 'ver' and not r['ok']]
    check('the verdict names the operation',
          len(failed) == 1 and failed[0]['o'] == 1502 and failed[0]['key'] == 'user:0' and '\n' in failed[0]['x'],
          failed)
    again = fixture('again.ndjson')
    check('the same run gives the same file', filecmp.cmp(os.path.join(OUT, 'failed.ndjson'), again, False))


def test_binary():
    rows = read(fixture('binary.ndjson', '--mode', 'binary'))
    keys = [r for r in rows if r['k'] == 'key'][:len(HARD) + 1]
    for name, row in zip(HARD, keys):
        check('%r can be read back from what is shown' % name,
              unshown(row['key']) == name and unshown(row['v']) == name, row)
    check('a long name is cut and says so',
          keys[-1]['key'].startswith('a name of a hundred') and re.search(r'…\(\+\d+ B\)$', keys[-1]['key']),
          keys[-1]['key'])
    replies = [r for r in rows if r['k'] == 'rep' and r['l'] == 5]
    for want, row in zip(REPLIES, replies):
        check('reply shown as %s' % want, row['r'] == want, row['r'])
    check('all replies are there', len(replies) == len(REPLIES), len(replies))
    check('errors are marked', [i for i, r in enumerate(replies) if r.get('e')] == [0, 12],
          [r.get('e') for r in replies])
    many = next(r for r in rows if r['k'] == 'cmd' and r['a'].startswith('<word>'))
    check('300 arguments are cut', re.search(r'…\(\+\d+ arguments\)$', many['a']) and len(many['a']) < 700,
          many['a'][-40:])
    hard = [r for r in rows if r['k'] == 'cmd'][4]
    check('arguments are quoted as redis-cli wants them',
          hard['a'] == 'SET "line\\nbreak\\ttab" "line\\nbreak\\ttab"', hard['a'])


def test_bounds():
    limit = 200000
    rows = read(fixture('flood.ndjson', '--mode', 'flood', '--ops', 4000, '--limit', limit))
    whole = kinds(read(fixture('whole.ndjson', '--mode', 'flood', '--ops', 4000)))
    count, lost = kinds(rows), {r['w']: r['z'] for r in rows if r['k'] == 'lost'}
    size = os.path.getsize(os.path.join(OUT, 'flood.ndjson'))
    check('a trace keeps to its limit', limit * 0.5 < size < limit + 20000, size)
    check('what was dropped is counted by kind',
          all(count.get(k, 0) + lost.get(k, 0) == n for k, n in whole.items() if k not in ('lost', 'hist')),
          (count, lost, whole))
    check('a chatty fault does not push out the others',
          {'node', 'clk', 'rsh'} <= set(count) and count['node'] == whole['node'], count)
    check('the newest commands are kept', max(r['o'] for r in rows if r['k'] == 'cmd') == 4000)
    begin = rows[-1]['from']
    check('the end says from when on all details are there',
          0 < begin < rows[-1]['t'] and min(r['t'] for r in rows if r['k'] == 'cmd') >= begin - 20000, begin)
    hist = next(r for r in rows if r['k'] == 'hist')
    check('the histogram knows the dropped ones', sum(hist['cmd']) == 4000, sum(hist['cmd']))

    rows = read(fixture('window.ndjson', '--from', 100000, '--until', 200000))
    dense = [r for r in rows if r['k'] in ('cmd', 'rep', 'app', 'key', 'turn', 'msg', 'con', 'dis')]
    check('a window confines the dense events', dense and all(100000 <= r['t'] < 200000 for r in dense))
    check('but not the rare ones', kinds(rows)['node'] == 5 and rows[-1]['from'] == 100000
          and rows[-1]['until'] == 200000 and rows[-1]['outside'] > 1000, rows[-1])

    rows = read(fixture('rescue.ndjson', '--mode', 'rescue'))
    check('a rescued trace ends, too', rows[-1]['k'] == 'end' and rows[-1]['cut'] is True
          and rows[-1]['failed'] is True, rows[-1])
    check('a message under way is shown as lost', [r for r in rows if r['k'] == 'msg'][-1].get('u') is None)

    done = subprocess.run([FIXTURE, os.path.join(OUT, 'no', 'such', 'folder')], stderr=subprocess.PIPE)
    check('a path that cannot be written is refused', done.returncode == 2 and b'No such file' in done.stderr,
          done.stderr)
    done = subprocess.run([FIXTURE, '-'], stdout=subprocess.PIPE)
    check('without a trace nothing happens', done.returncode == 0 and done.stdout == b'')
    done = subprocess.run([FIXTURE, '/dev/full'], stderr=subprocess.PIPE)
    check('a full disk is told', done.returncode == 2 and b'No space' in done.stderr, done.stderr)


def test_html():
    for mode in ('failed', 'binary'):
        page = fixture(mode + '.html', '--mode', mode)
        made = subprocess.run([PAGE_TOOL, os.path.join(OUT, mode + '.ndjson')], check=True,
                              stdout=subprocess.PIPE).stdout
        with open(page, 'rb') as file:
            check('%s: the program and the tool write the same page' % mode, file.read() == made)
        check('%s: two scripts, no more' % mode, made.lower().count(b'</script') == 2, made.lower().count(b'</script'))
    foreign = subprocess.run([PAGE_TOOL, '-'], input=b'{"k":"note","t":1,"x":"</script>"}\n', check=True,
                             stdout=subprocess.PIPE).stdout
    check('the tool makes foreign lines safe', foreign.lower().count(b'</script') == 2)
    for name, words in (('passed', ['--mode', 'passed']), ('big', ['--ops', 17000]), ('rescue', ['--mode', 'rescue']),
                        ('flood', ['--mode', 'flood', '--ops', 4000, '--limit', 200000])):
        fixture(name + '.html', *words)
    with open(os.path.join(OUT, 'failed.html'), 'rb') as file:
        page = file.read()
    end = page.index(b'</script>', page.index(b'id="trace"'))
    with open(os.path.join(OUT, 'cut.html'), 'wb') as file: # a line that was cut in the middle
        file.write(page[:end - 100] + b'\n' + page[end:])


def simulated():
    """What weft-sim writes of real runs, when it is built (WEFT_SIM: another one)."""
    program = os.environ.get('WEFT_SIM', os.path.join(ROOT, 'build', 'weft-sim'))
    page = os.path.join(OUT, 'weft-sim.html')
    if os.path.exists(page):
        os.unlink(page)
    if not os.access(program, os.X_OK):
        print('skipped: traces of weft-sim (build/weft-sim is not built)')
        return

    def run(*words):
        try:
            done = subprocess.run([program, '--seed', '9'] + list(words), stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, timeout=200)
        except subprocess.TimeoutExpired:
            return 'no end after 200 s'
        return (re.findall(rb'^hash: (\w+)', done.stdout, re.M) or [done.stdout[-300:]])[-1]

    lines = os.path.join(OUT, 'weft-sim.ndjson')
    plain, traced, drawn = run(), run('--trace', lines), run('--trace', page)
    check('a trace does not change the run', plain == traced == drawn, (plain, traced, drawn))
    rows = read(lines)
    count = kinds(rows)
    check('weft-sim tells commands, replies, what was applied, keys, messages, turns',
          all(count.get(k, 0) > 100 for k in ('cmd', 'rep', 'app', 'key', 'msg', 'turn')), count)
    check('a file of a minute is not above 20 MB', os.path.getsize(lines) < 20e6, os.path.getsize(lines))
    check('its hash is the one that was printed', rows[-1]['hash'].encode() == plain or rows[-1]['failed'],
          (rows[-1], plain))
    pending, gets, wrong, lanes = {}, 0, [], {}
    for row in rows:
        if row['k'] == 'app':
            pending[row['n'], row['s']] = row
        elif row['k'] == 'key' and 'w' not in row:
            app = pending.get((row['n'], row['s']))
            if (app and app['a'].split(' ')[0].upper() == 'GET' and app['r'].startswith('"')
                    and '\u2026' not in app['r'] + row['v']):
                gets += 1
                if unshown(app['r'][1:-1]) != unshown(row['v']):
                    wrong.append((app, row))
        elif row['k'] == 'msg' and 'u' in row:
            lanes.setdefault((row['n'], row['a'], row['b'], row['l']), []).append(row)
    check('what GET answered is the value that the trace shows', gets > 20 and not wrong, (gets, wrong[:2]))
    check('messages of a lane keep their order',
          lanes and all(a['t'] <= b['t'] and a['u'] <= b['u']
                        for lane in lanes.values() for a, b in zip(lane, lane[1:])))
    answers = {'batch done': 'batch', 'grant': 'lend', 'scatter done': 'scatter'}
    for answer, request in answers.items():
        sent = sum(1 for r in rows if r['k'] == 'msg' and r['w'] == request)
        back = sum(1 for r in rows if r['k'] == 'msg' and r['w'] == answer)
        check('about as many "%s" as "%s"' % (answer, request), abs(sent - back) <= 0.02 * sent + 20, (sent, back))


def install():
    lock = os.path.join(HERE, 'node', 'package-lock.json')
    done = os.path.join(OUT, 'installed-lock.json')
    if not (os.path.isdir(os.path.join(OUT, 'node_modules')) and os.path.exists(done)
            and filecmp.cmp(lock, done, False)):
        for name in ('package.json', 'package-lock.json'):
            shutil.copy(os.path.join(HERE, 'node', name), OUT)
        subprocess.run(['npm', 'ci', '--no-audit', '--no-fund', '--ignore-scripts'], cwd=OUT, check=True, timeout=300)
        shutil.copy(lock, done)
    shutil.copy(os.path.join(HERE, 'node', 'page_test.js'), OUT)


def main():
    words = sys.argv[1:]
    os.makedirs(OUT, exist_ok=True)
    build()
    test_plain()
    test_binary()
    test_bounds()
    test_html()
    simulated()
    passed, failed = results.count(True), results.count(False)
    print('files: %d checks held, %d did not' % (passed, failed), flush=True)
    if '--files-only' not in words:
        try:
            install()
            done = subprocess.run(['node', 'page_test.js'] + words, cwd=OUT, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, timeout=400)
            text = done.stdout.decode('utf-8', 'replace')
        except (OSError, subprocess.SubprocessError) as e:
            text = 'FAILED: no page test (tools/deps.sh test installs nodejs, npm, chromium): %s' % e
        print(text.strip(), flush=True)
        count = re.search(r'^(\d+) passed, (\d+) failed\s*\Z', text, re.M)
        passed += int(count.group(1)) if count else 0
        failed += int(count.group(2)) if count else 1
    print('%d passed, %d failed' % (passed, failed))
    return 1 if failed or not passed else 0


if __name__ == '__main__':
    sys.exit(main())
