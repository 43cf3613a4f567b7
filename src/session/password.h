/* Comparing secrets: the time taken tells nothing about where they differ. Pure. */
#ifndef WEFT_SESSION_PASSWORD_H
#define WEFT_SESSION_PASSWORD_H

#include <stdint.h>
#include "base/slice.h"

static inline bool password_equal(struct slice secret, struct slice given)
{
    unsigned char difference = secret.len != given.len;
    for (size_t i = 0; i < given.len; i++)
        difference |= (unsigned char)(given.ptr[i] ^ (secret.len ? secret.ptr[i % secret.len] : 0));
    return difference == 0;
}

#endif
