#!/usr/bin/python3
"""Generates everything that follows from the command table, src/command/table/*.json.

    tools/gen_commands.py           build/gen/command_table.c     rows, docs, key specs, look-up tables
                                    build/gen/command_handlers.h  a prototype for each handler
                                    build/gen/commands.dict       names and keywords for the fuzzers
    tools/gen_commands.py --docs    docs/compatibility.md
    tools/gen_commands.py --check   fails when docs/compatibility.md is not what the table says, or when a
                                    handler is written but no supported row names it
    --out DIR                       instead of build/gen

A file of the table is one group: {"title", "group", "commands": [row ...]}. A row (also of "subcommands"):

    name        lower case; for a subcommand without its container
    since       version of Redis that brought it
    arity       arguments with the name (and the container's); negative: at least that many
    group       if it is not the file's (as COMMAND DOCS tells it)
    status      yes | standalone | later | no. To support a command, write its handler and turn this one word.
                standalone: it answers what a Redis without cluster mode answers, an error; its own handler
                and route are for the day when there is a cluster mode
                Containers have none: they are supported when one of their subcommands is. So is their HELP,
                whose status is auto
    handler     the C function, if it is not cmd_<name> or cmd_<container>_<name>
    route       where it runs: session, key, keys, all, scan, scatter (see enum command_route)
    note        shown in the compatibility page: why not, or what differs
    summary, complexity       in our own words
    flags       as in COMMAND INFO, and may_replicate and protected, which clients do not see;
                movablekeys is derived
    acl         the categories that do not follow from the flags write, readonly, admin, pubsub, fast,
                blocking
    tips        as in COMMAND INFO
    keys        key specs: flags; begin {"index": i} | {"keyword": [word, start]} | "unknown";
                find {"range": [last, step, limit]} | {"keynum": [count at, first key at, step]} | "unknown";
                notes
    args        name, type, spec (index into keys), token, display (if not the name), optional, multiple,
                multiple_token, since, deprecated_since, args (of oneof and block)
    history     [[version, what came]]
    deprecated_since, replaced_by, syscmd     as in COMMAND DOCS

Anything unknown or inconsistent stops the generator with a sentence that names the row. The first and last
key and the step that dispatch uses, the movablekeys flag and the implied ACL categories are derived here as
Redis derives them; test/blackbox/command_table_test.py compares them with a real server's.
"""
import argparse
import json
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TABLE = os.path.join(ROOT, "src/command/table")
PAGE = os.path.join(ROOT, "docs/compatibility.md")

# In the bit order of the enums in src/command/table.h.
FLAGS = ("write readonly denyoom admin pubsub noscript blocking loading stale skip_monitor skip_slowlog "
         "asking fast no_auth no_mandatory_keys no_async_loading no_multi movablekeys allow_busy "
         "may_replicate protected").split()
CATEGORIES = ("keyspace read write set sortedset list hash string bitmap hyperloglog geo stream pubsub admin "
              "fast slow blocking dangerous connection transaction scripting").split()
KEY_FLAGS = "RO RW OW RM access update insert delete not_key incomplete variable_flags".split()
ARG_TYPES = "string integer double key pattern unix-time pure-token oneof block".split()
ARG_FLAGS = ("optional", "multiple", "multiple_token")
ROUTES = ("session", "key", "keys", "all", "scan", "scatter")
STATUS = {"yes": "COMMAND_SUPPORTED", "standalone": "COMMAND_SUPPORTED", "later": "COMMAND_LATER",
          "no": "COMMAND_NEVER"}
CALLED = ("yes", "standalone") # these have a handler
WITHOUT_CLUSTER = "cmd_without_cluster_mode"
SPECIAL_KEYS = {"set": "SET", "bitfield": "BITFIELD", "sort": "SORT", "sort_ro": "SORT", "migrate": "MIGRATE",
                "georadius": "GEORADIUS", "georadiusbymember": "GEORADIUS", "xread": "XREAD",
                "xreadgroup": "XREAD"}
