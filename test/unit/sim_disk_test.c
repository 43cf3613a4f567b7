/* The simulated disk: each fault fires, is counted and does what its row says; and what a power loss leaves
 * is compared with a tiny model of what it may leave. The table itself is tested in sim_fault_test.c. */
#include "io_suite.h"
#include "io/sim_fault.h"
#include "base/prng.h"

#define MILLION 1000000

struct disk {
    struct suite s;
    struct io_world *node;
    struct file_user user;
    int waited_for; /* completions so far */
};

static struct disk *disk_new(uint64_t seed)
{
    struct disk *d = calloc(1, sizeof(*d));
    int error;
    d->s = (struct suite){.world = io_sim_world_create(seed), .max = 64, .simulated = true, .io_count = 1};
    d->node = io_sim_node(d->s.world, "disk");
    d->s.ios[0] = io_create(d->node, &error);
    d->user.kind = USER_FILE;
    return d;
}

static void disk_free(struct disk *d)
{
    suite_settle(&d->s);
    io_destroy(d->s.ios[0]);
    io_world_destroy(d->s.world);
    free(d);
}

static void fault(struct disk *d, enum io_sim_fault f, uint32_t rate)
{
    io_sim_fault_set(d->s.world, f, rate);
}
static uint64_t fired(struct disk *d, enum io_sim_fault f)
{
    return io_sim_fault_fired(d->s.world, f);
}

/* Waits for the one operation under way; its result. */
static int64_t result(struct disk *d)
{
    d->waited_for++;
    UNTIL(&d->s, d->user.completions == d->waited_for);
    return d->user.result;
}

static struct io_file *open_flags(struct disk *d, const char *name, int flags, int64_t *error)
{
    struct io_file *f = io_file_open(d->s.ios[0], name, flags, &d->user);
    *error = result(d);
    return f;
}

static struct io_file *open_rw(struct disk *d, const char *name)
{
    int64_t error;
    struct io_file *f = open_flags(d, name, IO_FILE_READ | IO_FILE_WRITE | IO_FILE_CREATE, &error);
    assert_int_equal(error, 0);
    return f;
}

static int64_t write_at(struct disk *d, struct io_file *f, const void *data, size_t len, uint64_t offset)
{
    io_file_write(f, data, len, offset, &d->user);
    return result(d);
}
static int64_t read_at(struct disk *d, struct io_file *f, void *buf, size_t len, uint64_t offset)
{
    io_file_read(f, buf, len, offset, &d->user);
    return result(d);
}
static int64_t sync_file(struct disk *d, struct io_file *f)
{
    io_file_sync(f, &d->user);
    return result(d);
}
static int64_t rename_to(struct disk *d, const char *from, const char *to)
{
    io_file_rename(d->s.ios[0], from, to, &d->user);
    return result(d);
}
static int64_t unlink_it(struct disk *d, const char *name)
{
    io_file_unlink(d->s.ios[0], name, &d->user);
    return result(d);
}

/* The node crashes and starts again. Files that were open are gone. */
static void crash(struct disk *d, enum io_sim_crash how)
{
    int error;
    io_sim_node_crash(d->node, how, false);
    io_destroy(d->s.ios[0]);
    d->s.ios[0] = io_create(d->node, &error);
    d->waited_for = d->user.completions;
}

/* What programs see of a file; "-" when there is none. Up to 63 bytes, printable. */
static const char *content(struct disk *d, const char *name, char *buf)
{
    size_t len;
    uint8_t *bytes = io_sim_disk_peek(d->node, name, false, &len);
    if (bytes == NULL) return "-";
    memcpy(buf, bytes, len < 63 ? len : 63);
    buf[len < 63 ? len : 63] = 0;
    free(bytes);
    return buf;
}

/* ---- errors ---- */

