#!/usr/bin/python3
"""Generates everything that follows from the table of directives, src/config/directives.json.

    tools/gen_config.py           build/gen/config_table.c   the rows that src/config reads
                                  build/gen/config.dict      names and words for the fuzzer
    tools/gen_config.py --docs    docs/configuration.md
    tools/gen_config.py --check   fails when docs/configuration.md is not what the table says, or when a row of
                                  state "effect" names a field that nothing outside src/config reads
    --out DIR                     instead of build/gen

The table is a list of rows, one a line, in the order of --help:

    name, alias   lower case
    group         a heading of --help and of the page
    kind          bool | int | memory | memory-or-percent | octal | enum | string | special | file
    default       as CONFIG GET shows it
    min, max      of numbers
    values        of enums: names, or name=number; without numbers they count from 0
    enum          prefix of the C constants that must have these numbers (CONFIG_POLICY, ...)
    words         of kind file: least and most words behind the name, -1 is any
    change        mutable | immutable | protected | fixed (weft's own: may be set to what it is, so that a client
                  can write back all that CONFIG GET told it)
    flags         hidden, sensitive, multi, deny-loading, unset-if-empty
    state         effect | idle | pending (src/config/config.h says what they mean)
    field         the member of struct config; idle rows may have one (for INFO), else they get a slot, as pending do
    reason        idle: ends "no effect here because ..."; pending: the error
    help          one line, our own words
    readers       state effect without a field: a word that the reading code contains

Anything unknown or inconsistent stops the generator with a sentence that names the row.
"""
import argparse
import glob
import json
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TABLE = os.path.join(ROOT, 'src/config/directives.json')
PAGE = os.path.join(ROOT, 'docs/configuration.md')

KINDS = 'bool int memory memory-or-percent octal enum string special file'.split()
CHANGES = 'mutable immutable protected fixed'.split()
STATES = 'effect idle pending'.split()
FLAGS = 'hidden sensitive multi deny-loading unset-if-empty'.split()
KEYS = set('name alias group kind default min max values enum words change flags state field reason help '
           'readers'.split())
# Members of struct config that a special directive fills, for --check.
SPECIAL_FIELDS = {'bind': 'bind_count', 'client-output-buffer-limit': 'output_limit',
                  'latency-tracking-info-percentiles': 'latency_percentile_count'}
FILE_READERS = {'include': 'io_file_glob', 'rename-command': 'rename_count'}

GROUPS = {
    'weft': 'weft\'s own', 'network': 'Network', 'clients': 'Clients', 'data': 'Data types and databases',
    'memory': 'Memory', 'security': 'Security', 'observability': 'Observability', 'process': 'Process',
    'scripting': 'Scripting', 'persistence': 'Persistence', 'replication': 'Replication', 'cluster': 'Cluster',
    'tls': 'TLS', 'file': 'Only in files and on the command line',
}


class Wrong(Exception):
    pass


def check_row(row, seen):
    name = row.get('name', '?')

    def need(condition, what):
        if not condition:
            raise Wrong('%s: %s' % (name, what))
    need(set(row) <= KEYS, 'unknown key %s' % sorted(set(row) - KEYS))
    for n in filter(None, (name, row.get('alias'))):
        need(re.fullmatch(r'[a-z][a-z0-9_-]*', n), 'bad name %s' % n)
        need(n not in seen, '%s is there twice' % n)
        seen.add(n)
    need(row.get('group') in GROUPS, 'unknown group')
    need(row.get('kind') in KINDS, 'unknown kind')
    need(row.get('state') in STATES, 'unknown state')
    need(set(row.get('flags', [])) <= set(FLAGS), 'unknown flag')
    need(row.get('help', '').endswith('.') and len(row['help']) <= 100, 'help must be one sentence, 100 at most')
    need((row['state'] == 'effect') != ('reason' in row), 'idle and pending rows, and only they, have a reason')
    if row['kind'] == 'file':
        need(len(row.get('words', [])) == 2 and not ({'default', 'min', 'max', 'change'} & set(row)), 'bad file row')
        return
    need(row.get('change') in CHANGES, 'unknown change')
    need('default' in row, 'no default')
    need((row['kind'] == 'enum') == ('values' in row), 'enums, and only they, have values')
    number = row['kind'] in ('int', 'memory', 'memory-or-percent', 'octal')
    need(number == ('min' in row and 'max' in row), 'numbers, and only they, have min and max')
    if number:
        low, high = row['min'], row['max']
        need(-2**63 <= low <= high < 2**64, 'bounds do not fit')
        default = int(row['default'], 8 if row['kind'] == 'octal' else 10)
        need(low <= default <= high, 'default out of bounds')
    if row['kind'] == 'enum':
        need(row['default'] in [v.split('=')[0] for v in row['values']], 'default is no value')
    if row['kind'] == 'bool':
        need(row['default'] in ('yes', 'no'), 'default is not yes or no')
    need('field' not in row or row['state'] != 'pending', 'a pending row has no field')
    need(row['state'] != 'effect' or 'field' in row or row['kind'] == 'special', 'an effect needs a field')


