/* loop/stopwatch.h - the time for commands that have no loop
 *
 * Layer: loop.
 */
#ifndef PST_LOOP_STOPWATCH_H
#define PST_LOOP_STOPWATCH_H

#include "base/base.h"

/* CPU time of this thread. */
uint64_t pst_loop_cpu_us(void);

/* Since 1970. */
uint64_t pst_loop_wall_ms(void);

#endif
