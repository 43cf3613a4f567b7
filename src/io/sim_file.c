/* Files of the simulated world: the operations of io.h on the disk of a node (sim_disk.c), and the faults
 * that an operation meets.
 *
 * An asynchronous operation takes effect and completes when its event fires, after a delay drawn from the
 * node's disk stream, so operations that were submitted together may take effect in any order, as on a real
 * machine. The functions "at once" take effect at once, by the same steps. As with the real backends a
 * completed rename has made the directory of its target durable, a create or unlink has not, and neither has
 * a sync of the file. Tests: test/unit/io_file_test.c, sim_disk_test.c.
 */
#include "io/sim.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECTOR      512
#define STDOUT_NAME "/dev/stdout"

struct sim_file {
    struct io_file base;
    struct list link; /* in sim_io.files */
    struct sim_content *content;
    int flags;
    bool open;
};

enum sim_step { SIM_OPEN, SIM_READ, SIM_WRITE, SIM_SYNC, SIM_CLOSE, SIM_RENAME, SIM_UNLINK };

/* One heap block, names and all: the event owns it until it fires, then `files_done` does. */
struct sim_op {
    struct list link;      /* in sim_io.files_flying, then files_done */
    struct sim_io *io;     /* NULL: was destroyed meanwhile */
    struct sim_file *file; /* NULL for rename and unlink */
    void *user;
    const char *path, *path_to;
    uint8_t *buf;
    size_t len;
    uint64_t offset;
    int64_t result;
    enum sim_step step;
};

/* ---- the faults of one step ---- */

/* Of a name that is to change; 0, or the error. */
static int name_fault(struct sim_node *node)
{
    if (node->read_only) return -EROFS;
    return sim_fault_hit(node, IO_SIM_DISK_NAME_ERROR) ? -EIO : 0;
}

/* Decides what becomes of a write of `len` bytes: *len is how many take effect, the result 0 or an error. */
static int write_fault(struct sim_node *node, size_t *len)
{
    struct sim *sim = node->sim;
    size_t all = *len;
    if (sim_fault_draw(node, IO_SIM_DISK_READ_ONLY) && !node->read_only) {
        node->read_only = true;
        sim_fault_count(node, IO_SIM_DISK_READ_ONLY);
    }
    *len = 0;
    if (node->read_only) return -EROFS;
    if (sim_fault_hit(node, IO_SIM_DISK_WRITE_ERROR)) return -EIO;
    if (sim_fault_hit(node, IO_SIM_DISK_SHORT_WRITE)) {
        *len = sim_fault_below(sim, IO_SIM_DISK_SHORT_WRITE, all);
        return -EIO;
    }
    if (sim_fault_hit(node, IO_SIM_DISK_NO_SPACE)) {
        *len = sim_fault_below(sim, IO_SIM_DISK_NO_SPACE, all);
        return -ENOSPC;
    }
    *len = all;
    return 0;
}

/* Another place of the file, whole sectors away, that `offset` is mistaken for; itself when there is none. */
static uint64_t astray(struct sim_node *node, enum io_sim_fault fault, const struct sim_content *c,
                       uint64_t offset)
{
    uint64_t sectors = c->now.len / SECTOR;
    if (sectors < 2 || !sim_fault_draw(node, fault)) return offset;
    uint64_t other = sim_fault_below(node->sim, fault, sectors);
    if (other == offset / SECTOR) other = (other + 1) % sectors;
    if (other == offset / SECTOR) return offset;
    sim_fault_count(node, fault);
    return other * SECTOR + offset % SECTOR;
}

/* ---- one step ---- */

static int64_t read_at(struct sim_node *node, struct sim_content *c, uint8_t *buf, size_t len,
                       uint64_t offset)
{
    if (sim_fault_hit(node, IO_SIM_DISK_READ_ERROR)) return -EIO;
    if (sim_fault_draw(node, IO_SIM_DISK_BIT_FLIP) && sim_content_flip(node, c, offset, len))
        sim_fault_count(node, IO_SIM_DISK_BIT_FLIP);
    uint64_t from = astray(node, IO_SIM_DISK_MISDIRECTED_READ, c, offset);
    if (offset >= c->now.len) return 0;
    if (len > c->now.len - offset) len = c->now.len - offset;
    size_t there = from >= c->now.len ? 0 : len < c->now.len - from ? len : c->now.len - from;
    if (there > 0) memcpy(buf, c->now.data + from, there);
    memset(buf + there, 0, len - there);
    if (from == offset && sim_fault_draw(node, IO_SIM_DISK_STALE_READ) &&
        sim_content_stale(c, buf, len, offset))
        sim_fault_count(node, IO_SIM_DISK_STALE_READ);
    return (int64_t)len;
}

