#!/usr/bin/python3
"""Checks the Promela models of this folder with Spin, and that each finds the bugs it is said to find.

    test/spin/run.py [model ...]

A model's comment lists seeded bugs as words; compiled with -D<word> the model must fail. Needs spin and a C compiler.
The last line is "N passed, N failed".
"""
import glob
import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
# model: (seeded bugs, further definitions under which it must hold)
MODELS = {
    'ring': (['NO_RELEASE', 'NO_RELEASE_HEAD', 'ROOM_OFF_BY_ONE', 'STALE_EMPTY'], []),
    'mailbox': (['NO_PRODUCER_FENCE', 'NO_CONSUMER_FENCE', 'LOOK_FIRST', 'FORGETFUL_WAKE', 'STALE_FLAG'], []),
    'lanes': (['EARLY_CREDIT', 'NOTES_TAKE_ALL', 'SMALL_LANE', 'ONE_LANE'], []),
    'lend': (['ANY_ORDER', 'OWN_FIRST', 'GRANT_FIRST', 'LEND_TWICE'], ['CROWDED']),
}


def verify(folder, model, define):
    """(errors, states) of one variant; raises when it cannot be built or searched to the end."""
    words = ['spin', '-a'] + (['-D' + define] if define else []) + [os.path.join(HERE, model + '.pml')]
    subprocess.run(words, cwd=folder, check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    subprocess.run([os.environ.get('CC', 'gcc'), '-O2', '-w', '-DSAFETY', '-DCOLLAPSE', '-DMEMLIM=1500', '-o', 'pan',
                    'pan.c'], cwd=folder, check=True)
    out = subprocess.run(['./pan', '-m1000000', '-w22'], cwd=folder, check=True, timeout=120, stdout=subprocess.PIPE,
                         text=True).stdout
    errors = int(re.search(r'errors: (\d+)', out).group(1))
    if not errors and ('Search not completed' in out or 'max search depth too small' in out):
        raise RuntimeError('the search is not complete')
    return errors, int(float(re.search(r'([\d.e+]+) states, stored', out).group(1)))


def main():
    wanted = sys.argv[1:] or sorted(MODELS)
    missing = {os.path.basename(p)[:-4] for p in glob.glob(os.path.join(HERE, '*.pml'))} ^ set(MODELS)
    passed, failed = 0, len(missing)
    for name in missing:
        print('%s: a model without its line in MODELS, or the other way round' % name)
    for model in wanted:
        bugs, holds = MODELS[model]
        for define, expected in [(None, 0)] + [(d, 0) for d in holds] + [(b, 1) for b in bugs]:
            title = model + (' -D' + define if define else '')
            with tempfile.TemporaryDirectory() as folder:
                try:
                    errors, states = verify(folder, model, define)
                    good = bool(errors) == bool(expected)
                    text = '%s, %d states' % ('finds an error' if errors else 'holds', states)
                except (subprocess.SubprocessError, RuntimeError) as error:
                    good, text = False, str(error)
            print('%-4s %s: %s' % ('ok' if good else 'FAIL', title, text), flush=True)
            passed, failed = passed + good, failed + (not good)
    print('%d passed, %d failed' % (passed, failed))
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