def load():
    with open(TABLE, encoding='utf-8') as f:
        rows = json.load(f)
    seen = set()
    groups = []
    for row in rows:
        check_row(row, seen)
        if not groups or groups[-1] != row['group']:
            if row['group'] in groups:
                raise Wrong('%s: group %s is not in one piece' % (row['name'], row['group']))
            groups.append(row['group'])
    return rows


def c_string(text):
    if text is None:
        return 'NULL'
    return '"%s"' % text.replace('\\', '\\\\').replace('"', '\\"')


def c_name(name):
    return re.sub(r'[^A-Z0-9]', '_', name.upper())


def enum_values(row):
    for i, value in enumerate(row['values']):
        name, _, number = value.partition('=')
        yield name, int(number) if number else i


def c_int64(n):
    return 'INT64_MIN' if n == -2**63 else 'INT64_MAX' if n == 2**63 - 1 else 'INT64_C(%d)' % n


def row_fields(row, slots, out):
    """The C initialiser of a row; assertions go to `out`."""
    kind = row['kind']
    f = {'name': c_string(row['name']), 'alias': c_string(row.get('alias')),
         'initial': c_string(row.get('default', '')), 'help': c_string(row['help']),
         'reason': c_string(row.get('reason')), 'group': c_string(row['group']),
         'kind': 'CONFIG_KIND_' + c_name(kind), 'state': 'CONFIG_' + row['state'].upper()}
    if kind == 'file':
        f['words_min'], f['words_max'] = row['words']
        return f
    f['change'] = 'CONFIG_' + row['change'].upper()
    if row.get('flags'):
        f['flags'] = ' | '.join('CONFIG_FLAG_' + c_name(flag) for flag in row['flags'])
    if 'min' in row:
        f['min'] = c_int64(row['min'])
        f['max'] = 'UINT64_C(%d)' % row['max']
    if kind == 'special':
        f['special'] = 'CONFIG_SPECIAL_' + c_name(row['name'])
        return f
    if kind == 'enum':
        symbol = 'values_' + re.sub(r'\W', '_', row['name'])
        out.append('static const struct config_name %s[] = {%s, {NULL, 0}};' % (
            symbol, ', '.join('{%s, %d}' % (c_string(n), v) for n, v in enum_values(row))))
        f['values'] = symbol
    if 'field' in row:
        member = row['field']
        store = {'bool': 'BOOL', 'enum': 'ENUM', 'string': 'TEXT'}.get(kind, 'INT64')
        size = {'BOOL': 'bool', 'ENUM': 'int', 'TEXT': 'struct config_text', 'INT64': 'int64_t'}[store]
        out.append('_Static_assert(sizeof(((struct config *)0)->%s) == sizeof(%s), "%s");' % (
            member, size, row['name']))
        if 'enum' in row:
            for name, value in enum_values(row):
                out.append('_Static_assert((int)%s_%s == %d, "%s");' % (
                    row['enum'], c_name(name), value, row['name']))
    else:
        store = 'TEXT' if kind == 'string' else 'INT64'
        pool = 'idle_text' if kind == 'string' else 'idle_number'
        member = '%s[%d]' % (pool, slots[pool])
        slots[pool] += 1
    f['store'] = 'CONFIG_STORE_' + store
    f['offset'] = 'offsetof(struct config, %s)' % member
    return f


def table_c(rows):
    head = ['/* Generated by tools/gen_config.py from src/config/directives.json. Do not edit. */',
            '#include "config/config_table.h"', '']
    slots = {'idle_number': 0, 'idle_text': 0}
    before, body = [], ['const struct config_row config_rows[] = {']
    for row in rows:
        fields = row_fields(row, slots, before)
        body.append('    {%s},' % ', '.join('.%s = %s' % item for item in fields.items()))
    before.append('_Static_assert(CONFIG_ROWS_MAX >= %d, "room");' % len(rows))
    body += ['};', 'const size_t config_row_count = %d;' % len(rows)]
    before.append('_Static_assert(CONFIG_IDLE_NUMBERS >= %d, "room");' % slots['idle_number'])
    before.append('_Static_assert(CONFIG_IDLE_TEXTS >= %d, "room");' % slots['idle_text'])
    return '\n'.join(head + before + [''] + body) + '\n'


def dictionary(rows):
    words = set()
    for row in rows:
        words |= {row['name'], row.get('alias', row['name'])}
        for value in row.get('values', []):
            words.add(value.split('=')[0])
    words |= {'yes', 'no', '1gb', '50%', 'normal', 'replica', '\\x0a', '\\"', '# Generated by CONFIG REWRITE'}
    return ''.join('"%s"\n' % w for w in sorted(words))


# ---- the page ----

