/* Files over every backend, asynchronous and at once. */
#include "io_suite.h"

#include <sys/stat.h>

static enum suite_backend backend;

struct disk {
    struct suite *s;
    struct file_user user;
    char folder[64];
    char path[2][96];
};

static struct disk *disk_create(void)
{
    struct disk *d = calloc(1, sizeof(*d));
    CHECK(d != NULL);
    d->s = suite_create(backend, 1);
    d->user.kind = USER_FILE;
    snprintf(d->folder, sizeof(d->folder), "/tmp/weft-io-test-XXXXXX");
    if (backend != SUITE_SIM) assert_non_null(mkdtemp(d->folder));
    snprintf(d->path[0], sizeof(d->path[0]), "%s/one", d->folder);
    snprintf(d->path[1], sizeof(d->path[1]), "%s/two", d->folder);
    return d;
}

static void disk_destroy(struct disk *d)
{
    suite_destroy(d->s);
    if (backend != SUITE_SIM) assert_int_equal(rmdir(d->folder), 0); /* each test cleans up behind itself */
    free(d);
}

/* Waits for the one operation that was submitted; returns its result. */
static int64_t result(struct disk *d)
{
    int before = d->user.completions;
    UNTIL(d->s, d->user.completions > before);
    assert_int_equal(d->user.completions, before + 1);
    return d->user.result;
}

static struct io_file *opened(struct disk *d, const char *path, int flags)
{
    struct io_file *f = io_file_open(d->s->ios[0], path, flags, &d->user);
    assert_non_null(f);
    assert_int_equal(result(d), 0);
    return f;
}

static void closed(struct disk *d, struct io_file *f)
{
    io_file_close(f, &d->user);
    assert_int_equal(result(d), 0);
}

static void writes_and_reads(void **state)
{
    struct disk *d = disk_create();
    size_t len = 3000001;
    uint8_t *bytes = pattern(len, 1), *back = malloc(len + 100);
    struct io_file *f = opened(d, d->path[0], IO_FILE_READ | IO_FILE_WRITE | IO_FILE_CREATE);
    io_file_write(f, bytes, len, 0, &d->user);
    assert_int_equal(result(d), len);
    io_file_sync(f, &d->user);
    assert_int_equal(result(d), 0);
    io_file_read(f, back, len + 100, 0, &d->user); /* short only at the end */
    assert_int_equal(result(d), len);
    assert_memory_equal(back, bytes, len);
    io_file_read(f, back, 10, len - 4, &d->user);
    assert_int_equal(result(d), 4);
    assert_memory_equal(back, bytes + len - 4, 4);
    io_file_read(f, back, 10, len + 4, &d->user);
    assert_int_equal(result(d), 0);
    io_file_write(f, "hole", 4, len + 10, &d->user);
    assert_int_equal(result(d), 4);
    io_file_read(f, back, 14, len, &d->user);
    assert_int_equal(result(d), 14);
    assert_memory_equal(back, "\0\0\0\0\0\0\0\0\0\0hole", 14);
    closed(d, f);
    io_file_unlink(d->s->ios[0], d->path[0], &d->user);
    assert_int_equal(result(d), 0);
    free(bytes);
    free(back);
    disk_destroy(d);
}

static void many_at_once(void **state)
{
    struct disk *d = disk_create();
    uint8_t *bytes = pattern(64 * 4096, 2), *back = malloc(64 * 4096);
    struct io_file *f = opened(d, d->path[0], IO_FILE_READ | IO_FILE_WRITE | IO_FILE_CREATE);
    d->s->max = 5;
    d->user.completions = 0;
    for (int i = 0; i < 64; i++) io_file_write(f, bytes + i * 4096, 4096, (uint64_t)i * 4096, &d->user);
    UNTIL(d->s, d->user.completions == 64);
    for (int i = 0; i < 64; i++) io_file_read(f, back + i * 4096, 4096, (uint64_t)i * 4096, &d->user);
    UNTIL(d->s, d->user.completions == 128);
    assert_memory_equal(back, bytes, 64 * 4096);
    closed(d, f);
    assert_int_equal(io_file_remove(d->s->ios[0], d->path[0]), 0);
    free(bytes);
    free(back);
    disk_destroy(d);
}

static void open_flags(void **state)
{
    struct disk *d = disk_create();
    struct io *io = d->s->ios[0];
    char back[8];
    io_file_open(io, d->path[0], IO_FILE_READ, &d->user);
    assert_int_equal(result(d), -ENOENT);
    closed(d, opened(d, d->path[0], IO_FILE_WRITE | IO_FILE_CREATE | IO_FILE_EXCLUSIVE));
    io_file_open(io, d->path[0], IO_FILE_WRITE | IO_FILE_CREATE | IO_FILE_EXCLUSIVE, &d->user);
    assert_int_equal(result(d), -EEXIST);
    struct io_file *f = opened(d, d->path[0], IO_FILE_WRITE);
    io_file_write(f, "content", 7, 0, &d->user);
    assert_int_equal(result(d), 7);
    io_file_read(f, back, 7, 0, &d->user);
    assert_int_equal(result(d), -EBADF);
    closed(d, f);
    f = opened(d, d->path[0], IO_FILE_READ);
    io_file_read(f, back, 8, 0, &d->user);
    assert_int_equal(result(d), 7);
    io_file_write(f, "x", 1, 0, &d->user);
    assert_int_equal(result(d), -EBADF);
    closed(d, f);
    f = opened(d, d->path[0], IO_FILE_READ | IO_FILE_WRITE | IO_FILE_TRUNCATE);
    io_file_read(f, back, 8, 0, &d->user);
    assert_int_equal(result(d), 0);
    closed(d, f);
    assert_int_equal(io_file_remove(io, d->path[0]), 0);
    disk_destroy(d);
}

