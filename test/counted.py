#!/usr/bin/python3
"""Runs a unittest program and ends with the line "N passed, N failed" that test/run.py counts.

    test/counted.py test/some_test.py
"""
import importlib.util
import os
import sys
import unittest

path = os.path.abspath(sys.argv[1])
sys.path.insert(0, os.path.dirname(path))
spec = importlib.util.spec_from_file_location('counted', path)
module = importlib.util.module_from_spec(spec)
sys.modules['counted'] = module
spec.loader.exec_module(module)
result = unittest.TextTestRunner(verbosity=1).run(unittest.defaultTestLoader.loadTestsFromModule(module))
failed = len(result.failures) + len(result.errors)
print('%d passed, %d failed' % (result.testsRun - failed - len(result.skipped), failed), flush=True)
sys.exit(failed > 0)
