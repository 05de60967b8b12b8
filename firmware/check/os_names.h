/* check/os_names.h - how options and quirks of a first segment are called in signatures
 *
 * Layer: check (pure). Uses: net/syn.h.
 */
#ifndef PST_CHECK_OS_NAMES_H
#define PST_CHECK_OS_NAMES_H

#include "net/syn.h"

extern const char *const pst_os_option_names[PST_SYN_OPTION_COUNT];

/* Their bits, from the lowest on. */
#define PST_OS_QUIRK_COUNT 15
extern const char *const pst_os_quirk_names[PST_OS_QUIRK_COUNT];

#endif