# The files in the order of the compatibility page.
FILES = ("string bitmap generic hash list set sorted_set transactions connection server acl stream pubsub "
         "scripting hyperloglog geo cluster replication").split()

ROW_FIELDS = set("name since arity group status handler route note summary complexity flags acl tips keys "
                 "args history deprecated_since replaced_by syscmd subcommands".split())
ARG_FIELDS = set("name type spec token display since deprecated_since args".split()) | set(ARG_FLAGS)

HASH_BUCKETS, HASH_SLOTS = 128, 512
COUNT_MAX, NAME_LEN_MAX, RANGES_MAX = 512, 24, 4
MASK64 = (1 << 64) - 1


class Bad(Exception):
    pass


def need(condition, row, what):
    if not condition:
        raise Bad(f"{row.full_name}: {what}")


def bits(names, order, row):
    for name in names:
        need(name in order, row, f"unknown word {name!r}")
    need(len(set(names)) == len(names), row, f"a word twice in {names}")
    return sum(1 << order.index(name) for name in names)


class Row:
    def __init__(self, data, group, container=None):
        self.data = data
        self.container = container
        self.name = data["name"]
        self.full_name = f"{container.name}|{self.name}" if container else self.name
        self.group = data.get("group", group)
        need(set(data) <= ROW_FIELDS, self, f"unknown fields {set(data) - ROW_FIELDS}")
        need(re.fullmatch(r"[a-z][a-z0-9_-]*", self.name), self, "bad name")
        need(len(self.name) <= NAME_LEN_MAX, self, "name too long")
        for field in ("since", "arity", "summary", "complexity"):
            need(field in data, self, f"no {field}")
        self.subs = [Row(sub, self.group, self) for sub in data.get("subcommands", [])]
        need(not container or not self.subs, self, "a subcommand cannot be a container")
        # A container with a status of its own can also be called without a subcommand (COMMAND).
        self.callable = not self.subs or "status" in data
        self.route = data.get("route", "session")
        if self.callable:
            automatic = ["auto"] if container and self.name == "help" else []
            need(data.get("status") in [*STATUS, *automatic], self, "status must be yes, standalone, later or no")
            need(data.get("route") in ROUTES, self, "bad route")
            self.status = data["status"]
        else:
            need(not {"status", "route", "handler"} & set(data), self, "a container has none of these")
            states = {sub.status for sub in self.subs}
            self.status = next(state for state in STATUS if state in states)
        for sub in self.subs:
            if sub.status == "auto":
                states = {other.status for other in self.subs}
                sub.status = next(state for state in STATUS if state in states)
                if sub.status == "standalone":
                    sub.handler = WITHOUT_CLUSTER
        default = "cmd_" + re.sub(r"\W", "_", self.full_name)
        self.handler = data.get("handler", default) if self.callable else None
        need(data.get("handler") != default, self, "handler is the default: leave it out")
        if self.callable and self.status == "standalone":
            self.handler, self.route = WITHOUT_CLUSTER, "session"
        self.specs = data.get("keys", [])
        self.args = data.get("args", [])
        self.derive()

    def derive(self):
        flags = list(self.data.get("flags", []))
        need("movablekeys" not in flags, self, "movablekeys is derived")
        self.key_first, self.key_last, self.key_step, movable = fast_keys(self)
        if movable:
            flags.append("movablekeys")
        self.flags = bits(flags, FLAGS, self)
        acl = set(self.data.get("acl", []))
        implied = implied_categories(flags, acl)
        need(not acl & implied, self, f"categories {acl & implied} follow from the flags")
        self.categories = bits(sorted(acl | implied), CATEGORIES, self)
        need(len(self.specs) <= RANGES_MAX, self, "too many key specs")
        for spec in self.specs:
            bits(spec["flags"], KEY_FLAGS, self)
            need(set(spec) <= {"flags", "begin", "find", "notes"}, self, "unknown field in a key spec")
            exclusive = [flag for flag in spec["flags"] if flag in ("RO", "RW", "OW", "RM")]
            need(len(exclusive) == 1 or "not_key" in spec["flags"], self, "one of RO RW OW RM")
        self.check_args(self.args)
        real = [spec for spec in self.specs if "not_key" not in spec["flags"]]
        one = [{"index": self.key_first}, {"range": [0, 1, 0]}]
        single = len(real) == 1 and [real[0]["begin"], real[0]["find"]] == one
        need(self.route != "key" or single, self, "route key needs exactly one key at a fixed place")
        need(self.route != "keys" or real, self, "route keys without key specs")
        need(self.route in ("key", "keys") or not real, self, f"route {self.route} with keys")

    def check_args(self, args):
        for arg in args:
            need(set(arg) <= ARG_FIELDS, self, f"unknown fields {set(arg) - ARG_FIELDS} in an argument")
            need(arg["type"] in ARG_TYPES, self, f"unknown type of argument {arg['name']}")
            nested = arg["type"] in ("oneof", "block")
            need(nested == bool(arg.get("args")), self, f"args of {arg['name']} and its type do not fit")
            need(not nested or "display" not in arg, self, f"display of {arg['name']}")
            need(0 <= arg.get("spec", 0) < max(1, len(self.specs)), self, f"key spec of {arg['name']}")
            self.check_args(arg.get("args", []))


