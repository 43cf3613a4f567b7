#!/usr/bin/python3
"""The rules of the house, checked. `make tidy`; exit status 1 and one line per fault.

    include    a directory includes only from itself and those before it (LAYERS); outside src/io only headers of pure
               functions (PURE_HEADERS)
    symbol     no object outside src/io needs a symbol that reaches the system (`nm -u` of build/release against
               PURE_SYMBOLS): the sim can run all of it only then
    state      no object has writable data: no globals, no function statics, no thread-locals
    line       at most 110 columns (scripts: 120); no tab, no blank at the end, a newline at the end
    function   at most 100 lines
    file       at most 1,200 lines; a source file opens with a comment that says what it is; a header has its guard
    header     every header is included by somebody
    marker     TODO, FIXME and XXX name an issue: "TODO(#12): ..."
    format     clang-format finds nothing to do
    fresh      generated files are what their tables say

Exceptions with their reasons are in tools/tidy_allow.txt. With --no-build the checks that need objects are left out
(and it says so).
"""
import argparse
import collections
import glob
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ALLOW = 'tools/tidy_allow.txt'
OBJECTS = os.environ.get('WEFT_OBJECTS', 'build/release')

LAYERS = ('base io resp config stamp types crdt store command script session log archive shard cluster telemetry '
          'server maelstrom').split()
GENERATED = ('command_handlers.h',)
PURE_HEADERS = set('''
    assert.h ctype.h errno.h float.h inttypes.h limits.h math.h stdalign.h stdarg.h stdatomic.h stdbool.h stddef.h
    stdint.h stdio.h stdlib.h string.h strings.h
    emmintrin.h immintrin.h nmmintrin.h smmintrin.h tmmintrin.h arm_neon.h
    sanitizer/asan_interface.h xxhash.h jansson.h
'''.split())
PURE_SYMBOLS = set('''
    malloc calloc realloc free aligned_alloc
    memchr memcmp memcpy memmem memmove memrchr memset rawmemchr
    strcasecmp strcat strchr strchrnul strcmp strcpy strcspn strdup strlen strncasecmp strncat strncmp strncpy strndup
    strnlen strpbrk strrchr strspn strstr strtod strtol strtold strtoll strtoul strtoull strcasestr
    snprintf vsnprintf asprintf vasprintf sscanf
    qsort bsearch abort tolower toupper strerror
    acos asin atan atan2 cbrt ceil cos exp exp2 expm1 fabs floor fmod frexp hypot ldexp log log10 log1p log2 lround
    llround modf nearbyint pow powl rint round scalbn sin sqrt tan trunc fmodl floorl ceill roundl fabsl frexpl ldexpl
    __ctype_b_loc __ctype_tolower_loc __ctype_toupper_loc __errno_location
    __stack_chk_fail __isoc99_sscanf __isoc23_sscanf __isoc23_strtol __isoc23_strtoll __isoc23_strtoul
    __isoc23_strtoull _GLOBAL_OFFSET_TABLE_
    __memcpy_chk __memmove_chk __memset_chk __snprintf_chk __vsnprintf_chk __strcpy_chk __strcat_chk __vasprintf_chk
'''.split())
PURE_PREFIXES = ('XXH', 'json_', '__atomic_', '__popcount', '__clz', '__ctz', '__mul', '__div', '__udiv', '__umod',
                 '__float', '__fix', '__ext', '__trunc')
LINE_MAX = 110        # of C
SCRIPT_LINE_MAX = 120 # of Python and shell
FUNCTION_MAX = 100
FILE_MAX = 1200


