/* trace_html: the page that plays a trace, as tools/trace_page.py makes it of sim/page/ when weft-sim is
 * built (build/gen/trace_page.html). Lines of a trace take the place of the mark. */
#ifndef WEFT_SIM_TRACE_HTML_H
#define WEFT_SIM_TRACE_HTML_H

#include "base/slice.h"

#define TRACE_HTML_MARK "@TRACE-LINES@"

struct slice trace_html(void);

#endif
