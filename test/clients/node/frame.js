// The frame of the two Node suites: named tests one after the other, a line each, the count last.
'use strict';
const assert = require('assert');

const tests = [];
let passed = 0;
let failed = 0;

function test(name, body) { tests.push({ name, body }); }

async function limited(promise, ms) {
    let timer;
    const late = new Promise((_, reject) => { timer = setTimeout(() => reject(new Error(`no end after ${ms} ms`)), ms); });
    try { return await Promise.race([promise, late]); } finally { clearTimeout(timer); }
}

async function run(title, before) {
    console.log(title);
    for (const { name, body } of tests) {
        const began = Date.now();
        try {
            const context = await before();
            await limited(body(context), 60000);
            await context.done();
            passed++;
            console.log(`  ok ${name} (${Date.now() - began} ms)`);
        } catch (e) {
            failed++;
            console.log(`  FAILED ${name}\n      ${String(e && e.stack || e).split('\n').join('\n      ')}`);
        }
    }
    console.log(`${passed} passed, ${failed} failed`);
    process.exit(failed ? 1 : 0);
}

async function rejects(promise, pattern) {
    let value;
    try { value = await promise; } catch (e) {
        assert.match(String(e.message), pattern);
        return e;
    }
    assert.fail(`an error like ${pattern} was expected, got ${JSON.stringify(value)}`);
}

async function until(condition, ms, what) {
    const end = Date.now() + ms;
    while (!(await condition())) {
        if (Date.now() > end) assert.fail(`not within ${ms} ms: ${what}`);
        await new Promise((r) => setTimeout(r, 10));
    }
}

module.exports = { test, run, rejects, until, assert };
