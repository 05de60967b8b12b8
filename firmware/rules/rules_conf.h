/* rules/rules_conf.h - is there a rule engine in this build?
 *
 * Layer: rules (pure).
 * Concept: where there is none, no configuration loads rules, and callers ask this before they enter the
 * engine, so that the linker leaves it out with PCRE2 and what else nobody calls.
 */
#ifndef PST_RULES_RULES_CONF_H
#define PST_RULES_RULES_CONF_H

#ifdef CONFIG_POSTERN_RULES
#define PST_RULES_BUILT true
#else
#define PST_RULES_BUILT false
#endif

#endif