def human(row):
    """What may be given."""
    def size(n):
        for limit, text in ((2**64 - 1, '2^64-1'), (2**63 - 1, '2^63-1'), (2**32 - 1, '2^32-1'),
                            (2**31 - 1, '2^31-1'), (-2**31, '-2^31')):
            if n == limit:
                return text
        return str(n)
    kind = row['kind']
    if kind == 'enum':
        names = [n for n, _ in enum_values(row)]
        return ('any of ' if 'multi' in row.get('flags', []) else '') + ', '.join(names)
    if kind == 'int':
        return '%s … %s' % (size(row['min']), size(row['max']))
    if kind in ('memory', 'memory-or-percent'):
        return 'bytes' + ('' if row['min'] <= 1 else ', from %s' % size(row['min'])) + \
            (' or percent' if kind != 'memory' else '')
    return {'bool': 'yes, no', 'octal': 'octal mode', 'string': 'text', 'special': 'words',
            'file': 'words'}[kind]


def page(rows):
    count = {state: sum(r['state'] == state for r in rows) for state in STATES}
    out = ['# Configuration', '',
           '<!-- Generated by tools/gen_config.py from src/config/directives.json. Do not edit. -->', '',
           'weft reads redis.conf as it is. A directive comes from the file named on the command line, then from '
           'standard input (`-`), then from the command line itself (`--port 7000`); the last one counts. '
           '`CONFIG GET`, `CONFIG SET` and `CONFIG REWRITE` work as in Redis 8.0, error texts included. '
           'A line that weft does not know, or a value out of bounds, stops the start with file and line.', '',
           'Of %d directives (Redis 7.0 to 8.0, and weft\'s own)' % len(rows), '',
           '- **%d have their effect.**' % count['effect'],
           '- **%d have no effect here.** They are checked, kept, and returned by `CONFIG GET`; giving one a value '
           'that is not its default writes the reason to the log. These are matters of tuning, or concern parts '
           'that weft does not have.' % count['idle'],
           '- **%d are refused** unless they have their default value: they promise durability, encryption, '
           'replication or access control that weft does not keep yet, and a server that says yes and does nothing '
           'would be worse than one that does not start.' % count['pending'], '',
           '*Change* says whether `CONFIG SET` may change it: yes, no, or guarded (only where '
           '`enable-protected-configs` allows it). Sizes take the units `k m g` (powers of 1000) and `kb mb gb` '
           '(powers of 1024).', '']
    group = None
    for row in rows:
        if row['group'] != group:
            group = row['group']
            out += ['', '## ' + GROUPS[group], '',
                    '| directive | values | default | change | meaning |', '| --- | --- | --- | --- | --- |']
        default = '`%s`' % row['default'] if row.get('default') else '' if row['kind'] == 'file' else '`""`'
        change = {'mutable': 'yes', 'protected': 'guarded'}.get(row.get('change'), 'no')
        text = row['help']
        if row.get('alias'):
            text += ' Also `%s`.' % row['alias']
        if 'hidden' in row.get('flags', []):
            text += ' Hidden: `CONFIG GET` needs the exact name.'
        if row['state'] == 'idle':
            text += ' **No effect here:** %s.' % row['reason']
        elif row['state'] == 'pending':
            text += ' **Refused%s:** %s.' % ('' if row['kind'] == 'file' else ' unless default', row['reason'])
        out.append('| `%s` | %s | %s | %s | %s |' % (row['name'], human(row), default, change,
                                                     text.replace('|', '\\|')))
    return '\n'.join(out) + '\n'


def write_if_changed(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    try:
        with open(path, encoding='utf-8') as f:
            if f.read() == text:
                os.utime(path)
                return
    except FileNotFoundError:
        pass
    with open(path, 'w', encoding='utf-8') as f:
        f.write(text)


def unread(rows):
    """Names of rows that claim an effect although nothing outside src/config reads their field."""
    text = ''
    for path in glob.glob(os.path.join(ROOT, 'src/*/*.[ch]')):
        if os.path.basename(os.path.dirname(path)) != 'config':
            with open(path, encoding='utf-8') as f:
                text += f.read()
    for row in rows:
        if row['state'] == 'effect':
            word = row.get('field') or SPECIAL_FIELDS.get(row['name']) or FILE_READERS[row['name']]
            if not re.search(r'(->|\.|\b)%s\b' % re.escape(word), text):
                yield row['name']


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--docs', action='store_true')
    parser.add_argument('--check', action='store_true')
    parser.add_argument('--out', default=os.path.join(ROOT, 'build/gen'))
    options = parser.parse_args()
    rows = load()
    if options.check:
        wrong = 0
        with open(PAGE, encoding='utf-8') as f:
            if f.read() != page(rows):
                print('docs/configuration.md is stale: run tools/gen_config.py --docs')
                wrong = 1
        for name in unread(rows):
            print('src/config/directives.json: %s claims an effect, but nothing reads it' % name)
            wrong = 1
        return wrong
    if options.docs:
        write_if_changed(PAGE, page(rows))
        return 0
    write_if_changed(os.path.join(options.out, 'config_table.c'), table_c(rows))
    write_if_changed(os.path.join(options.out, 'config.dict'), dictionary(rows))
    return 0


if __name__ == '__main__':
    try:
        sys.exit(main())
    except (Wrong, json.JSONDecodeError) as e:
        sys.exit('gen_config.py: %s' % e)