static void operations_fail(void **state)
{
    struct disk *d = disk_new(1);
    char buf[64];
    int64_t error;
    struct io_file *f = open_rw(d, "f");
    assert_int_equal(write_at(d, f, "0123456789", 10, 0), 10);

    fault(d, IO_SIM_DISK_READ_ERROR, MILLION);
    assert_int_equal(read_at(d, f, buf, 10, 0), -EIO);
    fault(d, IO_SIM_DISK_READ_ERROR, 0);
    fault(d, IO_SIM_DISK_WRITE_ERROR, MILLION);
    assert_int_equal(write_at(d, f, "abc", 3, 0), -EIO);
    assert_string_equal(content(d, "f", buf), "0123456789");
    fault(d, IO_SIM_DISK_WRITE_ERROR, 0);
    fault(d, IO_SIM_DISK_OPEN_ERROR, MILLION);
    open_flags(d, "f", IO_FILE_READ, &error);
    assert_int_equal(error, -EMFILE);
    fault(d, IO_SIM_DISK_OPEN_ERROR, 0);
    fault(d, IO_SIM_DISK_NAME_ERROR, MILLION);
    assert_int_equal(rename_to(d, "f", "g"), -EIO);
    assert_int_equal(unlink_it(d, "f"), -EIO);
    open_flags(d, "new", IO_FILE_WRITE | IO_FILE_CREATE, &error);
    assert_int_equal(error, -EIO);
    assert_string_equal(content(d, "g", buf), "-");
    assert_string_equal(content(d, "new", buf), "-");
    fault(d, IO_SIM_DISK_NAME_ERROR, 0);

    assert_int_equal(fired(d, IO_SIM_DISK_READ_ERROR), 1);
    assert_int_equal(fired(d, IO_SIM_DISK_WRITE_ERROR), 1);
    assert_int_equal(fired(d, IO_SIM_DISK_OPEN_ERROR), 1);
    assert_int_equal(fired(d, IO_SIM_DISK_NAME_ERROR), 3);
    assert_int_equal(read_at(d, f, buf, 10, 0), 10); /* all is well again */
    assert_memory_equal(buf, "0123456789", 10);
    disk_free(d);
}

static void writes_stop_in_the_middle(void **state)
{
    static const struct {
        enum io_sim_fault fault;
        int result;
    } cases[] = {{IO_SIM_DISK_SHORT_WRITE, -EIO}, {IO_SIM_DISK_NO_SPACE, -ENOSPC}};
    uint8_t *bytes = pattern(1000, 1);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        size_t least = SIZE_MAX, most = 0;
        for (uint64_t seed = 0; seed < 30; seed++) {
            struct disk *d = disk_new(seed);
            struct io_file *f = open_rw(d, "f");
            fault(d, cases[i].fault, MILLION);
            assert_int_equal(write_at(d, f, bytes, 1000, 0), cases[i].result);
            size_t len;
            uint8_t *have = io_sim_disk_peek(d->node, "f", false, &len);
            assert_true(len < 1000);
            assert_memory_equal(have, bytes, len);
            if (len < least) least = len;
            if (len > most) most = len;
            free(have);
            assert_int_equal(fired(d, cases[i].fault), 1);
            disk_free(d);
        }
        assert_true(least < 200 && most > 800);
    }
    free(bytes);
}

static void a_disk_becomes_read_only(void **state)
{
    struct disk *d = disk_new(2);
    char buf[64];
    int64_t error;
    struct io_file *f = open_rw(d, "f");
    assert_int_equal(write_at(d, f, "kept", 4, 0), 4);
    fault(d, IO_SIM_DISK_READ_ONLY, MILLION);
    assert_int_equal(write_at(d, f, "lost", 4, 0), -EROFS);
    fault(d, IO_SIM_DISK_READ_ONLY, 0);
    assert_int_equal(write_at(d, f, "lost", 4, 0), -EROFS); /* from now on */
    assert_int_equal(rename_to(d, "f", "g"), -EROFS);
    assert_int_equal(unlink_it(d, "f"), -EROFS);
    open_flags(d, "f", IO_FILE_WRITE, &error);
    assert_int_equal(error, -EROFS);
    assert_int_equal(io_file_append(d->s.ios[0], "f", "x", 1), -EROFS);
    assert_int_equal(io_file_store_atomic(d->s.ios[0], "f", "x", 1), -EROFS);
    assert_int_equal(read_at(d, f, buf, 4, 0), 4);
    assert_memory_equal(buf, "kept", 4);
    assert_int_equal(fired(d, IO_SIM_DISK_READ_ONLY), 1);
    crash(d, IO_SIM_KILL);
    f = open_rw(d, "f");
    assert_int_equal(write_at(d, f, "well", 4, 0), 4);
    fault(d, IO_SIM_DISK_READ_ONLY, MILLION);
    assert_int_equal(write_at(d, f, "lost", 4, 0), -EROFS);
    io_sim_faults_freeze(d->node);
    assert_int_equal(write_at(d, f, "good", 4, 0), 4);
    disk_free(d);
}