static int64_t write_at(struct sim_node *node, struct sim_content *c, const void *buf, size_t len,
                        uint64_t offset)
{
    size_t taken = len;
    int error = write_fault(node, &taken);
    if (taken > 0) sim_content_write(c, buf, taken, astray(node, IO_SIM_DISK_MISDIRECTED_WRITE, c, offset));
    return error < 0 ? error : (int64_t)len;
}

static int sync_content(struct sim_node *node, struct sim_content *c)
{
    bool fails = sim_fault_hit(node, IO_SIM_DISK_SYNC_ERROR);
    if (fails)
        sim_content_sync_fails(node, c);
    else
        sim_content_sync(c);
    return fails ? -EIO : 0;
}

/* Makes the directory of `path` durable, unless that fails: it may then be tried again. */
static int sync_directory(struct sim_node *node, const char *path)
{
    if (sim_fault_hit(node, IO_SIM_DISK_SYNC_ERROR)) return -EIO;
    sim_disk_sync_directory(node, path);
    return 0;
}

static int unlink_name(struct sim_node *node, const char *path)
{
    struct sim_entry *e = sim_disk_find(node, path);
    int error = e == NULL ? -ENOENT : name_fault(node);
    if (error == 0) sim_disk_unlink(node, e);
    return error;
}

/* As the real one: the directory of `to` is synced, too. */
static int rename_name(struct sim_node *node, const char *from, const char *to)
{
    struct sim_entry *e = sim_disk_find(node, from);
    int error = e == NULL ? -ENOENT : name_fault(node);
    if (error < 0) return error;
    sim_disk_rename(node, e, to);
    return sync_directory(node, to);
}

/* The entry of that name, made when there is none. */
static struct sim_entry *open_or_create(struct sim_node *node, const char *path, int *error)
{
    struct sim_entry *e = sim_disk_find(node, path);
    *error = 0;
    if (e == NULL) *error = name_fault(node);
    return e != NULL || *error < 0 ? e : sim_disk_create(node, path);
}

/* ---- asynchronous operations ---- */

static int64_t disk_delay_us(struct sim_node *node, enum sim_step step)
{
    int64_t d = 20 + (int64_t)prng_below(&node->disk, 200);
    if (step == SIM_SYNC || step == SIM_RENAME) d *= 5;
    if (prng_below(&node->disk, 32) == 0) d *= 20;
    if (sim_fault_hit(node, IO_SIM_DISK_LATENCY)) d += sim_fault_amount(node->sim, IO_SIM_DISK_LATENCY);
    if (sim_fault_hit(node, IO_SIM_DISK_STALL))
        node->disk_stalled_until_us = node->sim->now_us + sim_fault_amount(node->sim, IO_SIM_DISK_STALL);
    if (node->disk_stalled_until_us > node->sim->now_us) d += node->disk_stalled_until_us - node->sim->now_us;
    return d;
}

static int open_file(struct sim_node *node, struct sim_file *f, const char *path)
{
    bool create = f->flags & IO_FILE_CREATE;
    struct sim_entry *e = sim_disk_find(node, path);
    int error = 0;
    if (e == NULL && !create) return -ENOENT;
    if (e != NULL && create && (f->flags & IO_FILE_EXCLUSIVE)) return -EEXIST;
    if (sim_fault_hit(node, IO_SIM_DISK_OPEN_ERROR)) return -EMFILE;
    if (node->read_only && (f->flags & (IO_FILE_WRITE | IO_FILE_TRUNCATE))) return -EROFS;
    e = open_or_create(node, path, &error);
    if (error < 0) return error;
    if (f->flags & IO_FILE_TRUNCATE) sim_content_truncate(e->content);
    f->content = e->content;
    f->content->references++;
    f->open = true;
    return 0;
}

static void file_free(struct sim_file *f)
{
    list_remove(&f->link);
    if (f->content != NULL) sim_content_release(f->content);
    free(f);
}

static int64_t run(struct sim_op *op)
{
    struct sim_node *node = op->io->node;
    switch (op->step) {
    case SIM_OPEN: return open_file(node, op->file, op->path);
    case SIM_READ:
        if (!(op->file->flags & IO_FILE_READ)) return -EBADF;
        return read_at(node, op->file->content, op->buf, op->len, op->offset);
    case SIM_WRITE:
        if (!(op->file->flags & IO_FILE_WRITE)) return -EBADF;
        return write_at(node, op->file->content, op->buf, op->len, op->offset);
    case SIM_RENAME: return rename_name(node, op->path, op->path_to);
    case SIM_UNLINK: return unlink_name(node, op->path);
    case SIM_SYNC: return sync_content(node, op->file->content);
    case SIM_CLOSE: return 0;
    }
    return -EINVAL;
}