def implied_categories(flags, acl):
    implied = {"fast" if "fast" in flags or "fast" in acl else "slow"} - acl
    for flag, categories in (("write", ["write"]), ("admin", ["admin", "dangerous"]),
                             ("pubsub", ["pubsub"]), ("blocking", ["blocking"])):
        if flag in flags:
            implied.update(categories)
    if "readonly" in flags and "scripting" not in acl:
        implied.add("read")
    return implied


def fast_keys(row):
    """First key, last key, step whether they miss keys; from the specs that are ranges at fixed places."""
    first, last, step, movable, previous_last = 0, 0, 0, False, None
    for spec in row.specs:
        if spec["begin"] == "unknown" or "index" not in spec["begin"] or "range" not in spec["find"]:
            movable = True
            continue
        index = spec["begin"]["index"]
        range_last, step, _ = spec["find"]["range"]
        range_last += index if range_last >= 0 else 0
        if first and previous_last != index - 1:
            movable = True
        first = min(first, index) if first else index
        if last >= 0:
            last = range_last if range_last < 0 else max(last, range_last)
        elif range_last < 0:
            last = max(last, range_last)
        previous_last = range_last
    return first, last, step, movable


# ---- reading ----

def read_table():
    present = {name[:-5] for name in os.listdir(TABLE) if name.endswith(".json")}
    if present != set(FILES):
        raise Bad(f"files of the table: {sorted(present ^ set(FILES))} in only one of table/ and FILES")
    groups = []
    for name in FILES:
        with open(os.path.join(TABLE, name + ".json"), encoding="ascii") as file:
            try:
                data = json.load(file)
            except json.JSONDecodeError as error:
                raise Bad(f"{name}.json: {error}") from error
        groups.append((data["title"], [Row(row, data["group"]) for row in data["commands"]]))
    return groups


def number_rows(groups):
    top = sorted((row for _, rows in groups for row in rows), key=lambda row: row.name)
    rows = list(top)
    for row in top:
        row.subs.sort(key=lambda sub: sub.name)
        rows.extend(row.subs)
    names = [row.full_name for row in rows]
    for name in names:
        if names.count(name) > 1:
            raise Bad(f"{name}: there twice")
    if len(rows) > COUNT_MAX:
        raise Bad(f"{len(rows)} rows: raise COMMAND_COUNT_MAX")
    for number, row in enumerate(rows):
        row.id = number
    return rows, top