static void disks_are_slow(void **state)
{
    struct disk *d = disk_new(3);
    struct io_file *f = open_rw(d, "f");
    int64_t longest_us = 0, total_us = 0;
    fault(d, IO_SIM_DISK_LATENCY, MILLION);
    for (int i = 0; i < 100; i++) {
        int64_t begin_us = io_sim_now_us(d->s.world);
        write_at(d, f, "x", 1, 0);
        int64_t us = io_sim_now_us(d->s.world) - begin_us;
        if (us > longest_us) longest_us = us;
        total_us += us;
    }
    assert_in_range(longest_us, 40000, 60000);
    assert_in_range(total_us, 100 * 15000, 100 * 35000);
    assert_int_equal(fired(d, IO_SIM_DISK_LATENCY), 100);
    fault(d, IO_SIM_DISK_LATENCY, 0);

    fault(d, IO_SIM_DISK_STALL, MILLION);
    int64_t begin_us = io_sim_now_us(d->s.world);
    io_file_write(f, "x", 1, 0, &d->user);
    fault(d, IO_SIM_DISK_STALL, 0);
    io_file_write(f, "y", 1, 1, &d->user); /* it waits for the disk, too */
    d->waited_for++;
    result(d);
    assert_true(io_sim_now_us(d->s.world) - begin_us > 10000);
    assert_int_equal(fired(d, IO_SIM_DISK_STALL), 1);
    disk_free(d);
}

/* ---- silent faults ---- */

static void reads_and_writes_go_astray(void **state)
{
    uint8_t *bytes = pattern(8192, 2), buf[8192];
    bool offsets[16] = {false};
    int places = 0;
    for (uint64_t seed = 0; seed < 60; seed++) {
        struct disk *d = disk_new(seed);
        struct io_file *f = open_rw(d, "f");
        write_at(d, f, bytes, 8192, 0);
        fault(d, IO_SIM_DISK_MISDIRECTED_READ, MILLION);
        assert_int_equal(read_at(d, f, buf, 20, 1000), 20);
        fault(d, IO_SIM_DISK_MISDIRECTED_READ, 0);
        int from = -1;
        for (int i = 0; i < 16; i++)
            if (memcmp(buf, bytes + i * 512 + 1000 % 512, 20) == 0) from = i;
        assert_true(from >= 0 && from != 1); /* a sector, but not the right one */
        places += !offsets[from];
        offsets[from] = true;
        assert_int_equal(read_at(d, f, buf, 20, 1000), 20);
        assert_memory_equal(buf, bytes + 1000, 20);

        fault(d, IO_SIM_DISK_MISDIRECTED_WRITE, MILLION);
        assert_int_equal(write_at(d, f, "HERE", 4, 1000), 4);
        fault(d, IO_SIM_DISK_MISDIRECTED_WRITE, 0);
        assert_int_equal(read_at(d, f, buf, 8192, 0), 8192);
        assert_memory_equal(buf + 1000, bytes + 1000, 4);
        const uint8_t *at = memmem(buf, 8192, "HERE", 4);
        assert_non_null(at);
        assert_int_equal((at - buf) % 512, 1000 % 512);
        assert_int_equal(fired(d, IO_SIM_DISK_MISDIRECTED_READ), 1);
        assert_int_equal(fired(d, IO_SIM_DISK_MISDIRECTED_WRITE), 1);
        disk_free(d);
    }
    assert_true(places >= 8);
    free(bytes);
}

static void a_bit_flips_for_good(void **state)
{
    struct disk *d = disk_new(4);
    uint8_t *bytes = pattern(1000, 3), buf[1000], again[1000];
    struct io_file *f = open_rw(d, "f");
    write_at(d, f, bytes, 1000, 0);
    sync_file(d, f);
    assert_int_equal(rename_to(d, "f", "g"), 0); /* the name is durable */
    fault(d, IO_SIM_DISK_BIT_FLIP, MILLION);
    assert_int_equal(read_at(d, f, buf, 100, 500), 100);
    fault(d, IO_SIM_DISK_BIT_FLIP, 0);
    int flipped = 0;
    for (int i = 0; i < 100; i++) flipped += __builtin_popcount(buf[i] ^ bytes[500 + i]);
    assert_int_equal(flipped, 1);
    crash(d, IO_SIM_POWER_LOSS);
    f = open_rw(d, "g");
    assert_int_equal(read_at(d, f, again, 100, 500), 100);
    assert_memory_equal(again, buf, 100);
    assert_int_equal(fired(d, IO_SIM_DISK_BIT_FLIP), 1);
    free(bytes);
    disk_free(d);
}