static void on_done(struct sim *sim, struct sim_event *event)
{
    struct sim_op *op = (struct sim_op *)(void *)event->data;
    if (op->io == NULL) {
        free(op);
        return;
    }
    list_remove(&op->link);
    op->result = run(op);
    list_append(&op->io->files_done, &op->link);
    op->io->maybe_ready = true;
}

static void submit(struct sim_io *s, struct sim_op op)
{
    if (s->dead) return;
    size_t path_len = op.path != NULL ? strlen(op.path) + 1 : 0;
    size_t path_to_len = op.path_to != NULL ? strlen(op.path_to) + 1 : 0;
    uint8_t *block = malloc(sizeof(op) + path_len + path_to_len);
    CHECK(block != NULL);
    struct sim_op *copy = (struct sim_op *)(void *)block;
    char *names = (char *)block + sizeof(op);
    *copy = op;
    copy->io = s;
    if (op.path != NULL) copy->path = memcpy(names, op.path, path_len);
    if (op.path_to != NULL) copy->path_to = memcpy(names + path_len, op.path_to, path_to_len);
    list_init(&copy->link);
    list_append(&s->files_flying, &copy->link);
    sim_after(sim_of_io(s), disk_delay_us(s->node, op.step),
              (struct sim_event){.fire = on_done, .data = block});
}

struct io_file *sim_file_open(struct io *io, const char *path, int flags, void *user)
{
    struct sim_file *f = calloc(1, sizeof(*f));
    CHECK(f != NULL);
    f->base.io = io;
    f->flags = flags;
    list_append(&sim_of(io)->files, &f->link);
    submit(sim_of(io), (struct sim_op){.step = SIM_OPEN, .file = f, .path = path, .user = user});
    return &f->base;
}

static void operation(struct io_file *file, struct sim_op op)
{
    op.file = (struct sim_file *)file;
    CHECK(op.file->open); /* open has completed well */
    submit(sim_of(file->io), op);
}

void sim_file_read(struct io_file *file, void *buf, size_t len, uint64_t offset, void *user)
{
    operation(file,
              (struct sim_op){.step = SIM_READ, .buf = buf, .len = len, .offset = offset, .user = user});
}
void sim_file_write(struct io_file *file, const void *buf, size_t len, uint64_t offset, void *user)
{
    void *bytes = (void *)(uintptr_t)buf;
    operation(file,
              (struct sim_op){.step = SIM_WRITE, .buf = bytes, .len = len, .offset = offset, .user = user});
}
void sim_file_sync(struct io_file *file, void *user)
{
    operation(file, (struct sim_op){.step = SIM_SYNC, .user = user});
}
void sim_file_close(struct io_file *file, void *user)
{
    operation(file, (struct sim_op){.step = SIM_CLOSE, .user = user});
}
void sim_file_rename(struct io *io, const char *from, const char *to, void *user)
{
    submit(sim_of(io), (struct sim_op){.step = SIM_RENAME, .path = from, .path_to = to, .user = user});
}
void sim_file_unlink(struct io *io, const char *path, void *user)
{
    submit(sim_of(io), (struct sim_op){.step = SIM_UNLINK, .path = path, .user = user});
}

int sim_file_put_done(struct sim_io *s, struct io_completion *out, int n, int max)
{
    while (!list_empty(&s->files_done) && n < max) {
        struct sim_op *op = LIST_OWNER(s->files_done.next, struct sim_op, link);
        list_remove(&op->link);
        out[n++] = (struct io_completion){.user = op->user, .op = IO_FILE, .result = op->result};
        if (op->step == SIM_CLOSE || (op->step == SIM_OPEN && op->result < 0)) file_free(op->file);
        free(op);
    }
    return n;
}

/* ---- at once ---- */

