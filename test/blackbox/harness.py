"""The small frame that every Python black-box suite here uses.

    suite = Suite('hostile bytes')

    @suite.test
    def inline_commands(t):
        c = t.server.conn()
        equal(c.call('PING'), ('+', b'PONG'))

    if __name__ == '__main__':
        suite.main()

A test gets a context: t.server is shared by the suite's tests and emptied before each; t.start(...) starts a further
server which is stopped after the test. Every server must be alive at the end, end with status 0 on SIGTERM, and
leave no sanitizer report. Command line: [--server PATH] [--shards N] [name ...]. The last line is the count.

A test that has nothing to say about the server at hand (CONFIG SET shards on a Redis) raises Skip.
"""
import argparse
import os
import sys
import time
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import server as servers  # noqa: E402


class Skip(Exception):
    pass


def out_of_bounds(machine, what):
    """What to raise when a bound on time was missed: a failure, unless others had too much of the machine."""
    if machine.is_busy:
        return Skip('%s, but others took %.0f %% of the CPUs meanwhile: nothing is said about the server' % (
            what, machine.others() * 100))
    return AssertionError(what)


def equal(got, want, what=''):
    if got != want:
        raise AssertionError('%sgot %.500r, wanted %.500r' % (what + ': ' if what else '', got, want))


def true(condition, what):
    if not condition:
        raise AssertionError(what)


_references = {}


def reference(args=(), wanted=''):
    """The real server to compare with, started once; it ends with the process. Skips if there is none, or none whose
    version line contains `wanted`."""
    if args not in _references:
        path = servers.find_reference()
        if not path or wanted not in servers.version(path):
            raise Skip('no real server %sto compare with' % ('(%s) ' % wanted if wanted else ''))
        _references[args] = servers.Server(path, args=args)
    return _references[args]


def wait_until(condition, seconds, what, pause_s=0.02):
    """Polls until the condition holds; fails with `what` after the time, or four times that if others keep the machine
    busy (and says so)."""
    machine = servers.Machine()
    began, patience = time.monotonic(), 1
    while not condition():
        if time.monotonic() > began + seconds * patience:
            if patience > 1 or not machine.is_busy:
                raise AssertionError('not within %g s: %s' % (seconds * patience, what))
            patience = 4
            print('    others take %.0f %% of the CPUs: waiting longer until %s' % (machine.others() * 100, what),
                  flush=True)
        time.sleep(pause_s)


class Context:
    def __init__(self, suite, options):
        self.suite = suite
        self.options = options
        self.started = []

    @property
    def server(self):
        return self.suite.shared(self.options)

    def start(self, args=(), **kw):
        kw.setdefault('shards', self.options.shards)
        s = servers.Server(kw.pop('binary', self.options.server), args=args, **kw)
        self.started.append(s)
        return s

    def stop_all(self):
        """Stops what the test started; the first problem is raised after all are stopped."""
        problem = None
        for s in self.started:
            try:
                s.stop()
            except servers.ServerFailed as e:
                problem = problem or e
        self.started = []
        if problem:
            raise problem


class Suite:
    def __init__(self, title, args=()):
        self.title = title
        self.args = list(args)
        self.tests = []
        self._shared = None

    def test(self, function):
        self.tests.append(function)
        return function

    def shared(self, options):
        if self._shared is None or not self._shared.alive():
            self._shared = servers.Server(options.server, shards=options.shards, args=self.args)
        return self._shared

    def run_one(self, function, options):
        context = Context(self, options)
        if self._shared is not None and self._shared.alive():
            with self._shared.conn() as c:
                c('FLUSHALL')
        try:
            function(context)
            context.stop_all()
            if self._shared is not None and not self._shared.alive():
                raise servers.ServerFailed('the server is dead:\n' + self._shared.log_tail())
        finally:
            for s in context.started:
                s.kill()

    def main(self):
        parser = argparse.ArgumentParser(description=self.title)
        parser.add_argument('--server', default=servers.WEFT)
        parser.add_argument('--shards', type=int)
        parser.add_argument('names', nargs='*')
        options = parser.parse_args()
        print('%s: %s%s' % (self.title, servers.version(options.server),
                            ', %d shards' % options.shards if options.shards else ''), flush=True)
        passed = failed = skipped = 0
        for function in self.tests:
            name = function.__name__
            if options.names and name not in options.names:
                continue
            began = time.monotonic()
            try:
                self.run_one(function, options)
            except Skip as e:
                skipped += 1
                print('  skipped %s: %s' % (name, e), flush=True)
                continue
            except Exception:
                failed += 1
                if self._shared is not None:     # it may be paused, full or dead
                    if not self._shared.alive():
                        print('the server is dead, %s; its log ends:\n%s' % (
                            self._shared.how_it_ended(), self._shared.log_tail(20)))
                    self._shared.kill()
                    self._shared = None
                print('  FAILED %s\n%s' % (name, '\n'.join('      ' + x for x in
                                           traceback.format_exc().strip().split('\n'))), flush=True)
                continue
            passed += 1
            print('  ok %s (%.1f s)' % (name, time.monotonic() - began), flush=True)
        if self._shared is not None:
            try:
                self._shared.stop()
            except servers.ServerFailed as e:
                failed += 1
                print('  FAILED at the end: %s' % e)
        if skipped:
            print('%d skipped' % skipped)
        print('%d passed, %d failed' % (passed, failed))
        sys.exit(1 if failed else 0)