static void a_read_is_stale(void **state)
{
    struct disk *d = disk_new(5);
    char buf[64] = "";
    struct io_file *f = open_rw(d, "f");
    write_at(d, f, "first version", 13, 0);
    sync_file(d, f);
    write_at(d, f, "later", 5, 0);
    sync_file(d, f);
    fault(d, IO_SIM_DISK_STALE_READ, MILLION);
    assert_int_equal(read_at(d, f, buf, 13, 0), 13);
    assert_string_equal(buf, "first version");
    assert_int_equal(fired(d, IO_SIM_DISK_STALE_READ), 1);
    assert_int_equal(read_at(d, f, buf, 4, 8), 4); /* not touched by the last write: nothing stale there */
    assert_int_equal(fired(d, IO_SIM_DISK_STALE_READ), 1);
    fault(d, IO_SIM_DISK_STALE_READ, 0);
    assert_int_equal(read_at(d, f, buf, 13, 0), 13);
    assert_string_equal(buf, "later version");
    disk_free(d);
}

static void a_failed_sync_drops_pages(void **state)
{
    int reread_old = 0, reread_new = 0;
    for (uint64_t seed = 0; seed < 40; seed++) {
        struct disk *d = disk_new(seed);
        char buf[64];
        struct io_file *f = open_rw(d, "f");
        write_at(d, f, "old", 3, 0);
        assert_int_equal(sync_file(d, f), 0);
        assert_int_equal(rename_to(d, "f", "g"), 0);
        write_at(d, f, "new", 3, 0);
        fault(d, IO_SIM_DISK_SYNC_ERROR, MILLION);
        assert_int_equal(sync_file(d, f), -EIO);
        fault(d, IO_SIM_DISK_SYNC_ERROR, 0);
        assert_int_equal(sync_file(d, f), 0); /* the kernel believes that all is written */
        assert_int_equal(read_at(d, f, buf, 3, 0), 3);
        bool is_new = memcmp(buf, "new", 3) == 0;
        assert_true(is_new || memcmp(buf, "old", 3) == 0);
        reread_new += is_new;
        reread_old += !is_new;
        crash(d, IO_SIM_POWER_LOSS); /* no fault of the crash is on, and still it is lost */
        assert_string_equal(content(d, "g", buf), "old");
        assert_int_equal(fired(d, IO_SIM_DISK_SYNC_ERROR), 1);
        disk_free(d);
    }
    assert_true(reread_new > 5 && reread_old > 5);
}

/* ---- at once ---- */

static void functions_at_once_follow_the_rules(void **state)
{
    struct disk *d = disk_new(6);
    struct io *io = d->s.ios[0];
    char buf[64], **names;
    size_t len, count;
    int error;
    assert_int_equal(io_file_store_atomic(io, "dir/config", "old", 3), 0);
    static const struct {
        enum io_sim_fault fault;
        int error;
    } cases[] = {{IO_SIM_DISK_WRITE_ERROR, -EIO},   {IO_SIM_DISK_NO_SPACE, -ENOSPC},
                 {IO_SIM_DISK_SHORT_WRITE, -EIO},   {IO_SIM_DISK_SYNC_ERROR, -EIO},
                 {IO_SIM_DISK_OPEN_ERROR, -EMFILE}, {IO_SIM_DISK_NAME_ERROR, -EIO}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        fault(d, cases[i].fault, MILLION);
        assert_int_equal(io_file_store_atomic(io, "dir/config", "new", 3), cases[i].error);
        fault(d, cases[i].fault, 0);
        assert_string_equal(content(d, "dir/config", buf), "old");
        assert_true(fired(d, cases[i].fault) > 0);
    }
    assert_int_equal(io_file_glob(io, "dir/*", &names, &count), 0);
    assert_int_equal(count, 1); /* nothing temporary is left */
    free(names[0]);
    free(names);
    fault(d, IO_SIM_DISK_READ_ERROR, MILLION);
    assert_null(io_file_load(io, "dir/config", 100, &len, &error));
    assert_int_equal(error, -EIO);
    fault(d, IO_SIM_DISK_READ_ERROR, 0);
    fault(d, IO_SIM_DISK_CRASH_LOST, MILLION);
    fault(d, IO_SIM_DISK_CREATE_LOST, MILLION);
    fault(d, IO_SIM_DISK_RENAME_LOST, MILLION);
    assert_int_equal(io_file_store_atomic(io, "dir/config", "new", 3), 0);
    assert_int_equal(io_file_append(io, "dir/log", "line", 4), 0);
    assert_int_equal(io_file_append(io, NULL, "out", 3), 0);
    crash(d, IO_SIM_POWER_LOSS);
    assert_string_equal(content(d, "dir/config", buf), "new"); /* stored means stored */
    assert_string_equal(content(d, "dir/log", buf), "-");
    disk_free(d);
}