static void renames_and_unlinks(void **state)
{
    struct disk *d = disk_create();
    struct io *io = d->s->ios[0];
    size_t len;
    int error;
    assert_int_equal(io_file_store_atomic(io, d->path[0], "first", 5), 0);
    assert_int_equal(io_file_store_atomic(io, d->path[1], "second", 6), 0);
    struct io_file *f = opened(d, d->path[1], IO_FILE_READ);
    io_file_rename(io, d->path[0], d->path[1], &d->user);
    assert_int_equal(result(d), 0);
    char *text = io_file_load(io, d->path[1], 100, &len, &error);
    assert_string_equal(text, "first");
    free(text);
    char back[8] = {0};
    io_file_read(f, back, 8, 0, &d->user); /* who has the replaced file open keeps it */
    assert_int_equal(result(d), 6);
    assert_string_equal(back, "second");
    closed(d, f);
    io_file_rename(io, d->path[0], d->path[1], &d->user);
    assert_int_equal(result(d), -ENOENT);
    io_file_unlink(io, d->path[1], &d->user);
    assert_int_equal(result(d), 0);
    io_file_unlink(io, d->path[1], &d->user);
    assert_int_equal(result(d), -ENOENT);
    disk_destroy(d);
}

static void loads_and_stores_at_once(void **state)
{
    struct disk *d = disk_create();
    struct io *io = d->s->ios[0];
    size_t len = 99;
    int error = 0;
    assert_null(io_file_load(io, d->path[0], 100, &len, &error));
    assert_int_equal(error, -ENOENT);
    assert_int_equal(io_file_store_atomic(io, d->path[0], "", 0), 0);
    char *text = io_file_load(io, d->path[0], 100, &len, &error);
    assert_string_equal(text, "");
    assert_int_equal(len, 0);
    free(text);
    uint8_t *bytes = pattern(100000, 3);
    assert_int_equal(io_file_store_atomic(io, d->path[0], bytes, 100000), 0);
    assert_null(io_file_load(io, d->path[0], 99999, &len, &error));
    assert_int_equal(error, -EFBIG);
    text = io_file_load(io, d->path[0], 100000, &len, &error);
    assert_non_null(text);
    assert_int_equal(len, 100000);
    assert_memory_equal(text, bytes, 100000);
    assert_int_equal(text[len], 0);
    free(text);
    free(bytes);
    assert_int_equal(io_file_append(io, d->path[1], "one\n", 4), 0);
    assert_int_equal(io_file_append(io, d->path[1], "two\n", 4), 0);
    text = io_file_load(io, d->path[1], 100, &len, &error);
    assert_string_equal(text, "one\ntwo\n");
    free(text);
    assert_int_equal(io_file_remove(io, d->path[0]), 0);
    assert_int_equal(io_file_remove(io, d->path[1]), 0);
    assert_int_equal(io_file_remove(io, d->path[1]), -ENOENT);
    if (backend != SUITE_SIM) {
        assert_int_equal(io_file_store_atomic(io, "/nowhere/at/all", "x", 1), -ENOENT);
        assert_null(io_file_load(io, "/tmp", 100, &len, &error));
        assert_int_equal(error, -EISDIR);
        text = io_file_load(io, "/proc/self/status", 1 << 20, &len, &error); /* its size says 0 */
        assert_true(len > 100);
        free(text);
    }
    disk_destroy(d);
}

static void a_rewritten_file_keeps_its_mode(void **state)
{
    if (backend == SUITE_SIM) skip();
    struct disk *d = disk_create();
    struct stat st;
    assert_int_equal(io_file_store_atomic(d->s->ios[0], d->path[0], "a", 1), 0);
    assert_int_equal(chmod(d->path[0], 0600), 0);
    assert_int_equal(io_file_store_atomic(d->s->ios[0], d->path[0], "b", 1), 0);
    assert_int_equal(stat(d->path[0], &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(io_file_remove(d->s->ios[0], d->path[0]), 0);
    disk_destroy(d);
}

static void globs_in_order(void **state)
{
    struct disk *d = disk_create();
    struct io *io = d->s->ios[0];
    static const char *const files[] = {"b.conf", "a.conf", "c.txt", "d.conf"};
    static const char *const found[] = {"a.conf", "b.conf", "d.conf"};
    char path[128], **names;
    size_t count;
    for (int i = 0; i < 4; i++) {
        snprintf(path, sizeof(path), "%s/%s", d->folder, files[i]);
        assert_int_equal(io_file_store_atomic(io, path, "x", 1), 0);
    }
    snprintf(path, sizeof(path), "%s/*.conf", d->folder);
    assert_int_equal(io_file_glob(io, path, &names, &count), 0);
    assert_int_equal(count, 3);
    for (size_t i = 0; i < count; i++) {
        assert_string_equal(names[i] + strlen(d->folder) + 1, found[i]);
        free(names[i]);
    }
    free(names);
    snprintf(path, sizeof(path), "%s/*.none", d->folder);
    assert_int_equal(io_file_glob(io, path, &names, &count), 0);
    assert_int_equal(count, 0);
    free(names);
    for (int i = 0; i < 4; i++) {
        snprintf(path, sizeof(path), "%s/%s", d->folder, files[i]);
        assert_int_equal(io_file_remove(io, path), 0);
    }
    disk_destroy(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_and_reads),
        cmocka_unit_test(many_at_once),
        cmocka_unit_test(open_flags),
        cmocka_unit_test(renames_and_unlinks),
        cmocka_unit_test(loads_and_stores_at_once),
        cmocka_unit_test(a_rewritten_file_keeps_its_mode),
        cmocka_unit_test(globs_in_order),
    };
    return suite_main("files", &backend, tests, ARRAY_LEN(tests));
}
