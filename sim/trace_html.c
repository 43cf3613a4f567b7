/* See trace_html.h. The file stands in the program's read-only data, put there by the assembler. */
#include "sim/trace_html.h"

__asm__(".section .rodata\n"
        ".global weft_trace_html_begin, weft_trace_html_end\n"
        "weft_trace_html_begin:\n"
        ".incbin \"build/gen/trace_page.html\"\n"
        "weft_trace_html_end:\n"
        ".byte 0\n"
        ".previous\n");

extern const char weft_trace_html_begin[], weft_trace_html_end[];

struct slice trace_html(void)
{
    return (struct slice){weft_trace_html_begin, (size_t)(weft_trace_html_end - weft_trace_html_begin)};
}