/* ---- crashes ---- */

static void a_killed_process_loses_nothing(void **state)
{
    struct disk *d = disk_new(7);
    char buf[64];
    for (int f = IO_SIM_DISK_CRASH_LOST; f <= IO_SIM_DISK_UNLINK_LOST; f++) fault(d, f, MILLION);
    struct io_file *f = open_rw(d, "f");
    write_at(d, f, "unsynced", 8, 0);
    open_rw(d, "g");
    assert_int_equal(unlink_it(d, "g"), 0);
    crash(d, IO_SIM_KILL);
    assert_string_equal(content(d, "f", buf), "unsynced");
    assert_string_equal(content(d, "g", buf), "-");
    crash(d, IO_SIM_POWER_LOSS); /* but it was not synced for all that */
    assert_string_equal(content(d, "f", buf), "-");
    disk_free(d);
}

static void operations_under_way_are_done_or_not(void **state)
{
    int outcomes[4] = {0};
    for (uint64_t seed = 0; seed < 60; seed++) {
        struct disk *d = disk_new(seed);
        char buf[64];
        struct io_file *f = open_rw(d, "f");
        write_at(d, f, "__", 2, 0);
        io_file_write(f, "a", 1, 0, &d->user);
        io_file_write(f, "b", 1, 1, &d->user);
        crash(d, IO_SIM_KILL);
        content(d, "f", buf);
        outcomes[(buf[0] == 'a') + 2 * (buf[1] == 'b')]++;
        suite_settle(&d->s);
        assert_int_equal(d->user.completions, d->waited_for); /* nobody is told */
        disk_free(d);
    }
    for (int i = 0; i < 4; i++) assert_true(outcomes[i] > 4);
}

static void names_are_lost_without_their_directory(void **state)
{
    static const enum io_sim_fault faults[] = {IO_SIM_DISK_CREATE_LOST, IO_SIM_DISK_RENAME_LOST,
                                               IO_SIM_DISK_UNLINK_LOST};
    for (int i = 0; i < 3; i++) {
        struct disk *d = disk_new(8);
        char buf[64];
        struct io_file *f = open_rw(d, "a/base"), *g = open_rw(d, "a/file");
        write_at(d, f, "base", 4, 0);
        write_at(d, g, "file", 4, 0);
        sync_file(d, f);
        sync_file(d, g);
        open_rw(d, "b/early");
        assert_int_equal(rename_to(d, "a/base", "a/kept"), 0); /* syncs "a", not "b" */
        open_rw(d, "a/new");
        fault(d, IO_SIM_DISK_SYNC_ERROR, MILLION);
        assert_int_equal(rename_to(d, "a/file", "a/renamed"), -EIO); /* done, but not durable */
        fault(d, IO_SIM_DISK_SYNC_ERROR, 0);
        assert_string_equal(content(d, "a/renamed", buf), "file");
        assert_int_equal(unlink_it(d, "a/kept"), 0);
        open_rw(d, "b/elsewhere");
        fault(d, faults[i], MILLION);
        crash(d, IO_SIM_POWER_LOSS);
        /* In the order create, rename, unlink: what is lost takes the later ones with it. */
        assert_string_equal(content(d, "a/new", buf), i == 0 ? "-" : "");
        assert_string_equal(content(d, "a/renamed", buf), i <= 1 ? "-" : "file");
        assert_string_equal(content(d, "a/file", buf), i <= 1 ? "file" : "-");
        assert_string_equal(content(d, "a/kept", buf), "base");
        assert_string_equal(content(d, "b/early", buf), i == 0 ? "-" : "");
        assert_string_equal(content(d, "b/elsewhere", buf), i == 0 ? "-" : "");
        assert_int_equal(fired(d, faults[i]), i == 0 ? 2 : 1);
        crash(d, IO_SIM_POWER_LOSS);
        assert_string_equal(content(d, "a/kept", buf), "base");
        disk_free(d);
    }
    struct disk *d = disk_new(9); /* without faults all names stay */
    char buf[64];
    open_rw(d, "x");
    open_rw(d, "y");
    assert_int_equal(unlink_it(d, "x"), 0);
    crash(d, IO_SIM_POWER_LOSS);
    assert_string_equal(content(d, "x", buf), "-");
    assert_string_equal(content(d, "y", buf), "");
    io_sim_disk_wipe(d->node);
    assert_string_equal(content(d, "y", buf), "-");
    disk_free(d);
}

