/* Simulated disks: each node has a flat store of named files in memory. Directories are not modelled: a path
 * is a name.
 *
 * An asynchronous operation takes effect and completes when its event fires, after a delay drawn from the
 * node's disk stream, so operations that were submitted together may take effect in any order, as on a real
 * machine. The functions "at once" take effect at once. What a crash loses (everything not synced) comes with
 * the fault model.
 */
#include "io/sim.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

/* ---- the store ---- */

static struct sim_entry *entry_find(struct sim_node *node, const char *name)
{
    for (struct list *l = node->entries.next; l != &node->entries; l = l->next) {
        struct sim_entry *e = LIST_OWNER(l, struct sim_entry, link);
        if (strcmp(e->name, name) == 0) return e;
    }
    return NULL;
}

static void content_release(struct sim_content *content)
{
    if (--content->references > 0) return;
    free(content->data);
    free(content);
}

static void entry_remove(struct sim_entry *e)
{
    list_remove(&e->link);
    content_release(e->content);
    free(e->name);
    free(e);
}

/* Puts `content` under `name`, in order of names; takes over the caller's reference. */
static struct sim_entry *entry_add(struct sim_node *node, const char *name, struct sim_content *content)
{
    struct sim_entry *e = calloc(1, sizeof(*e));
    CHECK(e != NULL);
    e->name = strdup(name);
    CHECK(e->name != NULL);
    e->content = content;
    struct list *l = node->entries.next;
    while (l != &node->entries && strcmp(LIST_OWNER(l, struct sim_entry, link)->name, name) < 0) l = l->next;
    list_append(l, &e->link); /* before l */
    return e;
}

static struct sim_content *content_create(void)
{
    struct sim_content *c = calloc(1, sizeof(*c));
    CHECK(c != NULL);
    c->references = 1;
    return c;
}

static void content_write(struct sim_content *c, const void *data, size_t len, uint64_t offset)
{
    if (offset + len > c->room) {
        c->room = (offset + len) * 2;
        c->data = realloc(c->data, c->room);
        CHECK(c->data != NULL);
    }
    if (offset > c->len) memset(c->data + c->len, 0, offset - c->len); /* a hole reads as zeros */
    if (len > 0) memcpy(c->data + offset, data, len);
    if (offset + len > c->len) c->len = offset + len;
}

static int rename_entry(struct sim_node *node, const char *from, const char *to)
{
    struct sim_entry *e = entry_find(node, from), *old = entry_find(node, to);
    if (e == NULL) return -ENOENT;
    if (e == old) return 0;
    struct sim_content *content = e->content;
    content->references++;
    entry_remove(e);
    if (old != NULL) entry_remove(old);
    entry_add(node, to, content);
    return 0;
}

/* ---- asynchronous operations ---- */

/* Where stalls and errors will be drawn. */
static int64_t disk_delay_us(struct sim_node *node, enum sim_step step)
{
    int64_t d = 20 + (int64_t)prng_below(&node->disk, 200);
    if (step == SIM_SYNC || step == SIM_RENAME) d *= 5;
    if (prng_below(&node->disk, 32) == 0) d *= 20;
    return d;
}

static int open_entry(struct sim_node *node, struct sim_file *f, const char *path)
{
    struct sim_entry *e = entry_find(node, path);
    if (e == NULL && !(f->flags & IO_FILE_CREATE)) return -ENOENT;
    if (e != NULL && (f->flags & IO_FILE_CREATE) && (f->flags & IO_FILE_EXCLUSIVE)) return -EEXIST;
    if (e == NULL) e = entry_add(node, path, content_create());
    if (f->flags & IO_FILE_TRUNCATE) e->content->len = 0;
    f->content = e->content;
    f->content->references++;
    f->open = true;
    return 0;
}

static int64_t read_content(struct sim_op *op)
{
    const struct sim_content *c = op->file->content;
    if (!(op->file->flags & IO_FILE_READ)) return -EBADF;
    if (op->offset >= c->len) return 0;
    size_t len = c->len - op->offset < op->len ? c->len - op->offset : op->len;
    memcpy(op->buf, c->data + op->offset, len);
    return (int64_t)len;
}

static void file_free(struct sim_file *f)
{
    list_remove(&f->link);
    if (f->content != NULL) content_release(f->content);
    free(f);
}

static int64_t run(struct sim_op *op)
{
    struct sim_node *node = op->io->node;
    struct sim_entry *e;
    switch (op->step) {
    case SIM_OPEN: return open_entry(node, op->file, op->path);
    case SIM_READ: return read_content(op);
    case SIM_WRITE:
        if (!(op->file->flags & IO_FILE_WRITE)) return -EBADF;
        content_write(op->file->content, op->buf, op->len, op->offset);
        return (int64_t)op->len;
    case SIM_RENAME: return rename_entry(node, op->path, op->path_to);
    case SIM_UNLINK:
        e = entry_find(node, op->path);
        if (e == NULL) return -ENOENT;
        entry_remove(e);
        return 0;
    case SIM_SYNC:
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
}

static void submit(struct sim_io *s, struct sim_op op)
{
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
    struct sim_entry *e = entry_find(sim_of(io)->node, path);
    *error = e == NULL ? -ENOENT : e->content->len > limit ? -EFBIG : 0;
    if (*error < 0) return NULL;
    char *text = malloc(e->content->len + 1);
    CHECK(text != NULL);
    if (e->content->len > 0) memcpy(text, e->content->data, e->content->len);
    text[e->content->len] = 0;
    *len = e->content->len;
    return text;
}

int sim_file_store_atomic(struct io *io, const char *path, const void *data, size_t len)
{
    struct sim_node *node = sim_of(io)->node;
    struct sim_entry *old = entry_find(node, path);
    if (old != NULL) entry_remove(old); /* who has the old content open keeps it */
    content_write(entry_add(node, path, content_create())->content, data, len, 0);
    return 0;
}

int sim_file_append(struct io *io, const char *path, const void *data, size_t len)
{
    struct sim_node *node = sim_of(io)->node;
    if (path == NULL) path = "/dev/stdout";
    struct sim_entry *e = entry_find(node, path);
    if (e == NULL) e = entry_add(node, path, content_create());
    content_write(e->content, data, len, e->content->len);
    return 0;
}

int sim_file_remove(struct io *io, const char *path)
{
    struct sim_entry *e = entry_find(sim_of(io)->node, path);
    if (e == NULL) return -ENOENT;
    entry_remove(e);
    return 0;
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

void sim_file_node_destroy(struct sim_node *node)
{
    while (!list_empty(&node->entries)) entry_remove(LIST_OWNER(node->entries.next, struct sim_entry, link));
}