class Report:
    """Collects faults; what the allow list excuses is counted there instead."""

    def __init__(self):
        self.faults = []
        self.had_objects = False
        self.excuses = collections.OrderedDict()
        with open(os.path.join(ROOT, ALLOW), encoding='utf-8') as f:
            for number, line in enumerate(f, 1):
                line = line.strip()
                if not line or line.startswith('#'):
                    continue
                parts = [p.strip() for p in line.split('|')]
                if len(parts) != 3 or not all(parts):
                    self.faults.append('%s:%d: not "rule | where | reason"' % (ALLOW, number))
                    continue
                place, _, words = parts[1].partition(':')
                self.excuses[(parts[0], place.strip(), number)] = [set(words.split()), False]

    def excused(self, rule, where, word):
        for (its_rule, place, _), entry in self.excuses.items():
            if its_rule == rule and place == where and (not entry[0] or word in entry[0]):
                entry[1] = True
                return True
        return False

    def fault(self, rule, path, line, text, word=''):
        where = re.sub(r'^src/', '', os.path.splitext(path)[0])
        if not self.excused(rule, where, word):
            self.faults.append('%s%s: %s [%s]' % (path, ':%d' % line if line else '', text, rule))

    def finish(self):
        for (rule, place, number), (_, used) in self.excuses.items():
            if not used and (rule not in ('symbol', 'state') or self.had_objects):
                self.faults.append('%s:%d: excuses nothing (%s, %s)' % (ALLOW, number, rule, place))


def run(*command):
    return subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          universal_newlines=True)


def files(*patterns):
    found = []
    for pattern in patterns:
        found += glob.glob(os.path.join(ROOT, pattern))
    return sorted(os.path.relpath(f, ROOT) for f in found)


def age(path):
    return os.path.getmtime(os.path.join(ROOT, path))


def lines_of(path):
    with open(os.path.join(ROOT, path), encoding='utf-8') as f:
        return f.read().split('\n')


def directory_of(path):
    return os.path.basename(os.path.dirname(path))


# ---- what can be seen in the text ----

def check_includes(report, path, lines, used):
    own = directory_of(path)
    for number, line in enumerate(lines, 1):
        m = re.match(r'\s*#\s*include\s+([<"])([^>"]+)', line)
        if not m:
            continue
        kind, name = m.groups()
        if kind == '<':
            if own != 'io' and name not in PURE_HEADERS:
                report.fault('include', path, number, '<%s> belongs in src/io' % name, name)
            continue
        if name in GENERATED:
            continue
        used.add(name)
        layer = name.split('/')[0]
        if layer not in LAYERS or '/' not in name:
            report.fault('include', path, number, '"%s": write it from src/, as "layer/name.h"' % name, name)
        elif LAYERS.index(layer) > LAYERS.index(own):
            report.fault('include', path, number, '%s may not know %s' % (own, name), name)


def check_lines(report, path, lines):
    for number, line in enumerate(lines, 1):
        if len(line) > (LINE_MAX if path.endswith(('.c', '.h')) else SCRIPT_LINE_MAX):
            report.fault('line', path, number, '%d columns' % len(line))
        if '\t' in line and not path.endswith('Makefile'):
            report.fault('line', path, number, 'a tab')
        if line != line.rstrip():
            report.fault('line', path, number, 'blank at the end')
        m = re.search(r'\b(TODO|FIXME|XXX)\b(?!\(#\d+\))', line)
        if m and path != 'tools/tidy.py':
            report.fault('marker', path, number, '%s without a home: write %s(#issue)' % (m.group(1), m.group(1)))
    if lines[-1] != '':
        report.fault('line', path, len(lines), 'no newline at the end')


def check_functions(report, path, lines):
    """A function begins with a '{' alone in column 0 and ends with a '}' there."""
    begin = name = None
    for number, line in enumerate(lines, 1):
        if line == '{':
            begin = number
            head = ' '.join(lines[max(0, number - 4):number - 1])
            found = re.findall(r'(\w+)\s*\(', head)
            name = found[0] if found else '?'
        elif line.startswith('}') and begin:
            length = number - begin + 1
            if length > FUNCTION_MAX:
                report.fault('function', path, begin, '%s() has %d lines' % (name, length), name)
            begin = None


def check_shape(report, path, lines):
    if len(lines) > FILE_MAX:
        report.fault('file', path, 0, '%d lines' % len(lines))
    if not lines[0].startswith('/*'):
        report.fault('file', path, 1, 'does not open with a comment that says what it is')
    if path.endswith('.h'):
        guard = 'WEFT_' + re.sub(r'\W', '_', os.path.relpath(path, 'src')).upper()
        if '#ifndef ' + guard not in lines or '#define ' + guard not in lines:
            report.fault('file', path, 0, 'has no include guard %s' % guard)