/* ---- power loss against a model ---- */

/* The model: a file's history of writes, each with its own letter; the first `synced` of them are safe. */
#define WRITES_MAX 24
#define FILE_MAX   20000

struct model {
    uint64_t offset[WRITES_MAX];
    size_t len[WRITES_MAX];
    int count, synced;
};

/* What the file holds when the writes of `mask` were done; returns its length. */
static size_t model_image(const struct model *m, uint32_t mask, char *image)
{
    size_t len = 0;
    memset(image, 0, FILE_MAX);
    for (int i = 0; i < m->count; i++) {
        if (!(mask >> i & 1)) continue;
        memset(image + m->offset[i], 'a' + i, m->len[i]);
        if (m->offset[i] + m->len[i] > len) len = m->offset[i] + m->len[i];
    }
    return len;
}

static uint32_t first(int count)
{
    return (1u << count) - 1;
}

/* May byte `at` be this? Any unsynced write may or may not have reached it. */
static bool model_allows(const struct model *m, size_t at, char c, const char *safe, size_t safe_len)
{
    if (c == (at < safe_len ? safe[at] : 0)) return true;
    for (int i = m->synced; i < m->count; i++)
        if (c == 'a' + i && at >= m->offset[i] && at < m->offset[i] + m->len[i]) return true;
    return false;
}

struct outcome {
    bool lost_all, kept_all, gap, prefix, torn_512, torn_4096, truncated, zeros, garbage;
};

/* One file: random writes and a sync somewhere, then the power goes. */
static struct model model_run(struct disk *d, struct prng *g)
{
    struct model m = {.count = 2 + (int)prng_below(g, WRITES_MAX - 2)};
    static char bytes[FILE_MAX];
    struct io_file *f = open_rw(d, "t");
    sync_file(d, f);
    assert_int_equal(rename_to(d, "t", "f"), 0);
    size_t end = 0;
    m.synced = (int)prng_below(g, (uint64_t)m.count);
    for (int i = 0; i < m.count; i++) {
        bool append = prng_below(g, 3) != 0;
        m.len[i] = 1 + prng_below(g, prng_below(g, 3) == 0 ? 6000 : 300);
        m.offset[i] = append ? end : prng_below(g, end + 1);
        if (m.offset[i] + m.len[i] > FILE_MAX) m.offset[i] = 0;
        memset(bytes, 'a' + i, m.len[i]);
        assert_int_equal(write_at(d, f, bytes, m.len[i], m.offset[i]), (int64_t)m.len[i]);
        if (m.offset[i] + m.len[i] > end) end = m.offset[i] + m.len[i];
        if (i + 1 == m.synced) assert_int_equal(sync_file(d, f), 0);
    }
    crash(d, IO_SIM_POWER_LOSS);
    return m;
}

