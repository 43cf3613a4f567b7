"""Where Redis's Tcl suite comes from. Nothing of it is in this repository; it is taken, in this order, from

    WEFT_REDIS_SRC   a directory with Redis's source (tests/, redis.conf)
    WEFT_REDIS_GIT   a git directory of Redis (WEFT_REDIS_REF names the commit, default HEAD)
    the cache        ${WEFT_PEERS:-~/.cache/weft-peers}/redis-suite-8.0
    Debian           the upstream tarball of trixie's source package, fetched with a private apt state from the mirror
                     that this machine already uses (not with WEFT_OFFLINE=1)

and copied into a private folder, where src/ gets start scripts for the server under test and Redis's own tools.
"""
import glob
import os
import re
import shutil
import subprocess
import tarfile
import tempfile

NEEDED = ('tests/', 'redis.conf')


def cache_dir():
    base = os.environ.get('WEFT_PEERS') or os.path.join(os.path.expanduser('~'), '.cache', 'weft-peers')
    return os.path.join(base, 'redis-suite-8.0')


def _debian_mirror():
    """The URI of Debian's main archive in this machine's sources."""
    for path in ['/etc/apt/sources.list'] + sorted(glob.glob('/etc/apt/sources.list.d/*')):
        try:
            with open(path, encoding='utf-8', errors='replace') as f:
                text = f.read()
        except OSError:
            continue
        for m in re.finditer(r'^(?:URIs:|deb(?:\s+\[[^\]]*\])?)\s+(\S+)', text, re.M):
            if m.group(1).rstrip('/').endswith('/debian'):
                return m.group(1).rstrip('/')
    return None


def _fetch_from_debian(into):
    """Downloads the tarball (apt checks its hash), unpacks what is needed; a sentence on failure, else None."""
    mirror = _debian_mirror()
    if not mirror:
        return 'no Debian mirror among the apt sources'
    work = tempfile.mkdtemp(prefix='weft-suite-')
    try:
        for d in ('etc/apt/apt.conf.d', 'etc/apt/preferences.d', 'etc/apt/sources.list.d', 'etc/apt/trusted.gpg.d',
                  'var/lib/apt/lists/partial', 'var/cache/apt/archives/partial', 'var/lib/dpkg'):
            os.makedirs(os.path.join(work, d))
        open(os.path.join(work, 'var/lib/dpkg/status'), 'w').close()
        with open(os.path.join(work, 'apt.conf'), 'w') as f:
            f.write('Dir "%s/";\nDir::State::status "%s/var/lib/dpkg/status";\nAPT::Sandbox::User "root";\n'
                    'Acquire::Languages "none";\n' % (work, work))
        env = dict(os.environ, APT_CONFIG=os.path.join(work, 'apt.conf'), LC_ALL='C')
        for option in ('signed-by=/usr/share/keyrings/debian-archive-keyring.gpg', 'trusted=yes'):
            with open(os.path.join(work, 'etc/apt/sources.list'), 'w') as f:
                f.write('deb-src [%s] %s trixie main\n' % (option, mirror))
            got = subprocess.run(['apt-get', '-qq', 'update'], env=env, stdout=subprocess.PIPE,
                                 stderr=subprocess.STDOUT, timeout=180)
            if got.returncode == 0 and not re.search(rb'^[WE]:', got.stdout, re.M):
                break
        got = subprocess.run(['apt-get', '-qq', '--download-only', '--tar-only', 'source', 'redis'], cwd=work, env=env,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300)
        tars = glob.glob(os.path.join(work, 'redis_8.0*.orig.tar.*'))
        if not tars:
            return 'trixie\'s source package of redis is not to be had: ' + got.stdout.decode(errors='replace')[-200:]
        part = into + '.part'
        shutil.rmtree(part, ignore_errors=True)
        os.makedirs(part)
        with tarfile.open(tars[0]) as tar:
            for member in tar:
                member.name = member.name.partition('/')[2]
                if member.name.startswith(NEEDED) and (member.isfile() or member.isdir()):
                    tar.extract(member, part)
        os.rename(part, into)
        return None
    except (OSError, subprocess.TimeoutExpired, tarfile.TarError) as e:
        return str(e)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def obtain(into):
    """Fills the folder with the suite. Returns (what it came from, None) or (None, why there is none)."""
    source = os.environ.get('WEFT_REDIS_SRC')
    if source:
        for name in NEEDED:
            path = os.path.join(source, name.rstrip('/'))
            (shutil.copytree if os.path.isdir(path) else shutil.copy)(path, os.path.join(into, name.rstrip('/')))
        return source, None
    git = os.environ.get('WEFT_REDIS_GIT')
    if git:
        ref = os.environ.get('WEFT_REDIS_REF', 'HEAD')
        archive = subprocess.Popen(['git', '--git-dir', git, 'archive', ref, 'tests', 'redis.conf'],
                                   stdout=subprocess.PIPE)
        with tarfile.open(fileobj=archive.stdout, mode='r|') as tar:
            tar.extractall(into)
        if archive.wait() != 0:
            return None, 'git archive %s of WEFT_REDIS_GIT failed' % ref
        return 'git ' + ref, None
    cached = cache_dir()
    if not os.path.isdir(cached):
        if os.environ.get('WEFT_OFFLINE'):
            return None, 'set WEFT_REDIS_SRC or WEFT_REDIS_GIT (WEFT_OFFLINE forbids fetching it)'
        os.makedirs(os.path.dirname(cached), exist_ok=True)
        why = _fetch_from_debian(cached)
        if why:
            return None, why
    for name in NEEDED:
        path = os.path.join(cached, name.rstrip('/'))
        (shutil.copytree if os.path.isdir(path) else shutil.copy)(path, os.path.join(into, name.rstrip('/')))
    return 'Debian trixie\'s redis source', None


def _script(path, text):
    with open(path, 'w') as f:
        f.write('#!/bin/sh\n' + text)
    os.chmod(path, 0o755)


def prepare(into, server, tool_prefix, extra_args):
    """src/ with start scripts, and the hook for shim.tcl. extra_args: quoted words put after a config file."""
    os.makedirs(os.path.join(into, 'src'), exist_ok=True)
    os.makedirs(os.path.join(into, 'tests', 'tmp'), exist_ok=True)
    # Only starts with a configuration file get the extra words: the others test the command line itself.
    _script(os.path.join(into, 'src', 'redis-server'),
            'case "$1" in\n-*) exec "%s" "$@" ;;\n*) exec "%s" "$@" %s ;;\nesac\n' % (server, server, extra_args))
    for tool in ('cli', 'benchmark'):
        path = tool_prefix + tool
        if not os.path.exists(path):
            path = shutil.which('redis-' + tool) or '/bin/false'
        _script(os.path.join(into, 'src', 'redis-' + tool), 'exec "%s" "$@"\n' % path)
    helper = os.path.join(into, 'tests', 'test_helper.tcl')
    with open(helper, encoding='latin-1') as f:
        text = f.read()
    text, hooks = re.subn(r'^if \{\$::client\} \{', 'if {$::client} { source $::env(WEFT_TCL_SHIM) }\n\\g<0>', text,
                          flags=re.M)
    if hooks != 1:
        raise RuntimeError('this version of the suite has another shape: no place for the shim')
    with open(helper, 'w', encoding='latin-1') as f:
        f.write(text)
