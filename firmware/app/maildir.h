/* app/maildir.h - writing messages into a Maildir
 *
 * Layer: app. Uses: base.
 * Concept: a message is written under tmp/ and renamed into new/ when it is whole, so that a reader
 * of new/ never sees half of one. Nothing is synced to the disk: what survives is what survives a
 * crash of the process, which is enough for tests.
 * These calls may wait for the disk; only the embedded internal server uses them.
 */
#ifndef PST_APP_MAILDIR_H
#define PST_APP_MAILDIR_H

#include "base/buf.h"

#define PST_MAILDIR_NAME_MAX 96

struct pst_maildir {
	int tmp_fd, new_fd;
	uint64_t start_s; /* of this process, by the wall clock: the first part of every name */
	int pid;
	uint64_t next;
};

struct pst_maildir_file {
	int fd;
	char name[PST_MAILDIR_NAME_MAX];
};

/* Open DIR, making it and its tmp, new and cur where they are missing.
 *  in  path: with a NUL behind it
 *  ret 0 | -PST_E_ACCESS | -PST_E_NOENT: its parent is missing | -PST_E_IO */
int pst_maildir_open(struct pst_maildir *maildir, struct pst_span path, uint64_t wall_s)
	PST_MUST_CHECK;
void pst_maildir_close(struct pst_maildir *maildir);

/* Begin, continue and end a message. After a failed write or commit the file is still to be
 * given up by pst_maildir_abort.
 *  ret 0 | -PST_E_ACCESS | -PST_E_IO: no room, or any other trouble */
int pst_maildir_begin(struct pst_maildir *maildir, struct pst_maildir_file *file) PST_MUST_CHECK;
int pst_maildir_write(struct pst_maildir_file *file, struct pst_span bytes) PST_MUST_CHECK;
int pst_maildir_commit(struct pst_maildir *maildir, struct pst_maildir_file *file) PST_MUST_CHECK;
void pst_maildir_abort(struct pst_maildir *maildir, struct pst_maildir_file *file);

#endif