/* Compares what is left with what the fault may leave; notes what was seen. */
static void model_check(const struct model *m, enum io_sim_fault f, const char *have, size_t len,
                        struct outcome *seen)
{
    static char safe[FILE_MAX], whole[FILE_MAX], image[FILE_MAX];
    size_t safe_len = model_image(m, first(m->synced), safe);
    size_t whole_len = model_image(m, first(m->count), whole);
    bool is_safe = len == safe_len && memcmp(have, safe, len) == 0;
    bool is_whole = len == whole_len && memcmp(have, whole, len) == 0;
    seen->lost_all |= is_safe && !is_whole;
    seen->kept_all |= is_whole;
    assert_in_range(len, safe_len, whole_len); /* none of these runs truncates */
    if (f == IO_SIM_DISK_CRASH_LOST) {
        assert_true(is_safe);
    } else if (f == IO_SIM_DISK_CRASH_TRUNCATED || f == IO_SIM_DISK_CRASH_ZERO_TAIL ||
               f == IO_SIM_DISK_CRASH_GARBAGE_TAIL) {
        size_t good = 0;
        while (good < len && have[good] == whole[good]) good++;
        assert_true(good == len || good >= safe_len); /* only what was added is spoilt */
        if (f == IO_SIM_DISK_CRASH_TRUNCATED) assert_int_equal(good, len);
        if (f != IO_SIM_DISK_CRASH_TRUNCATED) assert_int_equal(len, whole_len);
        for (size_t i = good; i < len && f == IO_SIM_DISK_CRASH_ZERO_TAIL; i++) assert_int_equal(have[i], 0);
        seen->truncated |= len < whole_len && len > safe_len;
        seen->zeros |= good < len && f == IO_SIM_DISK_CRASH_ZERO_TAIL;
        seen->garbage |= good < len && f == IO_SIM_DISK_CRASH_GARBAGE_TAIL;
    } else {
        for (size_t i = 0; i < len; i++) assert_true(model_allows(m, i, have[i], safe, safe_len));
    }
    if (f == IO_SIM_DISK_CRASH_TORN_4096) { /* a prefix of the writes, and of one more up to a page's end */
        bool fits = false;
        for (int k = m->synced; k < m->count && !fits; k++) {
            size_t n = model_image(m, first(k), image);
            fits = n == len && memcmp(have, image, len) == 0;
            seen->prefix |= fits && k > m->synced;
            for (uint64_t cut = m->offset[k] / 4096 * 4096 + 4096; cut <= m->offset[k] + m->len[k] && !fits;
                 cut += 4096) {
                n = model_image(m, first(k), image);
                memset(image + m->offset[k], 'a' + k, cut - m->offset[k]);
                if (cut > n) n = cut;
                fits = n == len && memcmp(have, image, len) == 0;
                seen->torn_4096 |= fits && cut < m->offset[k] + m->len[k];
            }
        }
        assert_true(fits);
    }
    if (f == IO_SIM_DISK_CRASH_REORDERED && m->count - m->synced <= 12) { /* some subset makes it */
        bool fits = false;
        for (uint32_t s = 0; s < 1u << (m->count - m->synced) && !fits; s++) {
            size_t n = model_image(m, first(m->synced) | s << m->synced, image);
            fits = n == len && memcmp(have, image, len) == 0;
            seen->gap |= fits && (s & (s + 1)) != 0; /* a later write without an earlier one */
        }
        assert_true(fits);
    }
    if (f == IO_SIM_DISK_CRASH_TORN_512) /* within a write, but only at sectors, the content changes */
        for (size_t i = 1; i < len; i++) {
            if (have[i] == have[i - 1] || i % 512 == 0) continue;
            bool edge = false;
            for (int k = 0; k < m->count; k++) edge |= i == m->offset[k] || i == m->offset[k] + m->len[k];
            assert_true(edge);
        }
    for (int k = m->synced; k < m->count && f == IO_SIM_DISK_CRASH_TORN_512; k++) {
        uint64_t at = (m->offset[k] / 512 + 1) * 512;
        if (at < m->offset[k] + m->len[k] && at < len)
            seen->torn_512 |= (have[at - 1] == 'a' + k) != (have[at] == 'a' + k);
    }
}

