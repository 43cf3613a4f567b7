#!/usr/bin/python3
"""Plays test/scripts/*.script to a real Redis 8.0 and to weft-server: what the scripts say is what Redis answers, and
what weft answers through real sockets. test/unit/script_test.c, which describes their form, plays them to a node on
virtual time.

    test/blackbox/script_test.py [--server PATH] [--shards N] [file ...]
    test/blackbox/script_test.py --record FILE        writes the real server's answers where the file has a ?
"""
import argparse
import fnmatch
import glob
import os
import re
import shlex
import socket
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import resp  # noqa: E402
import server as servers  # noqa: E402

SCRIPTS = os.path.join(servers.ROOT, 'test', 'scripts')
SAID = re.compile(r'(\d*|!|sweep|starve)> (.*)')
HEARD = re.compile(r'(\d*)< (.*)')
DIRECTIVE = re.compile(r'(\d*|!|sweep|starve)> |\d*< |wait |close |options |config |restart|unix |logged |look ')
WORD = re.compile(r'"((?:[^"\\]|\\.)*)"(?=\s|$)|\'((?:[^\'\\]|\\.)*)\'(?=\s|$)|([^\s"\']\S*)')
ESCAPES = {b'n': b'\n', b'r': b'\r', b't': b'\t', b'b': b'\b', b'a': b'\a'}
QUIET_S = 0.05
ABOUT_WEFT = re.compile(r'\[(weft|simulated)\]')


class Wrong(Exception):
    pass


def split(line, values):
    """The words of a command as bytes, as resp_split_words() and script_test.c take them."""
    words = []
    for double, single, plain in WORD.findall(line):
        if double:
            word = re.sub(rb'\\(x[0-9a-fA-F]{2}|.)', lambda found: bytes([int(found[1][1:], 16)]) if len(found[1]) == 3
                          else ESCAPES.get(found[1], found[1]), double.encode())
        else:
            word = (single.replace("\\'", "'") or plain).encode()
        times = re.fullmatch(rb'<(\d+)\*(.*)>', word, re.S)
        if times:
            word = int(times[1]) * times[2]
        words.append(values.get(word, word))
    return words


def render(reply):
    """As render_value() of test/unit/script_node.h."""
    def text(b):
        named = {10: '\\n', 13: '\\r', 92: '\\\\'}
        return ''.join(named.get(c) or (chr(c) if 32 <= c < 127 else '\\x%02x' % c) for c in b)
    kind, value = reply
    if kind in '$_!=':
        if value is None:
            return 'nil'
        return "=%s'%s'" % (value[:4].decode(), text(value[4:])) if kind == '=' else "'%s'" % text(value)
    if kind in '*~>%':
        if value is None:
            return 'nil[]'
        before, after = {'*': '[]', '~': ('set[', ']'), '>': ('push[', ']'), '%': '{}'}[kind]
        return before + ' '.join(map(render, value)) + after
    if kind == '|':
        return 'attribute{%s} %s' % (' '.join(map(render, value[0])), render(value[1]))
    if kind == '#':
        return 'true' if value else 'false'
    return str(value) if kind == ':' else kind + text(value)


class Section:
    def __init__(self, title, options):
        self.title, self.options, self.lines = title, options, []
        self.file = ''


def read_file(path):
    """Sections with lines [first number, last number, text]."""
    sections, options = [], ''
    with open(path, encoding='utf-8') as file:
        for number, line in enumerate(file, 1):
            line = line.rstrip('\n')
            if line.startswith('== '):
                sections.append(Section(line[3:], options))
            elif line.startswith('options '):
                if sections:
                    sections[-1].options += line[7:]
                else:
                    options = line[7:]
            elif line.startswith('config ') and sections:
                sections[-1].file += line[7:] + '\n'
            elif line.startswith(' ') and sections and sections[-1].lines:
                sections[-1].lines[-1][1] = number
                sections[-1].lines[-1][2] += ' ' + line.strip()
            elif line and not line.startswith('# ') and sections:
                sections[-1].lines.append([number, number, line])
    return sections