# ---- the perfect hash: the same arithmetic as in src/command/table.c ----

def name_words(name):
    raw = name.encode()
    if len(raw) < 4:
        first = raw[0] | raw[len(raw) // 2] << 8 | raw[-1] << 16
    elif len(raw) < 8:
        first = int.from_bytes(raw[:4] + raw[-4:], "little")
    else:
        first = int.from_bytes(raw[:8], "little")
    second = int.from_bytes(raw[-8:], "little") if len(raw) > 8 else 0
    third = int.from_bytes(raw[8:16], "little") if len(raw) > 16 else 0
    return first, second, third


def rotate(word, count):
    return (word << count | word >> (64 - count)) & MASK64


def name_hash(name, seed):
    first, second, third = name_words(name)
    return (first ^ rotate(second, 21) ^ rotate(third, 43) ^ len(name)) * seed & MASK64


def place_rows(top):
    """Seed, displacement of each bucket, slot -> row. Large buckets come first, each where it first fits."""
    for attempt in range(1, 1000):
        seed = (0x9E3779B97F4A7C15 * attempt | 1) & MASK64
        buckets = [[] for _ in range(HASH_BUCKETS)]
        for row in top:
            value = name_hash(row.name, seed)
            buckets[value >> 57].append(((value >> 32) % HASH_SLOTS, row))
        slots, displacement = [None] * HASH_SLOTS, [0] * HASH_BUCKETS
        for index in sorted(range(HASH_BUCKETS), key=lambda index: -len(buckets[index])):
            for shift in range(HASH_SLOTS):
                places = {(base + shift) % HASH_SLOTS for base, _ in buckets[index]}
                if len(places) == len(buckets[index]) and all(slots[place] is None for place in places):
                    break
            else:
                break
            displacement[index] = shift
            for base, row in buckets[index]:
                slots[(base + shift) % HASH_SLOTS] = row
        else:
            return seed, displacement, slots
    raise Bad("no perfect hash found: enlarge HASH_SLOTS")


# ---- writing C ----

def c_string(text):
    return "NULL" if text is None else json.dumps(text, ensure_ascii=True)


def joined(prefix, names):
    return " | ".join(prefix + name.upper().replace("-", "_") for name in names) or "0"


class Emitter:
    """Collects constant arrays, equal ones once, and returns the names by which they are used."""

    def __init__(self):
        self.lines = []
        self.seen = {}

    def array(self, kind, stem, entries):
        if not entries:
            return "NULL"
        body = ",\n    ".join(entries)
        if (kind, body) not in self.seen:
            name = f"{stem}_{len(self.seen)}"
            self.seen[kind, body] = name
            self.lines.append(f"static const {kind} {name}[] = {{\n    {body},\n}};")
        return self.seen[kind, body]

    def args(self, args):
        entries = []
        for arg in args:
            nested = arg.get("args", [])
            display = None if nested else arg.get("display", arg["name"])
            flags = joined("COMMAND_ARG_", [flag for flag in ARG_FLAGS if arg.get(flag)])
            texts = [c_string(text) for text in (arg["name"], display, arg.get("token"), arg.get("since"),
                                                 arg.get("deprecated_since"))]
            entries.append(f"{{{', '.join(texts)}, {self.args(nested)}, {len(nested)}, "
                           f"{joined('COMMAND_ARG_', [arg['type']])}, {flags}, {arg.get('spec', -1)}}}")
        return self.array("struct command_arg", "args", entries)

    def specs(self, row):
        entries = []
        for spec in row.specs:
            begin, at, keyword, find, numbers = "UNKNOWN", 0, None, "UNKNOWN", [0, 0, 0]
            if spec["begin"] != "unknown":
                (kind, value), = spec["begin"].items()
                begin = {"index": "INDEX", "keyword": "KEYWORD"}[kind]
                keyword, at = value if kind == "keyword" else (None, value)
                need(keyword is None or keyword == keyword.upper(), row, "keyword must be in upper case")
            if spec["find"] != "unknown":
                (kind, numbers), = spec["find"].items()
                find = {"range": "RANGE", "keynum": "KEYNUM"}[kind]
                need(numbers[1 if kind == "range" else 2] > 0, row, "bad step")
            flags = joined("COMMAND_KEY_", spec["flags"])
            notes = c_string(spec.get("notes"))
            entries.append(f"{{{flags}, COMMAND_BEGIN_{begin}, COMMAND_FIND_{find}, {at}, "
                           f"{{{', '.join(map(str, numbers))}}}, {c_string(keyword)}, {notes}}}")
        return self.array("struct command_key_spec", "specs", entries)

    def doc(self, row):
        data = row.data
        history = data.get("history", [])
        entries = [f"{{{c_string(version)}, {c_string(change)}}}" for version, change in history]
        texts = [data["summary"], data["since"], row.group, data["complexity"]]
        texts += [data.get(field) for field in ("deprecated_since", "replaced_by", "note")]
        syscmd = "true" if data.get("syscmd") else "false"
        return (f"{{{', '.join(map(c_string, texts))}, "
                f"{self.array('struct command_history', 'history', entries)}, {self.args(row.args)}, "
                f"{len(history)}, {len(row.args)}, {syscmd}}}")

    def row(self, row):
        words = ", ".join(f"0x{word:x}u" for word in name_words(row.name))
        tips = [c_string(tip) for tip in row.data.get("tips", [])]
        handler = row.handler if row.callable and row.status in CALLED else "NULL"
        fields = {
            "name_words": f"{{{words}}}", "handler": handler, "flags": f"0x{row.flags:x}",
            "categories": f"0x{row.categories:x}", "arity": row.data["arity"], "id": row.id,
            "key_first": row.key_first, "key_last": row.key_last, "key_step": row.key_step,
            "route": "COMMAND_ROUTE_" + row.route.upper(), "status": STATUS[row.status],
            "name_len": len(row.name), "full_name_len": len(row.full_name), "key_spec_count": len(row.specs),
            "key_special": "COMMAND_KEYS_" + SPECIAL_KEYS.get(row.full_name, "BY_SPEC"),
            "name": c_string(row.name), "full_name": c_string(row.full_name),
            "container": f"&command_rows[{row.container.id}]" if row.container else "NULL",
            "subcommands": f"&command_rows[{row.subs[0].id}]" if row.subs else "NULL",
            "key_specs": self.specs(row), "tips": self.array("char *const", "tips", tips),
            "doc": f"&docs[{row.id}]", "subcommand_count": len(row.subs), "tip_count": len(tips),
        }
        return "{" + ", ".join(f".{name} = {value}" for name, value in fields.items()) + "}"


def numbers_in_lines(numbers):
    return ",\n".join("    " + ", ".join(map(str, numbers[i:i + 16])) for i in range(0, len(numbers), 16))


def shared_numbers():
    """What table.h and table_data.h say too."""
    yield from (("COMMAND_HASH_BUCKETS", HASH_BUCKETS), ("COMMAND_HASH_SLOTS", HASH_SLOTS),
                ("COMMAND_COUNT_MAX", COUNT_MAX), ("COMMAND_NAME_LEN_MAX", NAME_LEN_MAX),
                ("COMMAND_KEY_RANGES_MAX", RANGES_MAX), ("COMMAND_FLAG_COUNT", len(FLAGS)),
                ("COMMAND_HIDDEN_FIRST", FLAGS.index("may_replicate")),
                ("COMMAND_CATEGORY_COUNT", len(CATEGORIES)), ("COMMAND_KEY_FLAG_COUNT", len(KEY_FLAGS)))
    enums = (("COMMAND_", FLAGS), ("COMMAND_CATEGORY_", CATEGORIES), ("COMMAND_KEY_", KEY_FLAGS))
    for prefix, names in enums:
        for bit, name in enumerate(names):
            yield prefix + {"movablekeys": "MOVABLE_KEYS"}.get(name, name.upper()), f"1u << {bit}"


def write_table(groups):
    rows, top = number_rows(groups)
    seed, displacement, slots = place_rows(top)
    emitter = Emitter()
    docs = [emitter.doc(row) for row in rows]
    entries = [emitter.row(row) for row in rows]
    handlers = sorted({row.handler for row in rows if row.callable and row.status in CALLED})
    parts = ["/* Generated by tools/gen_commands.py from src/command/table/. */",
             '#include "command/table_data.h"', ""]
    parts += [f"void {handler}(struct command_context *ctx);" for handler in handlers]
    parts += [f'_Static_assert({symbol} == {value}, "generator and header differ");'
              for symbol, value in shared_numbers()]
    parts += [""] + emitter.lines
    parts.append("static const struct command_doc docs[] = {\n    " + ",\n    ".join(docs) + ",\n};")
    parts.append("const struct command command_rows[] = {\n    " + ",\n    ".join(entries) + ",\n};")
    parts.append(f"const uint16_t command_row_count = {len(rows)};")
    parts.append(f"const uint16_t command_row_top_count = {len(top)};")
    parts.append(f"const uint64_t command_hash_seed = 0x{seed:x}u;")
    parts.append("const uint16_t command_hash_displacement[COMMAND_HASH_BUCKETS] = {\n"
                 + numbers_in_lines(displacement) + "};")
    slot_ids = ["COMMAND_SLOT_EMPTY" if row is None else row.id for row in slots]
    parts.append("const uint16_t command_hash_slot[COMMAND_HASH_SLOTS] = {\n"
                 + numbers_in_lines(slot_ids) + "};")
    return "\n".join(parts) + "\n"


def write_handlers(groups):
    handlers = {row.handler for _, rows in groups for top in rows for row in [top] + top.subs if row.callable}
    return ("/* Generated by tools/gen_commands.py: the handlers that the command table names, also those\n"
            " * of commands that are not supported yet. Included by the files that define them. */\n"
            "#ifndef WEFT_GEN_COMMAND_HANDLERS_H\n#define WEFT_GEN_COMMAND_HANDLERS_H\n\n"
            "struct command_context;\n\n"
            + "".join(f"void {handler}(struct command_context *ctx);\n" for handler in sorted(handlers))
            + "\n#endif\n")


def write_dictionary(groups):
    words = set()

    def collect(args):
        for arg in args:
            if arg.get("token"):
                words.add(arg["token"])
            collect(arg.get("args", []))

    for _, rows in groups:
        for top in rows:
            for row in [top] + top.subs:
                words.add(row.name.upper())
                collect(row.args)
                words.update(spec["begin"]["keyword"][0] for spec in row.specs if "keyword" in spec["begin"])
    escaped = [word.replace("\\", "\\\\").replace('"', '\\"') for word in sorted(words - {""})]
    return "# Generated by tools/gen_commands.py.\n" + "".join(f'"{word}"\n' for word in escaped)


# ---- the page ----

def write_page(groups):
    flat = [row for _, rows in groups for top in rows for row in [top] + top.subs]
    real = [row for row in flat if row.callable]
    count = {status: sum(row.status == status for row in real) for status in STATUS}
    mark = {"yes": "yes", "standalone": "as without cluster mode", "later": "not yet", "no": "no"}
    lines = ["# Compatibility", "",
             "<!-- Generated by tools/gen_commands.py --docs from src/command/table/. Do not edit. -->", "",
             "weft speaks RESP2 and RESP3 and follows Redis 8.0: names, options, replies and error texts.",
             "A supported command takes every option of Redis 8.0 unless its note says otherwise. A command",
             "that is not supported yet is refused with an error that says so, and COMMAND does not list it.",
             "*As without cluster mode*: there is no cluster mode yet, and the command answers what a Redis with",
             "`cluster-enabled no` answers, an error.",
             "", f"Of {len(real)} commands and subcommands **{count['yes']} are supported**, "
             f"{count['standalone']} answer",
             f"as without cluster mode, {count['later']} are not supported yet, {count['no']} will not be. Commands",
             "of Redis's modules (JSON, search, time series, vector sets, probabilistic types) and of Sentinel do",
             "not exist here.", "",
             "| group | supported | as without cluster mode | not yet | no |",
             "| --- | ---: | ---: | ---: | ---: |"]
    for title, rows in groups:
        mine = [row for top in rows for row in [top] + top.subs if row.callable]
        numbers = [str(sum(row.status == status for row in mine)) for status in STATUS]
        anchor = re.sub(r"[^a-z0-9-]", "", title.lower().replace(" ", "-"))
        lines.append(f"| [{title}](#{anchor}) | {' | '.join(numbers)} |")
    for title, rows in groups:
        lines += ["", f"## {title}", "", "| command | since | supported | what it does | note |",
                  "| --- | --- | --- | --- | --- |"]
        for top in sorted(rows, key=lambda row: row.name):
            for row in ([top] if top.callable else []) + sorted(top.subs, key=lambda sub: sub.name):
                name = row.full_name.upper().replace("|", " ")
                lines.append(f"| {name} | {row.data['since']} | {mark[row.status]} | {row.data['summary']} | "
                             f"{row.data.get('note', '')} |")
    return "\n".join(lines) + "\n"


def same_text(path, text):
    try:
        with open(path, encoding="ascii") as file:
            return file.read() == text
    except FileNotFoundError:
        return False


def check_handlers(groups):
    """Every handler that is defined in src/ is named by a row that calls it."""
    named = {row.handler for _, rows in groups for top in rows for row in [top] + top.subs
             if row.callable and row.status in CALLED}
    for folder, _, names in os.walk(os.path.join(ROOT, "src")):
        for name in names:
            if not name.endswith(".c"):
                continue
            with open(os.path.join(folder, name), encoding="utf-8") as file:
                defined = re.findall(r"^void (cmd_\w+)\(struct command_context \*", file.read(), re.MULTILINE)
            unnamed = sorted(set(defined) - named)
            if unnamed:
                raise Bad(f"{name} defines {', '.join(unnamed)}, which no row calls")


def replace_file(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(f"{path}.{os.getpid()}", "w", encoding="ascii") as file:
        file.write(text)
    os.replace(file.name, path)


def main():
    parser = argparse.ArgumentParser(description="Generates what follows from the command table.")
    parser.add_argument("--docs", action="store_true", help="write docs/compatibility.md")
    parser.add_argument("--check", action="store_true", help="fail when docs/compatibility.md is stale")
    parser.add_argument("--out", default=os.path.join(ROOT, "build/gen"), help="where generated code goes")
    options = parser.parse_args()
    try:
        groups = read_table()
        if options.docs:
            replace_file(PAGE, write_page(groups))
        elif options.check:
            write_table(groups)
            if not same_text(PAGE, write_page(groups)):
                raise Bad("docs/compatibility.md is stale: run tools/gen_commands.py --docs")
            check_handlers(groups)
        else:
            # The header keeps its date if it can: all of src/command/ is compiled again when it changes. The
            # table comes last: the Makefile takes its date for that of all three.
            for name, text in (("command_handlers.h", write_handlers(groups)),
                               ("commands.dict", write_dictionary(groups))):
                if not same_text(os.path.join(options.out, name), text):
                    replace_file(os.path.join(options.out, name), text)
            replace_file(os.path.join(options.out, "command_table.c"), write_table(groups))
    except (Bad, OSError) as error:
        sys.exit(f"gen_commands.py: {error}")


if __name__ == "__main__":
    main()
