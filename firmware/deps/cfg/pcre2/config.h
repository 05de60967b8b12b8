/* config.h - PCRE2's build options: 8-bit code units, newlines are LF, limits as PCRE2 ships them (the rule engine
 * sets its own per match). JIT and Unicode are Kconfig switches: together they are half the library's size.
 */
#ifndef POSTERN_PCRE2_CONFIG_H
#define POSTERN_PCRE2_CONFIG_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif

#define HAVE_ASSERT_H 1
#define HAVE_ATTRIBUTE_UNINITIALIZED 1
#define HAVE_BUILTIN_MUL_OVERFLOW 1
#define HAVE_BUILTIN_UNREACHABLE 1
#define HAVE_INTTYPES_H 1
#define HAVE_LIMITS_H 1
#define HAVE_MEMMOVE 1
#define HAVE_STDINT_H 1
#define HAVE_STDIO_H 1
#define HAVE_STDLIB_H 1
#define HAVE_STRERROR 1
#define HAVE_STRING_H 1
#define HAVE_SYS_STAT_H 1
#define HAVE_SYS_TYPES_H 1
#define HAVE_UNISTD_H 1

#define LINK_SIZE 2
#define NEWLINE_DEFAULT 2
#define PARENS_NEST_LIMIT 250
#define HEAP_LIMIT 20000000
#define MATCH_LIMIT 10000000
#define MATCH_LIMIT_DEPTH MATCH_LIMIT
#define MAX_NAME_COUNT 10000
#define MAX_NAME_SIZE 128
#define MAX_VARLOOKBEHIND 255

#define PCRE2_EXPORT
#define PCRE2_STATIC 1
#define SUPPORT_PCRE2_8 1
#ifdef POSTERN_WITH_UNICODE
#define SUPPORT_UNICODE 1
#endif
#ifdef POSTERN_WITH_JIT
#define SUPPORT_JIT 1
#endif

#endif
