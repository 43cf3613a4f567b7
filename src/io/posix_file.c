/* Files at once, and the pieces of asynchronous file operations, for the real backends. */
#include "io/posix.h"
#include "base/check.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int posix_file_open_flags(int io_flags)
{
    int flags = O_CLOEXEC;
    bool r = io_flags & IO_FILE_READ, w = io_flags & IO_FILE_WRITE;
    flags |= r && w ? O_RDWR : w ? O_WRONLY : O_RDONLY;
    if (io_flags & IO_FILE_CREATE) flags |= O_CREAT;
    if (io_flags & IO_FILE_TRUNCATE) flags |= O_TRUNC;
    if (io_flags & IO_FILE_EXCLUSIVE) flags |= O_EXCL;
    return flags;
}

int64_t posix_read_all(int fd, void *buf, size_t len, uint64_t offset)
{
    size_t done = 0;
    while (done < len) {
        ssize_t n = pread(fd, (uint8_t *)buf + done, len - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return -errno;
        if (n == 0) break;
        done += (size_t)n;
    }
    return (int64_t)done;
}

int64_t posix_write_all(int fd, const void *buf, size_t len, uint64_t offset)
{
    size_t done = 0;
    while (done < len) {
        ssize_t n = pwrite(fd, (const uint8_t *)buf + done, len - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return -errno;
        if (n == 0) return -EIO;
        done += (size_t)n;
    }
    return (int64_t)done;
}

int posix_directory_sync(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *directory = slash == NULL   ? strdup(".")
                      : slash == path ? strdup("/")
                                      : strndup(path, (size_t)(slash - path));
    if (directory == NULL) return -ENOMEM;
    int error = 0;
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    free(directory);
    if (fd < 0) return -errno;
    if (fsync(fd) < 0 && errno != EINVAL)
        error = -errno; /* EINVAL: this file system cannot sync directories */
    close(fd);
    return error;
}

/* Reads to the end without trusting st_size: /proc files and pipes say 0. */
static char *read_whole(int fd, size_t limit, size_t *len, int *error)
{
    size_t room = 4096, used = 0;
    char *text = malloc(room);
    while (text != NULL) {
        ssize_t n = read(fd, text + used, room - used - 1);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) *error = -errno;
        if (n > 0) used += (size_t)n;
        if (n >= 0 && used > limit) *error = -EFBIG;
        if (*error < 0) break;
        if (n == 0) {
            text[used] = 0;
            *len = used;
            return text;
        }
        if (room - used > 1) continue;
        room *= 2;
        char *larger = realloc(text, room);
        if (larger == NULL) *error = -ENOMEM;
        if (larger == NULL) break;
        text = larger;
    }
    if (text == NULL) *error = -ENOMEM;
    free(text);
    return NULL;
}

char *posix_file_load(struct io *io, const char *path, size_t limit, size_t *len, int *error)
{
    struct stat st;
    *error = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        *error = -errno;
        return NULL;
    }
    char *text = NULL;
    if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode))
        *error = -EISDIR;
    else
        text = read_whole(fd, limit, len, error);
    close(fd);
    return text;
}

int posix_file_store_atomic(struct io *io, const char *path, const void *data, size_t len)
{
    size_t room = strlen(path) + 32;
    char *temporary = malloc(room);
    if (temporary == NULL) return -ENOMEM;
    snprintf(temporary, room, "%s.%ld.tmp", path, (long)getpid());
    int error = 0;
    struct stat st;
    mode_t mode = stat(path, &st) == 0 ? st.st_mode & 07777 : 0644; /* a rewritten file keeps its mode */
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    if (fd < 0) {
        error = -errno;
    } else {
        int64_t n = posix_write_all(fd, data, len, 0);
        if (n < 0) error = (int)n;
        if (error == 0 && fsync(fd) < 0) error = -errno;
        if (close(fd) < 0 && error == 0) error = -errno;
        if (error == 0 && rename(temporary, path) < 0) error = -errno;
        if (error < 0)
            unlink(temporary);
        else
            error = posix_directory_sync(path);
    }
    free(temporary);
    return error;
}

int posix_file_append(struct io *io, const char *path, const void *data, size_t len)
{
    int error = 0;
    int fd = path == NULL ? STDOUT_FILENO : open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (fd < 0) return -errno;
    size_t done = 0;
    while (done < len && error == 0) {
        ssize_t n = write(fd, (const char *)data + done, len - done);
        if (n >= 0)
            done += (size_t)n;
        else if (errno != EINTR)
            error = -errno;
    }
    if (path != NULL && close(fd) < 0 && error == 0) error = -errno;
    return error;
}

int posix_file_remove(struct io *io, const char *path)
{
    return unlink(path) < 0 ? -errno : 0;
}

int posix_file_glob(struct io *io, const char *pattern, char ***names, size_t *count)
{
    glob_t found;
    *names = NULL;
    *count = 0;
    int status = glob(pattern, 0, NULL, &found); /* sorts */
    if (status == GLOB_NOMATCH) return 0;
    if (status != 0) return status == GLOB_NOSPACE ? -ENOMEM : -EIO;
    int error = -ENOMEM;
    char **list = calloc(found.gl_pathc + 1, sizeof(*list));
    for (size_t i = 0; list != NULL && i < found.gl_pathc; i++) {
        list[i] = strdup(found.gl_pathv[i]);
        if (list[i] == NULL) goto fail;
    }
    if (list == NULL) goto fail;
    *names = list;
    *count = found.gl_pathc;
    globfree(&found);
    return 0;
fail:
    for (size_t i = 0; list != NULL && list[i] != NULL; i++) free(list[i]);
    free(list);
    globfree(&found);
    return error;
}