class Player:
    def __init__(self, server):
        self.server = server
        self.conns, self.values = {}, {}
        self.recorded = {}

    def conn(self, client):
        if client not in self.conns:
            self.conns[client] = self.server.conn(timeout=10)
        return self.conns[client]

    def close(self, client):
        conn = self.conns.pop(client, None)
        if conn:
            conn.close()

    def hear(self, client, seconds):
        conn = self.conn(client)
        conn.sock.settimeout(seconds)
        try:
            return conn.read()
        except (resp.ConnectionClosed, ConnectionResetError, BrokenPipeError):
            return 'closed'
        except (socket.timeout, TimeoutError):
            return '...'

    def expect(self, client, line):
        wanted = line[2]
        got = self.hear(client, QUIET_S if wanted == '...' else 8)
        shown = got if isinstance(got, str) else render(got)
        if wanted == '?':
            self.recorded[line[0]] = shown
        elif wanted[0] == '$':
            self.values[wanted.encode()] = got[1] if got[0] == '$' and got[1] is not None else shown.encode()
        elif wanted.startswith('~ '):
            if not fnmatch.fnmatchcase(shown, wanted[2:].replace('\\[', '[[]').replace('\\]', ']')):
                raise Wrong('%d: %s\n    heard %s' % (line[0], wanted, shown))
        elif shown != wanted:
            raise Wrong('%d: says %s\n    hears %s' % (line[0], wanted, shown))

    def play(self, section):
        lines = section.lines
        at = 0
        while at < len(lines):
            line = lines[at]
            at += 1
            said, heard = SAID.match(line[2]), HEARD.match(line[2])
            if said:
                client = int(said[1]) if said[1].isdigit() else 1
                words = split(said[2], self.values)
                try:
                    self.conn(client).send_raw(b''.join(words) if said[1] == '!' else resp.encode(words))
                except (ConnectionResetError, BrokenPipeError):
                    pass
                if at < len(lines) and not DIRECTIVE.match(lines[at][2]):
                    self.expect(client, lines[at])
                    at += 1
            elif heard:
                self.expect(int(heard[1] or 1), [line[0], line[1], heard[2]])
            elif line[2].startswith('wait '):
                time.sleep(int(line[2][5:]) / 1000)
            elif line[2].startswith('close '):
                self.close(int(line[2][6:]))
            elif line[2] == 'restart':
                for client in list(self.conns):
                    self.close(client)
                self.server.restart()
            elif line[2].startswith('unix '):
                client, path = line[2].split()[1:]
                self.conns[int(client)] = resp.Conn(None, timeout=10, unix=os.path.join(self.server.dir, path))
            elif line[2].startswith('logged '):
                if line[2][7:].encode() not in self.server.log():
                    raise Wrong('%d: not in the log: %s' % (line[0], line[2][7:]))
            else:
                raise Wrong('%d: what does this line say? %s' % (line[0], line[2]))
        if lines:
            for client in self.conns:
                got = self.hear(client, 0.001)
                if not isinstance(got, str):
                    raise Wrong('%d: more is heard: %s' % (lines[-1][1], render(got)))


def play_section(section, binary, shards):
    """What has gone wrong, or None; and what was heard where a ? stands."""
    words, options = shlex.split(section.options), []
    is_weft = 'weft' in servers.version(binary).lower()
    while words:
        pair, words = words[:2], words[2:]
        if pair[0] == '--shards':
            shards = int(pair[1])
        elif is_weft or pair[0] not in ('--pipeline-order',):
            options += pair
    server = servers.Server(binary, shards=shards, args=options, start=False)
    if section.file:
        server.config = os.path.join(server.dir, 'weft.conf')
        with open(server.config, 'w', encoding='utf-8') as file:
            file.write(section.file)
    with server.start():
        player = Player(server)
        try:
            player.play(section)
            return None, player.recorded
        except Wrong as wrong:
            return str(wrong), player.recorded
        finally:
            for conn in player.conns.values():
                conn.close()


def record(path, binary):
    recorded = {}
    for section in read_file(path):
        if not ABOUT_WEFT.search(section.title):
            wrong, heard = play_section(section, binary, 1)
            if wrong:
                print('%s: %s:%s' % (section.title, path, wrong))
            recorded.update(heard)
    with open(path, encoding='utf-8') as file:
        lines = file.read().split('\n')
    for number, shown in recorded.items():
        if lines[number - 1].strip() == '?':
            lines[number - 1] = shown
        else:
            lines[number - 1] = lines[number - 1].replace('< ?', '< ' + shown)
    with open(path, 'w', encoding='utf-8') as file:
        file.write('\n'.join(lines))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--server', default=servers.WEFT)
    parser.add_argument('--shards', type=int, default=2)
    parser.add_argument('--record', metavar='FILE')
    parser.add_argument('files', nargs='*')
    options = parser.parse_args()
    reference = servers.find_reference()
    if options.record:
        record(options.record, reference)
        return 0
    passed = failed = 0
    for path in options.files or sorted(glob.glob(os.path.join(SCRIPTS, '*.script'))):
        for section in read_file(path):
            for name, binary in (('Redis', reference), ('weft', options.server)):
                if not binary or '[simulated]' in section.title or (
                        name == 'Redis' and ABOUT_WEFT.search(section.title)):
                    continue
                wrong, _ = play_section(section, binary, options.shards)
                passed, failed = passed + (not wrong), failed + bool(wrong)
                if wrong:
                    print('FAIL  %s, section %s, %s:%s' % (name, section.title, path, wrong), flush=True)
    print('%d passed, %d failed' % (passed, failed))
    return failed > 0


if __name__ == '__main__':
    sys.exit(main())
