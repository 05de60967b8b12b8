/* support/os_rules.h - the signatures of rules/os.sig, as `os signatures` loads them */
#ifndef PST_SUPPORT_OS_RULES_H
#define PST_SUPPORT_OS_RULES_H

#include "check/os.h"

/* Read once, and then there until the process ends. */
const struct pst_os_conf *os_rules(void);

#endif
