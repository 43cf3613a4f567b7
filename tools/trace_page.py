#!/usr/bin/python3
"""Makes the page that plays a trace of the simulator (sim/trace.h): one file that loads nothing.

    tools/trace_page.py run.ndjson > page.html        ('-': standard input)
    tools/trace_page.py --template > build/gen/trace_page.html

The template is what weft-sim has inside, so that `weft-sim --trace run.html` writes the page itself. The page is
written in pieces (sim/page/): this puts them together.
"""
import os
import sys

PAGE = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), 'sim', 'page')
SCRIPTS = ['model.js', 'view.js', 'timeline.js', 'overview.js', 'list.js', 'stage.js', 'keys.js', 'panels.js',
           'main.js']
MARK = '@TRACE-LINES@'


def read(name):
    with open(os.path.join(PAGE, name), encoding='utf-8') as file:
        return file.read()


def template():
    script = "(() => {\n'use strict';\n" + '\n'.join(read(name) for name in SCRIPTS) + '})();\n'
    if '</script' in script.lower() or '<!--' in script or MARK in script:
        raise SystemExit('sim/page: a script holds what would end it')
    page = read('index.html')
    for mark, text in (('/*STYLE*/', read('style.css')), ('/*SCRIPT*/', script)):
        if page.count(mark) != 1:
            raise SystemExit('sim/page/index.html: %s must stand there once' % mark)
        page = page.replace(mark, text)
    if page.count(MARK) != 1:
        raise SystemExit('sim/page/index.html: %s must stand there once' % MARK)
    return page


def main():
    if len(sys.argv) != 2 or sys.argv[1] in ('-h', '--help'):
        print(__doc__.strip(), file=sys.stderr)
        return 2
    page = template()
    if sys.argv[1] == '--template':
        sys.stdout.buffer.write(page.encode())
        return 0
    if sys.argv[1] == '-':
        lines = sys.stdin.buffer.read()
    else:
        with open(sys.argv[1], 'rb') as file:
            lines = file.read()
    # The writer leaves no "<" in its lines; other writers' traces are made safe here. Inside JSON it stands in
    # strings only.
    text = lines.decode('utf-8', 'replace').replace('<', '\\u003c')
    head, tail = page.split(MARK)
    sys.stdout.buffer.write((head + text + tail).encode())
    return 0


if __name__ == '__main__':
    sys.exit(main())