char *sim_file_load(struct io *io, const char *path, size_t limit, size_t *len, int *error)
{
    struct sim_node *node = sim_of(io)->node;
    struct sim_entry *e = sim_disk_find(node, path);
    *error = sim_of(io)->dead ? -EIO : e == NULL ? -ENOENT : e->content->now.len > limit ? -EFBIG : 0;
    if (*error == 0 && sim_fault_hit(node, IO_SIM_DISK_OPEN_ERROR)) *error = -EMFILE;
    if (*error < 0) return NULL;
    char *text = malloc(e->content->now.len + 1);
    CHECK(text != NULL);
    int64_t n = read_at(node, e->content, (uint8_t *)text, e->content->now.len, 0);
    if (n < 0) {
        free(text);
        *error = (int)n;
        return NULL;
    }
    text[n] = 0;
    *len = (size_t)n;
    return text;
}

/* The same steps as the real one's; a temporary file that failed is removed. */
int sim_file_store_atomic(struct io *io, const char *path, const void *data, size_t len)
{
    struct sim_node *node = sim_of(io)->node;
    char temporary[1024];
    int error = sim_of(io)->dead ? -EIO : 0;
    if (error == 0 && sim_fault_hit(node, IO_SIM_DISK_OPEN_ERROR)) error = -EMFILE;
    if (error < 0) return error;
    CHECK(snprintf(temporary, sizeof(temporary), "%s.1.tmp", path) < (int)sizeof(temporary));
    struct sim_entry *e = open_or_create(node, temporary, &error);
    if (error < 0) return error;
    sim_content_truncate(e->content);
    int64_t n = write_at(node, e->content, data, len, 0);
    if (n < 0) error = (int)n;
    if (error == 0) error = sync_content(node, e->content);
    if (error == 0) error = name_fault(node);
    if (error < 0) {
        sim_disk_unlink(node, e);
        return error;
    }
    sim_disk_rename(node, e, path); /* who has the old content open keeps it */
    return sync_directory(node, path);
}

int sim_file_append(struct io *io, const char *path, const void *data, size_t len)
{
    struct sim_node *node = sim_of(io)->node;
    int error = sim_of(io)->dead ? -EIO : 0;
    if (path == NULL) { /* no disk is behind it */
        struct sim_entry *out = sim_disk_find(node, STDOUT_NAME);
        if (out == NULL) out = sim_disk_create(node, STDOUT_NAME);
        if (error == 0) sim_content_write(out->content, data, len, out->content->now.len);
        return error;
    }
    struct sim_entry *e = error == 0 ? open_or_create(node, path, &error) : NULL;
    if (error < 0) return error;
    int64_t n = write_at(node, e->content, data, len, e->content->now.len);
    return n < 0 ? (int)n : 0;
}

int sim_file_remove(struct io *io, const char *path)
{
    return sim_of(io)->dead ? -EIO : unlink_name(sim_of(io)->node, path);
}

int sim_file_glob(struct io *io, const char *pattern, char ***names, size_t *count)
{
    struct sim_node *node = sim_of(io)->node;
    size_t all = 0;
    for (struct list *l = node->entries.next; l != &node->entries; l = l->next) all++;
    *names = calloc(all + 1, sizeof(char *));
    CHECK(*names != NULL);
    *count = 0;
    for (struct list *l = node->entries.next; l != &node->entries; l = l->next) {
        const char *name = LIST_OWNER(l, struct sim_entry, link)->name;
        if (fnmatch(pattern, name, FNM_PATHNAME | FNM_PERIOD) == 0)
            CHECK(((*names)[(*count)++] = strdup(name)) != NULL);
    }
    return 0;
}

/* ---- life ---- */

void sim_file_io_init(struct sim_io *s)
{
    list_init(&s->files);
    list_init(&s->files_done);
    list_init(&s->files_flying);
}

void sim_file_io_destroy(struct sim_io *s)
{
    while (!list_empty(&s->files_flying)) { /* freed when its event fires */
        struct sim_op *op = LIST_OWNER(s->files_flying.next, struct sim_op, link);
        list_remove(&op->link);
        op->io = NULL;
    }
    while (!list_empty(&s->files_done)) {
        struct sim_op *op = LIST_OWNER(s->files_done.next, struct sim_op, link);
        list_remove(&op->link);
        free(op);
    }
    while (!list_empty(&s->files)) file_free(LIST_OWNER(s->files.next, struct sim_file, link));
}

/* Each operation under way was done or not; nobody learns of its outcome. */
void sim_file_io_crash(struct sim_io *s)
{
    for (struct list *l = s->files_flying.next, *next; l != &s->files_flying; l = next) {
        next = l->next;
        struct sim_op *op = LIST_OWNER(l, struct sim_op, link);
        if (prng_below(&s->node->disk, 2) == 0) run(op);
        list_remove(&op->link);
        op->io = NULL; /* freed when its event fires */
    }
}