static void power_loss_is_as_the_model_allows(void **state)
{
    for (int f = IO_SIM_DISK_CRASH_LOST; f <= IO_SIM_DISK_CRASH_GARBAGE_TAIL; f++) {
        struct outcome seen = {0};
        uint64_t count = 0;
        for (uint64_t seed = 0; seed < 150; seed++) {
            struct disk *d = disk_new(seed);
            struct prng g;
            prng_seed(&g, seed);
            fault(d, f, MILLION);
            struct model m = model_run(d, &g);
            size_t len;
            uint8_t *have = io_sim_disk_peek(d->node, "f", false, &len);
            assert_non_null(have);
            model_check(&m, f, (char *)have, len, &seen);
            free(have);
            size_t durable_len;
            uint8_t *durable = io_sim_disk_peek(d->node, "f", true, &durable_len); /* and it is now durable */
            assert_int_equal(durable_len, len);
            free(durable);
            count += fired(d, f);
            disk_free(d);
        }
        assert_true(count > 50);
        switch (f) {
        case IO_SIM_DISK_CRASH_LOST: assert_true(seen.lost_all && !seen.kept_all); break;
        case IO_SIM_DISK_CRASH_REORDERED: assert_true(seen.gap && seen.lost_all && seen.kept_all); break;
        case IO_SIM_DISK_CRASH_TORN_4096: assert_true(seen.torn_4096 && seen.prefix && seen.lost_all); break;
        case IO_SIM_DISK_CRASH_TORN_512: assert_true(seen.torn_512); break;
        case IO_SIM_DISK_CRASH_TRUNCATED: assert_true(seen.truncated); break;
        case IO_SIM_DISK_CRASH_ZERO_TAIL: assert_true(seen.zeros); break;
        default: assert_true(seen.garbage);
        }
    }
}

static void without_faults_all_survives(void **state)
{
    static char whole[FILE_MAX];
    for (uint64_t seed = 0; seed < 30; seed++) {
        struct disk *d = disk_new(seed);
        struct prng g;
        prng_seed(&g, seed);
        struct model m = model_run(d, &g);
        size_t len;
        uint8_t *have = io_sim_disk_peek(d->node, "f", false, &len);
        assert_int_equal(len, model_image(&m, first(m.count), whole));
        assert_memory_equal(have, whole, len);
        free(have);
        disk_free(d);
    }
}

/* A file that is never synced does not grow its history for ever; what is old becomes durable by itself. */
static void old_writes_become_durable_by_themselves(void **state)
{
    struct disk *d = disk_new(10);
    for (int i = 0; i < 10000; i++) assert_int_equal(io_file_append(d->s.ios[0], "log", "0123456789", 10), 0);
    fault(d, IO_SIM_DISK_CRASH_LOST, MILLION);
    crash(d, IO_SIM_POWER_LOSS);
    size_t len;
    uint8_t *have = io_sim_disk_peek(d->node, "log", false, &len);
    assert_in_range(len, 50000, 99999);
    free(have);
    disk_free(d);
}

/* A truncation is a change like a write. */
static void truncation_is_lost_or_kept(void **state)
{
    for (int lost = 0; lost < 2; lost++) {
        struct disk *d = disk_new(11);
        char buf[64];
        int64_t error;
        struct io_file *f = open_rw(d, "t");
        write_at(d, f, "long before", 11, 0);
        sync_file(d, f);
        rename_to(d, "t", "f");
        f = open_flags(d, "f", IO_FILE_WRITE | IO_FILE_TRUNCATE, &error);
        write_at(d, f, "new", 3, 0);
        assert_string_equal(content(d, "f", buf), "new");
        fault(d, IO_SIM_DISK_CRASH_LOST, lost ? MILLION : 0);
        crash(d, IO_SIM_POWER_LOSS);
        assert_string_equal(content(d, "f", buf), lost ? "long before" : "new");
        disk_free(d);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(operations_fail),
        cmocka_unit_test(writes_stop_in_the_middle),
        cmocka_unit_test(a_disk_becomes_read_only),
        cmocka_unit_test(disks_are_slow),
        cmocka_unit_test(reads_and_writes_go_astray),
        cmocka_unit_test(a_bit_flips_for_good),
        cmocka_unit_test(a_read_is_stale),
        cmocka_unit_test(a_failed_sync_drops_pages),
        cmocka_unit_test(functions_at_once_follow_the_rules),
        cmocka_unit_test(a_killed_process_loses_nothing),
        cmocka_unit_test(operations_under_way_are_done_or_not),
        cmocka_unit_test(names_are_lost_without_their_directory),
        cmocka_unit_test(power_loss_is_as_the_model_allows),
        cmocka_unit_test(without_faults_all_survives),
        cmocka_unit_test(old_writes_become_durable_by_themselves),
        cmocka_unit_test(truncation_is_lost_or_kept),
    };
    return cmocka_run_group_tests_name("simulated disk", tests, NULL, NULL);
}