def check_text(report):
    used = set()
    sources = files('src/*/*.[ch]')
    for path in sources + files('test/unit/*.[ch]', 'test/fuzz/*.[ch]', 'bench/*.[ch]'):
        lines = lines_of(path)
        check_lines(report, path, lines)
        check_functions(report, path, lines)
        if path in sources:
            check_includes(report, path, lines, used)
            check_shape(report, path, lines)
        else:
            used |= set(re.findall(r'#include "([^"]+)"', '\n'.join(lines)))
    for path in files('tools/*.py', 'tools/*.sh', 'test/*.py', 'test/*/*.py', 'bench/*.py', 'bench/*.sh'):
        check_lines(report, path, lines_of(path))
    for path in sources:
        if path.endswith('.h') and os.path.relpath(path, 'src') not in used:
            report.fault('header', path, 0, 'nobody includes it')


# ---- what can be seen in the objects ----

def check_objects(report):
    objects = files(OBJECTS + '/src/*/*.o', OBJECTS + '/build/gen/*.o')
    sources = files('src/*/*.c')
    missing = [s for s in sources
               if os.path.join(OBJECTS, s[:-1] + 'o') not in objects or
               age(os.path.join(OBJECTS, s[:-1] + 'o')) < age(s)]
    if missing:
        report.faults.append('%s is not up to date (%s, ...): run make first, or tidy.py --no-build' % (
            OBJECTS, missing[0]))
        return
    report.had_objects = True
    objects = [o for o in objects if '/build/gen/' in o or o[len(OBJECTS) + 1:-1] + 'c' in sources]
    ours = set()
    for o in objects:
        ours |= {l.split()[-1] for l in run('nm', '--defined-only', '-g', o).stdout.split('\n') if l.strip()}
    for o in objects:
        source = o[len(OBJECTS) + 1:-1] + 'c'
        if not source.startswith('src/io/'):
            for symbol in run('nm', '-u', o).stdout.split():
                if symbol in ('U', 'w', 'v') or symbol in ours or symbol in PURE_SYMBOLS or \
                        symbol.startswith(PURE_PREFIXES):
                    continue
                report.fault('symbol', source, 0, 'needs %s' % symbol, symbol)
        for line in run('nm', '-f', 'sysv', '--defined-only', o).stdout.split('\n'):
            fields = [f.strip() for f in line.split('|')]
            if len(fields) == 7 and re.match(r'(\.data|\.bss|\.tdata|\.tbss|\*COM\*)', fields[6]) and \
                    not fields[6].startswith('.data.rel.ro'):
                report.fault('state', source, 0, '%s is writable' % fields[0], fields[0])


# ---- what other programs say ----

def check_format(report):
    sources = files('src/*/*.[ch]', 'bench/*.[ch]', 'test/unit/*.[ch]', 'test/fuzz/*.[ch]')
    try:
        out = run('clang-format', '--dry-run', *sources).stdout
    except FileNotFoundError:
        report.faults.append('clang-format is not there: apt-get install clang-format [format]')
        return
    for path, count in collections.Counter(re.findall(r'^(\S+?):\d+:\d+: warning', out, re.M)).items():
        report.faults.append('%s: %d places; run make format [format]' % (path, count))


def check_fresh(report):
    for tool in ('tools/gen_commands.py', 'tools/gen_config.py'):
        out = run(sys.executable, tool, '--check')
        if out.returncode:
            report.faults += [line + ' [fresh]' for line in out.stdout.strip().split('\n')]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--no-build', action='store_true', help='leave out what needs objects')
    options = parser.parse_args()
    report = Report()
    check_text(report)
    if options.no_build:
        print('tidy: symbols and writable data not checked')
    else:
        check_objects(report)
    check_format(report)
    check_fresh(report)
    report.finish()
    for fault in report.faults:
        print(fault)
    print('tidy: %s' % ('%d faults' % len(report.faults) if report.faults else 'all well'))
    return 1 if report.faults else 0


if __name__ == '__main__':
    sys.exit(main())
