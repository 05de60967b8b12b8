/* store/store_file.h - the store in memory, with a file that survives the process
 *
 * Layer: store (adapter). Uses: store/store_memory.h, loop, base.
 * Concept: the whole table is written to PATH.new, a slice a turn, and takes PATH's place by rename; what PATH
 * was before becomes PATH.old. A file is whole or not at all: it carries its own length and checksum, and a
 * bad one is passed over for PATH.old, and that for an empty table. So a kill at any time, a full disk and a
 * corrupt file cost what was learnt since, at most. fsync is not called: on flash it can hold the loop for
 * longer than a session should wait, and after a power cut the older file is there, on the disk by then. That
 * takes every_ms to be longer than the system holds data back (Linux: half a minute), as the default is.
 * Time: a file says how old the store was and what the wall clock said. At a start the time between counts,
 * but no more than a day of it, and only where both clocks look set: a clock that is wrong then, forward or
 * back, can cost no more than that day of an entry's life.
 * Memory: the table, and one slice in the struct.
 */
#ifndef PST_STORE_STORE_FILE_H
#define PST_STORE_STORE_FILE_H

#include "base/log.h"
#include "loop/loop.h"
#include "store/store_conf.h"
#include "store/store_memory.h"

#define PST_STORE_FILE_SLICE 4096
#define PST_STORE_NAME_SIZE (PST_STORE_PATH_MAX + 5) /* with ".new" and a NUL */

struct pst_store_file {
	struct pst_store_memory memory; /* memory.store is the seam */
	const struct pst_store_ops *inner; /* the memory's own */
	struct pst_loop *loop;
	struct pst_log *log;
	uint32_t path_len; /* 0: there is no file */
	char path[PST_STORE_NAME_SIZE], new_path[PST_STORE_NAME_SIZE], old_path[PST_STORE_NAME_SIZE];
	uint32_t every_ms;
	struct pst_timer timer; /* the next writing */
	struct pst_task task;   /* goes on with one */
	bool dirty;             /* something changed since the last one began */
	bool failing;           /* the last one failed, and that was said */
	int fd;                 /* PATH.new while it is written, else -1 */
	uint32_t next;          /* slot */
	uint64_t count;         /* entries written */
	struct pst_hasher check;
	struct pst_buf slice;
	uint8_t slice_area[PST_STORE_FILE_SLICE];
};

uint32_t pst_store_file_timers_max(void);
/* Make the table and read what there is.
 *  in  key: random; used where no file has one
 *      conf: borrowed for the call; an empty path: nothing is read or written
 *  ret 0 | -PST_E_NOMEM | -PST_E_PROTO: there are files and none is good, which is logged; the table is
 *      empty and works */
int pst_store_file_init(struct pst_store_file *file, struct pst_mem *mem, struct pst_hash_key key,
			const struct pst_store_conf *conf, struct pst_loop *loop,
			struct pst_log *log) PST_MUST_CHECK;
/* Another generation: its path and pace are used from now on. The table's size stays.
 *  in  conf: borrowed for the call */
void pst_store_file_use(struct pst_store_file *file, const struct pst_store_conf *conf);
/* Whoever wants it saved flushes before. */
void pst_store_file_fini(struct pst_store_file *file);

#endif
